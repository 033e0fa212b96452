// Package smimeastore finds certificates in the DNS: SMIMEA records (RFC 8162), which the
// holder of a mail domain publishes under a hash of the address.
//
// [New] makes a [Store] that asks a resolver. [Store.Associations] returns the records
// themselves, which may also constrain a certificate found elsewhere. [Record] is the other
// direction: the line for a zone file that publishes a certificate.
//
// # Security
//
// A record counts only with DNSSEC proof. The proof is the resolver's, so the resolver must
// validate, and the path to it must be one on which nobody can forge its answer: this
// machine itself, or TLS with the resolver's name checked (RFC 7858). Any other resolver is
// refused by [New], and an answer without proof is an error that matches [ErrInsecure].
// A record with proof is worth what the domain's holder is worth: package chain still
// decides whether its certificate may be used.
//
// Asking tells the resolver, and whoever watches it, whom mail is for; use
// [certstore.Cached] so that it is not told for every message.
//
// # Limits
//
// One question takes at most [Store.Timeout]; an answer has at most 64 KiB, of which 16
// records are read, behind at most 8 aliases.
package smimeastore
