package smime

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// fitToSign reports why a certificate may not sign mail now (RFC 8550, Section 4.4).
func fitToSign(c *x509.Certificate, now time.Time) error {
	if ku, present := keyUsage(c); present && ku&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return unfit(c, "ku.sign", "the key usage of the certificate does not allow signing")
	}
	return fitForMail(c, now)
}

// fitToEncrypt reports why nobody should encrypt to a certificate now.
func fitToEncrypt(c *x509.Certificate, now time.Time) error {
	if ku, present := keyUsage(c); present {
		want := x509.KeyUsageKeyEncipherment
		if agrees(c) {
			want = x509.KeyUsageKeyAgreement
		}
		if ku&want == 0 || ku&x509.KeyUsageDecipherOnly != 0 {
			return unfit(c, "ku.encrypt", "the key usage of the certificate does not allow encryption")
		}
	}
	return fitForMail(c, now)
}

// newestToEncrypt returns the one of certs that is fit and has the newest notBefore; nil if
// none is fit.
func newestToEncrypt(certs []*x509.Certificate, now time.Time) (newest *x509.Certificate) {
	for _, c := range certs {
		if fitToEncrypt(c, now) == nil && (newest == nil || c.NotBefore.After(newest.NotBefore)) {
			newest = c
		}
	}
	return newest
}

func fitForMail(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return unfit(c, "time.not_yet_valid", "the certificate is not valid before "+c.NotBefore.UTC().Format(time.DateOnly))
	case now.Truncate(time.Second).After(c.NotAfter):
		return unfit(c, "time.expired", "the certificate expired on "+c.NotAfter.UTC().Format(time.DateOnly))
	case (len(c.ExtKeyUsage) > 0 || len(c.UnknownExtKeyUsage) > 0) &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny):
		return unfit(c, "eku.leaf", "the extended key usage of the certificate does not include email protection")
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < limits.RSAModulusMin {
		return unfit(c, "alg.weak_key", "the RSA key of the certificate is too short")
	}
	return nil
}

// keyUsage tells an absent extension, which restricts nothing, from an empty one.
func keyUsage(c *x509.Certificate) (x509.KeyUsage, bool) {
	for _, e := range c.Extensions {
		if id, err := oid.Parse(e.Id.String()); err == nil && id == oid.KeyUsage {
			return c.KeyUsage, true
		}
	}
	return 0, false
}

// agrees reports whether the certificate's key does key agreement instead of transport.
func agrees(c *x509.Certificate) bool {
	key, err := sigalg.PublicKey(c.RawSubjectPublicKeyInfo) // more kinds than c.PublicKey has
	if err != nil {
		return false
	}
	switch key.(type) {
	case *ecdsa.PublicKey, *ecdh.PublicKey, sigalg.X448PublicKey, *sigalg.CurvePublicKey:
		return true
	}
	return false
}

func unfit(c *x509.Certificate, code, detail string) error {
	who := pkix.NameString(c.RawSubject)
	if boxes := mailbox.Of(c); len(boxes) > 0 {
		who = boxes[0].Address
	}
	return &RecipientError{Recipient: who, Code: code, Detail: detail}
}
