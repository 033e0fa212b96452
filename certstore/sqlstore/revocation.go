package sqlstore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// PutCRL keeps a certificate revocation list in DER. source says where it came from, such
// as a URL; of the lists from the same source and issuer the four issued last are kept.
// The signature is not checked: that is for package chain.
func (s *Store) PutCRL(ctx context.Context, source string, der []byte) error {
	source = text(source)
	list, err := readCRL(der)
	if err != nil {
		return fmt.Errorf("sqlstore: revocation list from %s: %w", source, err)
	}
	if err := s.update(ctx, func(t *tx) error { return t.putCRL(source, der, list) }); err != nil {
		return fmt.Errorf("sqlstore: put revocation list: %w", err)
	}
	return nil
}

// maxKept is how many lists of one source and issuer, and responses about one certificate, are
// kept. One would let a later date that nobody has signed take the place of a revocation.
const maxKept = 4

func (t *tx) putCRL(source string, der []byte, list *crl) error {
	h, issuer := sha256.Sum256(der), hashKey(list.issuer)
	_, err := t.exec("INSERT INTO crls (sha256, issuer, source, der, this_update, next_update) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		h[:], issuer, source, der, list.thisUpdate.UnixMicro(), toMicros(list.nextUpdate))
	if err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM crls WHERE issuer = ? AND source = ? AND this_update < "+
		"(SELECT this_update FROM crls WHERE issuer = ? AND source = ? ORDER BY this_update DESC LIMIT 1 OFFSET ?)", issuer, source, issuer, source, maxKept-1)
	return err
}

// CRLs yields the DER of the revocation lists whose issuer has the DER name rawIssuer,
// the latest first.
func (s *Store) CRLs(ctx context.Context, rawIssuer []byte) iter.Seq2[[]byte, error] {
	return s.blobs(ctx, "SELECT der FROM crls WHERE issuer = ? ORDER BY this_update DESC", hashKey(rawIssuer))
}

// PutOCSP keeps a DER OCSP response (RFC 6960) about a certificate, of which the four issued
// last are kept. The signature is not checked: that is for package chain.
func (s *Store) PutOCSP(ctx context.Context, c *x509.Certificate, der []byte) error {
	if len(der) > limits.AttributeSize {
		return fmt.Errorf("sqlstore: OCSP response: %w", &limits.Exceeded{What: "octets of an OCSP response", Max: limits.AttributeSize})
	}
	thisUpdate, nextUpdate, err := readOCSP(der, c)
	if err != nil {
		return fmt.Errorf("sqlstore: OCSP response for %q: %w", c.Subject, err)
	}
	h, cert := sha256.Sum256(der), hashKey(c.Raw)
	err = s.update(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO ocsp (sha256, certificate, der, this_update, next_update) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			h[:], cert, der, thisUpdate.UnixMicro(), toMicros(nextUpdate))
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM ocsp WHERE certificate = ? AND this_update < "+
			"(SELECT this_update FROM ocsp WHERE certificate = ? ORDER BY this_update DESC LIMIT 1 OFFSET ?)", cert, cert, maxKept-1)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: put OCSP response: %w", err)
	}
	return nil
}

// readOCSP returns the dates of what a response says about a certificate.
func readOCSP(der []byte, c *x509.Certificate) (thisUpdate, nextUpdate time.Time, err error) {
	r, err := pkix.ParseOCSP(der)
	if err != nil {
		return thisUpdate, nextUpdate, err
	}
	v, err := pkix.Parse(c.Raw)
	if err != nil {
		return thisUpdate, nextUpdate, err
	}
	for _, x := range r.Singles {
		if pkix.SameSerial(x.Serial, v.Serial) {
			if x.HasNextUpdate {
				nextUpdate = time.Unix(x.NextUpdate, 0)
			}
			return time.Unix(x.ThisUpdate, 0), nextUpdate, nil
		}
	}
	return thisUpdate, nextUpdate, errors.New("it says nothing about the certificate")
}

// OCSP yields the DER of the OCSP responses about a certificate, the latest first.
func (s *Store) OCSP(ctx context.Context, c *x509.Certificate) iter.Seq2[[]byte, error] {
	return s.blobs(ctx, "SELECT der FROM ocsp WHERE certificate = ? ORDER BY this_update DESC", hashKey(c.Raw))
}

func (s *Store) blobs(ctx context.Context, query string, arg any) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		stmt, err := s.statement(ctx, s.dialect.placeholders(query))
		var rows *sql.Rows
		if err == nil {
			rows, err = stmt.QueryContext(ctx, arg)
		}
		if err != nil {
			yield(nil, fmt.Errorf("sqlstore: %w", err))
			return
		}
		stopped := errors.New("stopped")
		err = each(rows, func(rows *sql.Rows) error {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			if !yield(b, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(nil, fmt.Errorf("sqlstore: %w", err))
		}
	}
}

type crl struct {
	issuer                 []byte
	thisUpdate, nextUpdate time.Time
}

// readCRL reads the head of a CertificateList without the revoked entries, which may be
// many (RFC 5280, Section 5.1):
//
//	TBSCertList ::= SEQUENCE {
//	    version Version OPTIONAL, signature AlgorithmIdentifier, issuer Name,
//	    thisUpdate Time, nextUpdate Time OPTIONAL, ... }
func readCRL(der []byte) (*crl, error) {
	if len(der) > limits.CRLSize {
		return nil, &limits.Exceeded{What: "octets of a revocation list", Max: limits.CRLSize}
	}
	var list, tbs, issuer cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&list, asn1.SEQUENCE) || !in.Empty() || !list.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.INTEGER) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) {
		return nil, errors.New("not a CertificateList")
	}
	r := &crl{issuer: issuer}
	if !readTime(&tbs, &r.thisUpdate) {
		return nil, errors.New("thisUpdate cannot be read")
	}
	if tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime) {
		if !readTime(&tbs, &r.nextUpdate) {
			return nil, errors.New("nextUpdate cannot be read")
		}
	}
	return r, nil
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(asn1.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
