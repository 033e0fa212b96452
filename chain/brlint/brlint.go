// Package brlint holds certificates against the CA/Browser Forum's Baseline Requirements
// for S/MIME certificates, read in version 1.0.10 (July 2025).
//
// [Check], [CheckCRL] and [CheckOCSP] return findings. They are for whoever runs or audits a CA, and never part of a
// verdict: certificates of a company's own PKI need not follow these rules, and mail signed
// with one that breaks them is signed all the same.
package brlint

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A profile is what one of the twelve reserved policies asks for.
type profile struct {
	kind       byte // 1 mailbox, 2 organization, 3 sponsor, 4 individual
	generation byte // 1 legacy, 2 multipurpose, 3 strict
}

const (
	legacy = 1 + iota
	multipurpose
	strict
)

// String names a profile as the requirements do.
func (p profile) String() string {
	return [...]string{"", "mailbox", "organization", "sponsor", "individual"}[p.kind] + "-validated " + [...]string{"", "legacy", "multipurpose", "strict"}[p.generation]
}

// policyArc is 2.23.140.1.5, under which the reserved policies stand.
const policyArc = "\x67\x81\x0c\x01\x05"

// legacyEnd is when legacy certificates were no longer to be issued.
const legacyEnd = "2025-07-15"

// A linter looks at one certificate.
type linter struct {
	c    *pkix.Certificate
	x    *x509.Certificate
	p    profile
	list []chain.Finding
}

// Check returns what is wrong with an end-entity certificate by the requirements, each
// with a code of the family br, the severity "warning" ("info" for what only should be)
// and the section. The issuer's certificate serves to compare names; it may be nil. A
// certificate with none of the reserved policies gets the one finding br.policy.
func Check(leaf, issuer *x509.Certificate) []chain.Finding {
	l, ok := newLinter(leaf)
	if !ok || !l.policy() {
		return l.list
	}
	c := l.c
	l.purposes()
	l.usage()
	l.names()
	l.locations()
	l.identifiers()
	l.key()
	l.validity()
	if issuer != nil {
		if i, err := pkix.Parse(issuer.Raw); err != nil || !bytes.Equal(i.RawSubject, c.RawIssuer) {
			l.must("br.issuer", "7.1.4.1", "its issuer is not, octet for octet, the subject of its CA")
		}
	}
	return l.list
}

// newLinter reads a certificate and finds its profile; it reports false if there is nothing
// to look at.
func newLinter(x *x509.Certificate) (*linter, bool) {
	c, err := pkix.Parse(x.Raw)
	if err != nil {
		return &linter{list: []chain.Finding{{Code: "br.malformed", Severity: "warning", Certificate: x, Reference: "RFC 5280, Section 4.1", Detail: err.Error()}}}, false
	}
	l := &linter{c: c, x: x}
	l.reserved()
	return l, true
}

func (l *linter) must(code, section, detail string) { l.add(code, "warning", section, detail) }

func (l *linter) should(code, section, detail string) { l.add(code, "info", section, detail) }

func (l *linter) add(code, severity, section, detail string) {
	l.list = append(l.list, chain.Finding{Code: code, Severity: severity, Certificate: l.x, Reference: "S/MIME BR, Section " + section, Detail: detail})
}

// reserved counts the reserved policies and notes the profile of the last.
func (l *linter) reserved() (found int) {
	for id := range l.c.PolicyIDs {
		rest, ok := strings.CutPrefix(string(id), policyArc)
		if ok && len(rest) == 2 && rest[0] >= 1 && rest[0] <= 4 && rest[1] >= 1 && rest[1] <= 3 {
			l.p = profile{rest[0], rest[1]}
			found++
		}
	}
	return found
}

// policy wants exactly one of the reserved policies, and reports whether there is one.
func (l *linter) policy() bool {
	found := l.reserved()
	switch {
	case found == 0:
		l.must("br.policy", "7.1.6.1", "it names none of the reserved policies: it was not issued under these requirements")
	case found > 1:
		l.must("br.policy", "7.1.6.1", fmt.Sprintf("it names %d of the reserved policies", found))
	}
	if end, _ := time.Parse(time.DateOnly, legacyEnd); found > 0 && l.p.generation == legacy && l.c.NotBefore >= end.Unix() {
		l.must("br.legacy", "1.2.1", "legacy certificates are not issued since "+legacyEnd)
	}
	return found > 0
}

