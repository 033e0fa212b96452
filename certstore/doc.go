// Package certstore finds certificates and private keys.
//
// A [Store] answers a [Query] with entries: certificates and what the store knows about
// them. A [KeyStore] answers the same queries with identities: certificates whose private
// key is at hand. [Memory] and [Dir] are both, [Multi] and [Parallel] ask several stores, and
// [Cached] remembers the answers of a slow one. [ReadIdentities] reads PKCS#12 and PEM key files,
// [NewIdentity] takes a key that lives in a token. Every real back end (a database, a
// directory server, DNS) has a package of its own below this one.
//
// # Security
//
// Nothing a store returns is trusted. A store says where a certificate was found, not whom
// it belongs to: callers check that an entry is what they asked for, and package chain alone
// decides whether a certificate may be used. A store that files entries by address may
// return certificates that name another address; [Email.Match] tells.
//
// An [Identity] is a proven pair: it cannot be made from a key that does not belong to the
// certificate. Keys are used through the interfaces of the standard library and are never
// asked for their bytes.
//
// # Limits
//
// Key files may be hostile: all key derivation in one file together is bounded by seven and a
// half million rounds of a hash function, counted before the first is spent, so that the
// worst file costs about a second; sizes, nesting and counts are bounded as well. A folder is
// read through [os.Root]: no link or name leads out of it.
package certstore
