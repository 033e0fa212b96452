// Package sqlstore keeps certificates, private keys, revocation lists and OCSP answers in
// a database: in one SQLite file for a laptop, a mail gateway or a test, or in PostgreSQL
// where several machines share them. Both have the same tables and the same behaviour.
//
// [Open] opens or creates a [Store]. It is a [certstore.Store], a [certstore.Writer], a
// [certstore.KeyStore] and a target of package certstore/sync, which keeps its cursor in
// the same transaction as what it brought.
//
// # Security
//
// Nothing the database returns is trusted; see package certstore. Values reach SQL as
// parameters only. A private key is stored only after [Store.Unlock] or
// [Store.UnlockKey], sealed with AES-256-GCM under that secret and bound to its
// certificate: who reads the file or the backup learns nothing but which certificates
// have keys. An SQLite file is created readable by its owner alone.
//
// # Concurrency
//
// A Store is safe for concurrent use, and several processes may have the same database
// open. Readers of SQLite never wait for the writer; writers wait for each other.
package sqlstore
