// Package ldapstore finds and publishes certificates in LDAP directories: OpenLDAP and
// its kin, and Active Directory with its global catalog.
//
// [New] makes a [Store] for an LDAP URL. Its fields say how to bind, what to trust and how
// long to wait; it connects when it is first asked. [Store.Publish] puts a user's
// certificates where readers look for them. [DirSync], [USN], [Syncrepl] and [FullPass]
// are sources for package certstore/sync.
//
// Both attributes of RFC 2798 and RFC 4523 are read, with and without ";binary":
// userSMIMECertificate in its three shapes, and userCertificate. A user is found by mail,
// by proxyAddresses as Exchange fills it, and by any other attribute the caller names.
//
// # Security
//
// Connections are protected by TLS, LDAPS or StartTLS, and the server's name is checked;
// [Store.AllowCleartext] allows reading without, but a password never travels in clear.
// Addresses are escaped into filters (RFC 4515, Section 3). Referrals are never followed,
// with or without credentials. What a directory returns is no proof of anything: it may
// hold other people's certificates, and entries are yielded as found; see package
// certstore.
//
// # Limits
//
// A server that does not answer costs [Store.Timeout] and nothing else; one that answers
// garbage costs its connection. An answer larger than 16 MiB for one entry, or of more
// than [Store.MaxEntries] entries for one address, is an error.
package ldapstore
