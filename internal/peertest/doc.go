// Package peertest drives other implementations of CMS and S/MIME, so that tests can ask
// whether they read what we write and whether we read what they write.
//
// [New] opens a [Lab]: a folder, a small PKI and the peers. [Lab.Peer] starts one peer,
// [Lab.Peers] all of them. Every peer has the same face, [Peer], and works on the [Form]s
// that [Forms] lists: what a producer is asked to write and a consumer to read. OpenSSL
// and Bouncy Castle also take whole messages: see [MailPeer].
//
// # Missing peers
//
// A peer that is not installed makes a test skip, or leaves its column out. With
// POSTSEAL_PEERS=required in the environment it is a failure instead: that is how CI runs.
//
// Some peers are there twice: as Debian 12 has them, and newer. The newer ones are run out of
// a folder that .ci/newer fills, in the user's cache or where POSTSEAL_NEWER says.
//
// # Trust
//
// Peers are given messages that a test has just made, and by the differential tests
// mutants of those and what fuzzing finds. One of them, the Go library
// github.com/smallstep/pkcs7, panics or exhausts the stack on hostile input, so that these
// tests catch the one and keep it from the other; nothing outside this package may read
// with it.
package peertest
