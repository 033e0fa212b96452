package certstore

import (
	"context"
	"crypto/x509"
	"iter"
	"math/big"
	"time"
)

// A Store holds certificates. Nothing in a store is trusted: trust is decided by
// package chain alone, and callers check that what a store returned is what they asked for.
type Store interface {
	// Certificates yields every entry that matches q, in the store's own order. Not
	// finding any is not an error. An error ends the sequence.
	Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error]
}

// A KeyStore holds identities: certificates whose private key is at hand. It is an
// interface of its own so that a public directory cannot be mistaken for a key ring.
type KeyStore interface {
	Identities(ctx context.Context, q Query) iter.Seq2[*Identity, error]
}

// A Writer is a store whose entries can be changed. An entry is known by its certificate
// and its Address together: one certificate may be filed under several addresses.
type Writer interface {
	// Put adds entries, and replaces those with the same certificate and Address. It
	// returns after they are kept for good. After an error some may be kept: to repeat
	// it does no harm.
	Put(ctx context.Context, entries ...*Entry) error
	// Remove removes the entries with the certificate and Address of each of entries.
	// What is not there need not be removed.
	Remove(ctx context.Context, entries ...*Entry) error
}

// An Entry is a certificate as a store knows it. Everything beside the certificate is a
// hint for ranking and is no more trustworthy than the store.
type Entry struct {
	Certificate  *x509.Certificate
	Source       string    // where it was found, for people: "ldap://dc1 userCertificate"
	Address      string    // the address it is filed under, if the store files by address
	Default      bool      // marked by its publisher as the one to encrypt to
	Published    bool      // published by its owner: the block that held it was signed by a key of the same mailbox
	Capabilities []byte    // DER of SMIMECapabilities (RFC 8551, Section 2.5.2), if known
	Seen         time.Time // when it was last seen; zero if the store does not know
}

// A Query selects certificates. A store with an index switches on the concrete type,
// any other can scan and call Match. The types are [Email], [IssuerSerial],
// [SubjectKeyID], [RawSubject], [Thumbprint] and [AnyOf].
type Query interface {
	Match(*x509.Certificate) bool
	query()
}

type (
	// Email matches certificates that name the mailbox (RFC 8550, Section 3).
	Email string
	// IssuerSerial matches what a CMS IssuerAndSerialNumber names (RFC 5652, Section 10.2.4).
	// A store whose index knows the octets of names alone finds only those.
	IssuerSerial struct {
		RawIssuer []byte // DER of the issuer Name
		Serial    *big.Int
	}
	// SubjectKeyID matches by subjectKeyIdentifier, which is computed for a certificate that
	// has none. A store whose index has only those of the certificates finds no other. An
	// empty one matches nothing.
	SubjectKeyID []byte
	// RawSubject matches by the DER of the subject Name.
	RawSubject []byte
	// Thumbprint matches by the SHA-256 of the certificate's DER.
	Thumbprint [32]byte
	// AnyOf matches what any of its members matches: many questions in one round trip.
	AnyOf []Query
)
