package smimetest

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A Status is what an OCSP responder says about a certificate.
type Status int

// The answers of a responder.
const (
	Good    Status = ocsp.Good    // not revoked
	Revoked Status = ocsp.Revoked // revoked an hour ago
	Unknown Status = ocsp.Unknown // the responder does not know
)

// Revocation answers are made an hour before the time of the PKI, and hold for a week.
const (
	answerAge  = time.Hour
	answerLife = 7 * 24 * time.Hour
)

// CRL returns the DER of a complete CRL (RFC 5280, Section 5) that lists the certificates
// as revoked two hours ago. It is fresh at the time of the PKI.
func (a *Authority) CRL(revoked ...*x509.Certificate) []byte {
	made := a.pki.now.Add(-answerAge)
	list := &x509.RevocationList{
		Number:     big.NewInt(a.pki.nextSerial()),
		ThisUpdate: made,
		NextUpdate: made.Add(answerLife),
	}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber:   c.SerialNumber,
			RevocationTime: made.Add(-time.Hour),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.pki.fail(err)
	}
	return der
}

// OCSP returns the DER of an OCSP response (RFC 6960) about a certificate of a, signed by
// a itself. It is fresh at the time of the PKI.
func (a *Authority) OCSP(cert *x509.Certificate, status Status) []byte {
	made := a.pki.now.Add(-answerAge)
	answer := ocsp.Response{
		Status:       int(status),
		SerialNumber: cert.SerialNumber,
		ThisUpdate:   made,
		NextUpdate:   made.Add(answerLife),
	}
	if status == Revoked {
		answer.RevokedAt = made.Add(-time.Hour)
	}
	der, err := ocsp.CreateResponse(a.cert, a.cert, answer, a.key)
	if err != nil {
		a.pki.fail(err)
	}
	return der
}
