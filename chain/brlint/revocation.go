package brlint

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"fmt"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// Limits of the requirements, in seconds.
const (
	hour = 60 * 60
	day  = 24 * hour

	listDays       = 10  // for lists of end entities
	authorityDays  = 366 // for lists of CA certificates: twelve months
	shortestAnswer = 8 * hour
	longestAnswer  = 10 * day
)

// CheckCRL returns what is wrong with a revocation list, DER, that may tell about a
// certificate, by Sections 4.9.7, 4.9.13 and 7.2 of the requirements: its form, how long it
// counts, and the reasons it gives. Findings have the code br.crl, or br.signature, and name
// the certificate. A list of another issuer has none. The signature is not verified.
func CheckCRL(list []byte, about *x509.Certificate) []chain.Finding {
	l, ok := newLinter(about)
	if !ok {
		return l.list
	}
	c, err := pkix.ParseCRL(list)
	if err != nil {
		l.must("br.crl", "7.2", "a CRL cannot be read: "+err.Error())
		return l.list
	}
	if c.Issuer != l.c.Issuer {
		return nil
	}
	most, what := int64(listDays*day), fmt.Sprintf("%d days", listDays)
	if l.c.IsCA {
		most, what = authorityDays*day, "twelve months"
	}
	switch {
	case !c.HasNextUpdate:
		l.must("br.crl", "4.9.7", "its CRL has no nextUpdate")
	case c.NextUpdate-c.ThisUpdate > most:
		l.must("br.crl", "4.9.7", "its CRL counts for more than "+what)
	}
	if c.Version != 2 {
		l.must("br.crl", "7.2.1", "its CRL is of version 1")
	}
	if c.Number == nil || c.NumberCritical {
		l.must("br.crl", "7.2.2", "its CRL has no CRL number, or a critical one")
	}
	if c.AKI == nil {
		l.must("br.crl", "7.2.2", "its CRL has no authorityKeyIdentifier")
	}
	l.signature("its CRL", c.Algorithm)
	var spelled, held bool
	for _, r := range c.Revocations {
		spelled = spelled || r.HasReason && r.Reason == pkix.Unspecified
		held = held || r.Reason == pkix.CertificateHold
	}
	if spelled {
		l.must("br.crl", "7.2.2", "an entry of its CRL spells out the reason unspecified")
	}
	if held && l.p.generation == strict {
		l.must("br.crl", "4.9.13", "its CRL has certificates on hold")
	}
	return l.list
}

// CheckOCSP returns what is wrong with an OCSP response, DER, about a certificate of an
// issuer, by Sections 4.9.9, 4.9.10 and 4.9.13 of the requirements: who signed it, and how
// long it counts. Findings have the code br.ocsp, or br.signature. A response about
// something else has none. The signature is not verified.
func CheckOCSP(response []byte, about, issuer *x509.Certificate) []chain.Finding {
	l, ok := newLinter(about)
	if !ok {
		return l.list
	}
	r, err := pkix.ParseOCSP(response)
	if err == nil && r.Status != 0 {
		return nil // an error is no answer
	}
	if err != nil {
		l.must("br.ocsp", "4.9.9", "an OCSP response cannot be read: "+err.Error())
		return l.list
	}
	found := false
	for _, s := range r.Singles {
		if !pkix.SameSerial(s.Serial, l.c.Serial) {
			continue
		}
		found = true
		switch length := s.NextUpdate - s.ThisUpdate; {
		case !s.HasNextUpdate:
			l.must("br.ocsp", "4.9.10", "an OCSP response has no nextUpdate")
		case length < shortestAnswer:
			l.must("br.ocsp", "4.9.10", "an OCSP response counts for less than eight hours")
		case length > longestAnswer:
			l.must("br.ocsp", "4.9.10", "an OCSP response counts for more than ten days")
		}
		if s.Revoked != nil && s.Revoked.Reason == pkix.CertificateHold && l.p.generation == strict {
			l.must("br.ocsp", "4.9.13", "an OCSP response says that it is on hold")
		}
	}
	if !found {
		return nil
	}
	l.responder(r, issuer)
	l.signature("an OCSP response", r.Algorithm)
	return l.list
}

// responder checks who a response says has signed it: the issuer, or a delegate made for it.
func (l *linter) responder(r *pkix.OCSP, issuer *x509.Certificate) {
	names := func(c *pkix.Certificate) bool {
		if r.HasName {
			return c.Subject == r.ResponderName
		}
		sum := sha1.Sum(pkix.KeyBits(c.SPKI))
		return bytes.Equal(sum[:], r.ResponderKey)
	}
	if issuer != nil {
		if i, err := pkix.Parse(issuer.Raw); err == nil && names(i) {
			return
		}
	}
	for _, der := range r.Certificates {
		c, err := pkix.Parse(der)
		if err != nil || !names(c) {
			continue
		}
		if c.Issuer != l.c.Issuer {
			l.must("br.ocsp", "4.9.9", "the OCSP responder was not certified by its issuer")
		}
		if !c.AllowsEKU(oid.OCSPSigning) {
			l.must("br.ocsp", "4.9.9", "the OCSP responder's certificate does not list ocspSigning in its extKeyUsage")
		}
		if !c.Has(pkix.ExtNoCheck) {
			l.must("br.ocsp", "4.9.9", "the OCSP responder's certificate has no ocsp-nocheck")
		}
		return
	}
	l.must("br.ocsp", "4.9.9", "an OCSP response is neither by its issuer nor by a delegate whose certificate came with it")
}