// purposes checks extKeyUsage.
func (l *linter) purposes() {
	c := l.c
	if !c.Has(pkix.ExtExtKeyUsage) || !c.AllowsEKU(oid.EmailProtection) {
		l.must("br.eku", "7.1.2.3 f", "its extKeyUsage does not list emailProtection")
	}
	const codeSigning = "\x2b\x06\x01\x05\x05\x07\x03\x03"
	for _, banned := range []oid.OID{oid.ServerAuth, codeSigning, oid.TimeStamping, oid.AnyExtKeyUsage} {
		if c.AllowsEKU(banned) {
			l.must("br.eku", "7.1.2.3 f", "its extKeyUsage lists "+banned.String())
		}
	}
	if l.p.generation == strict && len(c.EKU) > 2+len(oid.EmailProtection) {
		l.must("br.eku", "7.1.2.3 f", "its extKeyUsage lists more than emailProtection")
	}
}

// usage checks keyUsage against the kind of key.
func (l *linter) usage() {
	c := l.c
	if !c.Has(pkix.ExtKeyUsage) {
		l.must("br.key_usage", "7.1.2.3 e", "it has no keyUsage")
		return
	}
	if c.Critical&pkix.ExtKeyUsage == 0 {
		l.should("br.key_usage_criticality", "7.1.2.3 e", "its keyUsage is not critical")
	}
	const (
		sign      = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
		encipher  = x509.KeyUsageKeyEncipherment
		data      = x509.KeyUsageDataEncipherment
		agree     = x509.KeyUsageKeyAgreement
		agreeOnly = x509.KeyUsageEncipherOnly | x509.KeyUsageDecipherOnly
	)
	allowed, need := sign, sign
	switch oid.OID(c.KeyAlgorithm) {
	case oid.RSA, oid.RSAPSS:
		need |= encipher
		if allowed |= encipher; l.p.generation != strict {
			allowed |= data
		}
		if c.KeyUsage&data != 0 && c.KeyUsage&encipher == 0 {
			l.must("br.key_usage", "7.1.2.3 e", "its keyUsage allows dataEncipherment without keyEncipherment")
		}
	case oid.ECPublicKey:
		allowed, need = allowed|agree|agreeOnly, need|agree
		if c.KeyUsage&agreeOnly != 0 && c.KeyUsage&agree == 0 {
			l.must("br.key_usage", "7.1.2.3 e", "its keyUsage restricts keyAgreement and does not allow it")
		}
	}
	if c.KeyUsage&^allowed != 0 {
		l.must("br.key_usage", "7.1.2.3 e", "its keyUsage allows what the key is not for")
	}
	if c.KeyUsage&need == 0 || c.KeyUsage&x509.KeyUsageContentCommitment != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		l.must("br.key_usage", "7.1.2.3 e", "its keyUsage allows neither signing nor managing keys")
	}
}

// names checks subjectAltName and the mailboxes of the subject.
func (l *linter) names() {
	c := l.c
	inSAN := mailbox.OfRaw(c.SAN, nil)
	switch {
	case !c.Has(pkix.ExtSAN):
		l.must("br.san", "7.1.2.3 h", "it has no subjectAltName")
	case len(inSAN) == 0:
		l.must("br.san", "7.1.4.2.1", "its subjectAltName names no mailbox")
	}
	if c.Subject != "" && c.Critical&pkix.ExtSAN != 0 {
		l.should("br.san_criticality", "7.1.2.3 h", "its subjectAltName is critical beside a subject")
	}
	repeated := func(address string) {
		for _, m := range inSAN {
			if mailbox.Compare(address, m) != mailbox.Different {
				return
			}
		}
		l.must("br.mailbox", "7.1.4.2.1", "the mailbox "+fmt.Sprintf("%.100q", address)+" of its subject is not in its subjectAltName")
	}
	for _, m := range mailbox.OfRaw(nil, c.RawSubject) {
		repeated(m.Address)
	}
	for form, v := range pkix.GeneralNames(c.SAN) {
		switch form {
		case pkix.DirectoryName:
			for _, m := range mailbox.OfRaw(nil, v) {
				repeated(m.Address)
			}
		case pkix.OtherName:
			if id, _, ok := pkix.OtherNameValue(v); l.p.generation == strict && (!ok || oid.OID(id) != oid.SmtpUTF8Mailbox) {
				l.must("br.other_name", "7.1.4.2.1", "its subjectAltName has an otherName that is no mailbox")
			}
		}
	}
	if name := l.x.Subject.CommonName; l.p.kind == 1 && name != "" {
		if _, _, ok := mailbox.Split(name); !ok {
			l.must("br.common_name", "7.1.4.2.2 a", "its common name is no mailbox")
		} else if len(inSAN) > 0 {
			repeated(name)
		}
	}
}

