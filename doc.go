// Package postseal is the front door of an S/MIME toolkit: it holds no code.
//
//   - [github.com/postseal/postseal/smime] composes and opens messages: sign, encrypt,
//     seal (sign, then encrypt), and open, which decrypts, verifies and judges every layer
//     before any content can be read.
//   - [github.com/postseal/postseal/smime/smimetest] makes a PKI and messages for tests.
//   - [github.com/postseal/postseal/chain] decides whether a certificate is to be trusted
//     for a purpose, with a collection of anchors and intermediates that the caller owns.
//   - [github.com/postseal/postseal/certstore] finds certificates and keys. Its folders
//     hold the stores that need a dependency of their own: directories, databases, the DNS.
//
// Imports point one way: smime uses chain and certstore, chain uses certstore, and
// nothing points back. The folder examples has a quick start and a command-line program.
//
// What the packages promise, and against whom, is in docs/threats.md. Which RFC is
// implemented where is in docs/RFCs.md, what other programs read and write in
// docs/interop.md, and why things are as they are in docs/decisions.md.
package postseal