// locations checks where CRLs and issuers are to be found.
func (l *linter) locations() {
	c := l.c
	var total, http int
	for p := range pkix.Points(c.DistributionPoints) {
		for form, v := range p.FullName {
			if form == pkix.URI {
				if total++; strings.HasPrefix(strings.ToLower(string(v)), "http://") {
					http++
				}
			}
		}
	}
	switch {
	case total == 0:
		l.must("br.crl", "7.1.2.3 b", "it names no CRL")
	case http == 0, l.p.generation != legacy && http < total:
		l.must("br.crl_scheme", "7.1.2.3 b", "it names CRLs that are not at an http address")
	}
	total, http = 0, 0
	for _, uri := range pkix.Access(c.InfoAccess) {
		if total++; strings.HasPrefix(strings.ToLower(uri), "http://") {
			http++
		}
	}
	switch {
	case total == 0:
		l.should("br.aia", "7.1.2.3 c", "it names neither its issuer's certificate nor an OCSP responder")
	case http == 0, l.p.generation != legacy && http < total:
		l.must("br.aia", "7.1.2.3 c", "its authorityInfoAccess has addresses other than http")
	}
}

// identifiers checks key identifiers and basicConstraints.
func (l *linter) identifiers() {
	c := l.c
	if c.AKI == nil {
		l.must("br.aki", "7.1.2.3 g", "it has no authorityKeyIdentifier")
	}
	if c.AKINamed {
		l.must("br.aki", "7.1.2.3 g", "its authorityKeyIdentifier names issuer and serial number")
	}
	if !c.Has(pkix.ExtSKI) {
		l.should("br.ski", "7.1.2.3 j", "it has no subjectKeyIdentifier")
	}
	if c.IsCA || c.PathLen >= 0 {
		l.must("br.basic_constraints", "7.1.2.3 d", "its basicConstraints are those of a CA")
	}
}

// key checks size and type of the key and the algorithm it is signed with.
func (l *linter) key() {
	c := l.c
	switch oid.OID(c.KeyAlgorithm) {
	case oid.RSA:
		if bits := pkix.RSABits(c.SPKI); bits < 2048 || bits%8 != 0 {
			l.must("br.key", "6.1.5", fmt.Sprintf("its RSA key has %d bits", bits))
		}
	case oid.ECPublicKey:
		switch oid.OID(pkix.CurveID(c.SPKI)) {
		case oid.P256, oid.P384, oid.P521:
		default:
			l.must("br.key", "6.1.5", "its key is on another curve than P-256, P-384 and P-521")
		}
	case oid.Ed25519, oid.Ed448:
	default:
		l.must("br.key", "7.1.3.1", "its key is of type "+oid.OID(c.KeyAlgorithm).String())
	}
	l.signature("it", c.Algorithm)
}

// signature checks the algorithm that something is signed with.
func (l *linter) signature(what string, algorithm []byte) {
	switch id := oid.OID(pkix.OID(algorithm)); id {
	case oid.SHA256WithRSA, oid.SHA384WithRSA, oid.SHA512WithRSA, oid.RSAPSS, oid.ECDSAWithSHA256, oid.ECDSAWithSHA384, oid.ECDSAWithSHA512, oid.Ed25519, oid.Ed448:
	default:
		l.must("br.signature", "7.1.3.2", what+" is signed with "+id.String())
	}
}

// validity checks the period, both ends included.
func (l *linter) validity() {
	days := int64(825)
	if l.p.generation == legacy {
		days = 1185
	}
	if l.c.NotAfter-l.c.NotBefore+1 > days*24*60*60 {
		l.must("br.validity", "6.3.2", fmt.Sprintf("it is valid for more than %d days (%s)", days, l.p))
	}
}
