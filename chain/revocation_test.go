package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
)

// listing makes a CRL of issuer that revokes the certificates with a reason.
func listing(t testing.TB, issuer *entity, edit func(*x509.RevocationList), revoked ...*entity) []byte {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(10), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	for _, r := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.SerialNumber, RevocationTime: now.Add(-2 * time.Hour), ReasonCode: 1})
	}
	if edit != nil {
		edit(tmpl)
	}
	signer := *issuer.Certificate
	signer.KeyUsage |= x509.KeyUsageCRLSign
	if len(signer.SubjectKeyId) == 0 {
		signer.SubjectKeyId = keyIDOf(&signer)
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, &signer, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// answer makes an OCSP response of signer about a certificate of issuer.
func answer(t testing.TB, issuer, signer, about *entity, edit func(*ocsp.Response)) []byte {
	t.Helper()
	tmpl := ocsp.Response{Status: ocsp.Good, SerialNumber: about.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	if signer != issuer {
		tmpl.Certificate = signer.Certificate
	}
	if edit != nil {
		edit(&tmpl)
	}
	der, err := ocsp.CreateResponse(issuer.Certificate, signer.Certificate, tmpl, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return produced(t, der, signer.key, now)
}

// produced signs a response anew with another producedAt: the package that made it takes
// that from the real clock.
func produced(t testing.TB, der []byte, key crypto.Signer, at time.Time) []byte {
	t.Helper()
	type outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
	type basic struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
		Certs     asn1.RawValue `asn1:"optional,tag:0"`
	}
	var o outer
	var b basic
	if _, err := asn1.Unmarshal(der, &o); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(o.Bytes.Response, &b); err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b.TBS.FullBytes, []byte{24, 15})
	copy(b.TBS.FullBytes[i+2:], at.Format("20060102150405Z"))
	digest := sha256.Sum256(b.TBS.FullBytes)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	b.TBS = asn1.RawValue{FullBytes: b.TBS.FullBytes}
	b.Algorithm = asn1.RawValue{FullBytes: b.Algorithm.FullBytes}
	b.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	if len(b.Certs.FullBytes) > 0 {
		b.Certs = asn1.RawValue{FullBytes: b.Certs.FullBytes}
	}
	if o.Bytes.Response, err = asn1.Marshal(b); err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// responder is an edit for a certificate that may sign OCSP responses.
func responder(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
}

// sources is an edit that names where a status can be learned.
func sources(crl, ocsp string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		if crl != "" {
			c.CRLDistributionPoints = []string{crl}
		}
		if ocsp != "" {
			c.OCSPServer = []string{ocsp}
		}
	}
}

// judge asks about a leaf under a root with revocation as given.
func judge(t testing.TB, root, leaf *entity, rev chain.Revocation, others ...*entity) *chain.Report {
	t.Helper()
	return explain(t, root, leaf, chain.Request{Revocation: &rev}, others...)
}

// Attack row G08: every mode with every answer; what is not known is never quietly good.
func TestRevocationModes(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	named := issue(t, root, "alice", mail, sources("http://crl.example/a.crl", ""))
	plain := issue(t, root, "alice", mail)
	clear, hit := listing(t, root, nil), listing(t, root, nil, named, plain)
	for _, tt := range []struct {
		name string
		leaf *entity
		rev  chain.Revocation
		want string
		warn string
	}{
		{"strict: source named, nothing at hand", named, chain.Revocation{}, "rev.unknown", ""},
		{"strict: no source named", plain, chain.Revocation{}, "valid", "rev.not_checked"},
		{"strict: no source named, but listed", plain, chain.Revocation{CRLs: [][]byte{hit}}, "rev.revoked", ""},
		{"strict: answered", named, chain.Revocation{CRLs: [][]byte{clear}}, "valid", ""},
		{"soft: nothing at hand", named, chain.Revocation{AllowUnknown: true}, "valid", "rev.unknown"},
		{"soft: revoked", named, chain.Revocation{AllowUnknown: true, CRLs: [][]byte{hit}}, "rev.revoked", ""},
		{"all: no source named", plain, chain.Revocation{RequireAll: true}, "rev.unknown", ""},
		{"all wins over soft", plain, chain.Revocation{RequireAll: true, AllowUnknown: true}, "rev.unknown", ""},
		{"all: answered", plain, chain.Revocation{RequireAll: true, CRLs: [][]byte{clear}}, "valid", ""},
		{"off: revoked", named, chain.Revocation{InsecureOff: true, CRLs: [][]byte{hit}}, "valid", "rev.not_checked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(t, root, tt.leaf, tt.rev)
			expect(t, r, tt.want)
			if tt.warn != "" && !warned(r, tt.warn) {
				t.Errorf("no warning %s\n%s", tt.warn, r)
			}
			if tt.want == "rev.unknown" && r.Verdict != "indeterminate" || tt.want == "rev.revoked" && r.Verdict != "invalid" {
				t.Errorf("verdict %s", r.Verdict)
			}
		})
	}
}

// TestCRLRules has a row for each rule of RFC 5280, Section 6.3.3 that PKITS leaves open.
// Attack row G07: lists of another scope, or of another form.
func TestCRLRules(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	other := issue(t, nil, "Root", ca)
	noSign := issue(t, nil, "No CRL sign", ca, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	under := issue(t, noSign, "alice", mail)
	must := func(crls ...[]byte) chain.Revocation { return chain.Revocation{RequireAll: true, CRLs: crls} }
	for _, tt := range []struct {
		name string
		crl  []byte
		why  string // "" for valid
	}{
		{"fresh", listing(t, root, nil), ""},
		{"stale", listing(t, root, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = now.AddDate(0, 0, -2), now.AddDate(0, 0, -1)
		}), "crl.stale"},
		{"of the future", listing(t, root, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = now.AddDate(0, 0, 1), now.AddDate(0, 0, 2)
		}), "crl.not_yet_valid"},
		{"signed by another key of that name", listing(t, other, nil), "crl.signature"},
		{"unknown critical extension", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), "crl.unknown_critical"},
		{"unknown critical extension of an entry", listing(t, root, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: now, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}}}
		}), "crl.unknown_critical"},
		{"for CA certificates only", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}}
		}), "crl.scope"},
		{"for some reasons only", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0x83, 2, 6, 0x40}}}
		}), "crl.partial_reasons"},
		{"for some reasons, none of them", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x83, 1, 0}}}
		}), "crl.partial_reasons"},
		{"for attribute certificates only", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x85, 1, 0xff}}}
		}), "crl.scope"},
		{"for another distribution point", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, 17, 0xa0, 15, 0xa0, 13, 0x86, 11}, "http://a.b/"...)}}
		}), "crl.scope"},
		{"a delta alone", listing(t, root, deltaOf(9)), "crl.delta"},
		{"without a number", unnumbered(t, root), ""},
		{"of version 1", versionOne(t, root), ""},
		{"for end entities only", listing(t, root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}}
		}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(t, root, leaf, must(tt.crl))
			if tt.why == "" {
				expect(t, r, "valid")
				return
			}
			expect(t, r, "rev.unknown")
			if len(r.Codes) < 2 || r.Codes[1] != tt.why {
				t.Errorf("codes %v, want %s", r.Codes, tt.why)
			}
		})
	}
	// A list by somebody of that name who has no path to the same anchor.
	if r := judge(t, root, leaf, must(listing(t, other, nil)), other); len(r.Codes) != 2 || r.Codes[1] != "crl.issuer_path" {
		t.Errorf("a CRL of another issuer of that name: %v", r.Codes)
	}
	twoAlgorithms := bytes.Replace(listing(t, root, nil), []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3}, 1)
	if r := judge(t, root, leaf, must(twoAlgorithms)); len(r.Codes) != 2 || r.Codes[1] != "crl.malformed" {
		t.Errorf("a CRL with two algorithms: %v", r.Codes)
	}
	if r := judge(t, noSign, under, must(listing(t, noSign, nil))); len(r.Codes) != 2 || r.Codes[1] != "crl.key_usage" {
		t.Errorf("a CRL of an issuer without cRLSign: %v", r.Codes)
	}
}

// Addresses of distribution points are compared in one form (RFC 5280, Section 7.4).
func TestDistributionPointAddresses(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail, sources("http://CRL.example.com/~a/b%2fc.crl", ""))
	bare := issue(t, root, "alice", mail, sources("ldap://ldap.example.com", ""))
	for _, tt := range []struct {
		leaf    *entity
		address string
		same    bool
	}{
		{leaf, "http://CRL.example.com/~a/b%2fc.crl", true},
		{leaf, "HTTP://crl.example.com:80/%7Ea/x/.././b%2Fc.crl", true},
		{leaf, "http://crl.example.com/~A/b%2fc.crl", false},
		{leaf, "http://crl.example.com/~a/b/c.crl", false},
		{leaf, "http://crl.example.com:8080/~a/b%2fc.crl", false},
		{leaf, "https://crl.example.com/~a/b%2fc.crl", false},
		{leaf, "http://crl.example.org/~a/b%2fc.crl", false},
		{leaf, "%", false},
		{bare, "LDAP://LDAP.example.com:389/", true},
		{bare, "ldap://ldap.example.com//", false},
	} {
		n := byte(len(tt.address))
		list := listing(t, root, extended(append([]byte{0x30, n + 6, 0xa0, n + 4, 0xa0, n + 2, 0x86, n}, tt.address...)))
		r := judge(t, root, tt.leaf, chain.Revocation{RequireAll: true, CRLs: [][]byte{list}})
		if r.Path != nil != tt.same {
			t.Errorf("%s: %s %v", tt.address, r.Verdict, r.Codes)
		}
	}
}

// extended gives a list an issuingDistributionPoint.
func extended(scope []byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: scope}}
	}
}

// deltaOf makes a list a delta to a base.
func deltaOf(base byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}})
		l.Number = big.NewInt(12)
	}
}

// relisted signs a list anew after an edit of its TBSCertList.
func relisted(t testing.TB, issuer *entity, list []byte, edit func(tbs []byte) []byte) []byte {
	t.Helper()
	var parts struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(list, &parts); err != nil {
		t.Fatal(err)
	}
	parts.TBS = asn1.RawValue{FullBytes: der(t, asn1.RawValue{Tag: 16, IsCompound: true, Bytes: edit(parts.TBS.Bytes)})}
	digest := sha256.Sum256(parts.TBS.FullBytes)
	sig, err := issuer.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	parts.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	return der(t, parts)
}

// unnumbered makes a list without extensions, versionOne one of version 1.
func unnumbered(t testing.TB, issuer *entity) []byte {
	t.Helper()
	return relisted(t, issuer, listing(t, issuer, nil), func(tbs []byte) []byte {
		i := 0
		for tbs[i] != 0xa0 || int(tbs[i+1]) != len(tbs)-i-2 { // crlExtensions [0], the last field
			i++
		}
		return bytes.Clone(tbs[:i])
	})
}

func versionOne(t testing.TB, issuer *entity) []byte {
	t.Helper()
	return relisted(t, issuer, unnumbered(t, issuer), func(tbs []byte) []byte { return bytes.TrimPrefix(tbs, []byte{2, 1, 1}) })
}

// Deltas: they add to a base and take from it, and only to one of their own kind (RFC 5280,
// Section 5.2.4). Attack row G07.
func TestDeltaRules(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	held := listing(t, root, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: now.Add(-time.Hour), ReasonCode: 6}}
	})
	lifted := func(l *x509.RevocationList) {
		deltaOf(9)(l)
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: now.Add(-time.Hour), ReasonCode: 8}}
	}
	for _, tt := range []struct {
		name        string
		base, delta []byte
		want        string
	}{
		{"nothing new", listing(t, root, nil), listing(t, root, deltaOf(9)), "valid"},
		{"revoked since", listing(t, root, nil), listing(t, root, deltaOf(9), leaf), "rev.revoked"},
		{"a hold is lifted", held, listing(t, root, lifted), "valid"},
		{"a hold is not lifted", held, listing(t, root, deltaOf(9)), "rev.on_hold"},
		{"of a later base", listing(t, root, nil), listing(t, root, deltaOf(11), leaf), "valid"},
		{"older than its base", listing(t, root, nil), listing(t, root, func(l *x509.RevocationList) {
			deltaOf(2)(l)
			l.Number = big.NewInt(3)
		}, leaf), "valid"},
		{"by somebody else", listing(t, root, nil), listing(t, issue(t, nil, "Root", ca), deltaOf(9), leaf), "valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, judge(t, root, leaf, chain.Revocation{RequireAll: true, CRLs: [][]byte{tt.delta, tt.base}}), tt.want)
		})
	}
}

// Indirect lists: of another issuer, only where the certificate names him (RFC 5280, Section
// 5.2.5), and for the certificates of the issuer an entry names. Attack row G07.
func TestIndirectRules(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	lister := issue(t, root, "Lister", ca)
	named := func(name pkix.Name) []byte {
		dn := der(t, dirName(t, name))
		return append(append([]byte{0x30, byte(len(dn) + 4), 0x30, byte(len(dn) + 2), 0xa2}, byte(len(dn))), dn...)
	}
	leaf := issue(t, root, "alice", mail, extension(asn1.ObjectIdentifier{2, 5, 29, 31}, false, named(lister.Subject)))
	plain := issue(t, root, "bob", mail)
	list := func(indirect bool, issuer pkix.Name, revoked ...*entity) []byte {
		return listing(t, lister, func(l *x509.RevocationList) {
			if indirect {
				l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}}
			}
			for i := range l.RevokedCertificateEntries {
				dn := der(t, dirName(t, issuer))
				l.RevokedCertificateEntries[i].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: append([]byte{0x30, byte(len(dn))}, dn...)}}
			}
		}, revoked...)
	}
	for _, tt := range []struct {
		name string
		leaf *entity
		crl  []byte
		want string
	}{
		{"names the issuer of the leaf", leaf, list(true, root.Subject, leaf), "rev.revoked"},
		{"names another issuer", leaf, list(true, lister.Subject, leaf), "valid"},
		{"empty", leaf, list(true, root.Subject), "valid"},
		{"does not say that it is indirect", leaf, list(false, root.Subject), "rev.unknown"},
		{"the certificate does not name it", plain, list(true, root.Subject, plain), "rev.unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(t, root, tt.leaf, chain.Revocation{RequireAll: true, CRLs: [][]byte{tt.crl, listing(t, root, func(l *x509.RevocationList) {
				// The lister's own status, and nobody else's.
				l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}}
			})}}, lister)
			expect(t, r, tt.want)
		})
	}
}

// A hold that a newer list has lifted does not count; one that it has not does.
func TestHoldIsLifted(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	hold := func(at time.Duration, reason int) []byte {
		return listing(t, root, func(l *x509.RevocationList) {
			l.ThisUpdate = now.Add(at)
			if reason >= 0 {
				l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: now.AddDate(0, 0, -3), ReasonCode: reason}}
			}
		})
	}
	older, newer := -2*time.Hour, -time.Hour
	for _, tt := range []struct {
		name string
		crls [][]byte
		want string
	}{
		{"on hold", [][]byte{hold(newer, 6)}, "rev.on_hold"},
		{"lifted", [][]byte{hold(older, 6), hold(newer, -1)}, "valid"},
		{"put on hold", [][]byte{hold(older, -1), hold(newer, 6)}, "rev.on_hold"},
		{"revoked stays revoked", [][]byte{hold(older, 1), hold(newer, -1)}, "rev.revoked"},
	} {
		r := judge(t, root, leaf, chain.Revocation{RequireAll: true, CRLs: tt.crls})
		expect(t, r, tt.want)
	}
}

// TestOCSPRules has a row for each way an OCSP response can be wrong, O1 to O6 of the
// defects of golang.org/x/crypto/ocsp among them. Attack row G06: answers about something
// else, by somebody else, or too old.
func TestOCSPRules(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	good := issue(t, root, "Responder", responder)
	mallory := issue(t, root, "mallory", mail)
	anyUse := issue(t, root, "Responder", responder, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	expired := issue(t, root, "Responder", responder, between(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))
	sub := issue(t, root, "Sub", ca)
	ofSub := issue(t, sub, "Responder", responder)
	stranger := issue(t, nil, "Root", ca)
	agreement := issue(t, root, "Responder", responder, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	checked := issue(t, root, "Responder", responder, func(c *x509.Certificate) { c.ExtraExtensions = nil })
	gone := func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now, 1 }
	for _, tt := range []struct {
		name string
		der  []byte
		crl  []byte
		why  string // "valid", "rev.revoked" or the reason it does not count
	}{
		{"by the issuer", answer(t, root, root, leaf, nil), nil, "valid"},
		{"O4: by the issuer, whose certificate is inside", answer(t, root, root, leaf, func(r *ocsp.Response) { r.Certificate = root.Certificate }), nil, "valid"},
		{"by a delegate", answer(t, root, good, leaf, nil), nil, "valid"},
		{"O1: by any certificate of the issuer", answer(t, root, mallory, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by a delegate for any purpose", answer(t, root, anyUse, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by an expired delegate", answer(t, root, expired, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by a delegate that has expired since", produced(t, answer(t, root, expired, leaf, nil), expired.key, expired.NotAfter), nil, "ocsp.unauthorized_responder"},
		{"made before what it tells of", produced(t, answer(t, root, root, leaf, nil), root.key, now.Add(-2*time.Hour)), nil, "ocsp.malformed"},
		{"made a little before, by its clock", produced(t, answer(t, root, root, leaf, nil), root.key, now.Add(-time.Hour-time.Minute)), nil, "valid"},
		{"by a delegate of another CA", answer(t, root, ofSub, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by a delegate that may not sign", answer(t, root, agreement, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by another CA of that name", answer(t, root, stranger, leaf, func(r *ocsp.Response) { r.Certificate = nil }), nil, "ocsp.signature"},
		{"by a delegate of unknown status", answer(t, root, checked, leaf, nil), nil, "ocsp.unauthorized_responder"},
		{"by a delegate on no CRL", answer(t, root, checked, leaf, nil), listing(t, root, nil), "valid"},
		{"revoked, by a delegate on no CRL", answer(t, root, checked, leaf, gone), listing(t, root, nil), "rev.revoked"},
		{"revoked, by a revoked delegate", answer(t, root, checked, leaf, gone), listing(t, root, nil, checked), "valid"},
		{"O2: years old", answer(t, root, good, leaf, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = now.AddDate(-3, 0, 0), now.AddDate(-3, 0, 1)
		}), nil, "ocsp.stale"},
		{"old, without an end", answer(t, root, good, leaf, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.AddDate(0, 0, -8), time.Time{} }), nil, "ocsp.stale"},
		{"fresh, without an end", answer(t, root, root, leaf, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), nil, "valid"},
		{"of the future", answer(t, root, root, leaf, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.AddDate(0, 0, 1), now.AddDate(0, 0, 2) }), nil, "ocsp.not_yet_valid"},
		{"O3: same serial of another issuer", answer(t, sub, sub, leaf, nil), nil, "ocsp.certid"},
		{"about another certificate", answer(t, root, root, mallory, nil), nil, "ocsp.certid"},
		{"SHA-256 in the CertID", answer(t, root, root, leaf, func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), nil, "valid"},
		{"unknown", answer(t, root, root, leaf, func(r *ocsp.Response) { r.Status = ocsp.Unknown }), nil, "ocsp.unknown"},
		{"revoked", answer(t, root, root, leaf, func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now, 1 }), nil, "rev.revoked"},
		{"on hold", answer(t, root, root, leaf, func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now, 6 }), nil, "rev.on_hold"},
		{"an error", ocsp.TryLaterErrorResponse, nil, "ocsp.error_status"},
		{"unknown critical extension", answer(t, root, root, leaf, func(r *ocsp.Response) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), nil, "ocsp.unknown_critical"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rev := chain.Revocation{RequireAll: true, OCSP: [][]byte{tt.der}}
			if tt.crl != nil {
				rev.CRLs = [][]byte{tt.crl}
			}
			r := judge(t, root, leaf, rev, sub)
			if !strings.HasPrefix(tt.why, "ocsp.") {
				expect(t, r, tt.why)
				return
			}
			expect(t, r, "rev.unknown")
			if len(r.Codes) < 2 || r.Codes[1] != tt.why {
				t.Errorf("codes %v, want %s\n%s", r.Codes, tt.why, r)
			}
		})
	}
}

// embedding replaces the certificates of a response, which no signature covers, and signs it
// anew if a key is given.
func embedding(t testing.TB, response []byte, pss *rsa.PrivateKey, certs ...*entity) []byte {
	t.Helper()
	var o struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
	var b struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
		Certs     asn1.RawValue `asn1:"optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(response, &o); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(o.Bytes.Response, &b); err != nil {
		t.Fatal(err)
	}
	alg, sig := b.Algorithm.FullBytes, b.Signature
	if pss != nil {
		// RSASSA-PSS with SHA-256, MGF1 of it and a salt of 32 octets.
		alg = []byte("\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00" +
			"\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20")
		digest := sha256.Sum256(b.TBS.FullBytes)
		s, err := rsa.SignPSS(rand.Reader, pss, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		sig = asn1.BitString{Bytes: s, BitLength: 8 * len(s)}
	}
	body := slices.Concat(b.TBS.FullBytes, alg, der(t, sig))
	if len(certs) > 0 {
		var list []asn1.RawValue
		for _, c := range certs {
			list = append(list, asn1.RawValue{FullBytes: c.Raw})
		}
		body = append(body, der(t, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: der(t, list)})...)
	}
	o.Bytes.Response = der(t, asn1.RawValue{Tag: 16, IsCompound: true, Bytes: body})
	return der(t, o)
}

// keyed makes a response of signer, without certificates, one whose responderID is the hash of
// a key, as most public responders write it (RFC 6960, Section 4.2.2.3).
func keyed(t testing.TB, response []byte, signer *entity, key []byte) []byte {
	t.Helper()
	var o struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(response, &o); err != nil {
		t.Fatal(err)
	}
	byName := der(t, asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: signer.RawSubject})
	byKey := der(t, asn1.RawValue{Class: 2, Tag: 2, IsCompound: true, Bytes: der(t, key)})
	var b struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(replaceTBS(t, o.Bytes.Response, byName, byKey), &b); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(b.TBS.FullBytes)
	sig, err := signer.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	b.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	o.Bytes.Response = der(t, b)
	return der(t, o)
}

// The responder's certificate is looked for among all that came along, and its signature is
// judged like any other (O5 and O6).
func TestResponderIsFound(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	good := issue(t, root, "Responder", responder)
	other := issue(t, root, "Other", mail)
	key := rsaKey(t, 2048).(*rsa.PrivateKey)
	rsaDelegate := issueWith(t, key, root, "Responder", responder)
	byGood, byRSA := answer(t, root, good, leaf, nil), answer(t, root, rsaDelegate, leaf, nil)
	pss := embedding(t, byRSA, key, rsaDelegate)
	alteredPSS := bytes.Clone(pss)
	alteredPSS[bytes.Index(pss, rsaDelegate.Raw)-20] ^= 1
	for _, tt := range []struct {
		name string
		der  []byte
		why  string
	}{
		{"behind others", embedding(t, byGood, nil, other, root, leaf, good), ""},
		{"in front of others", embedding(t, byGood, nil, good, other), ""},
		{"not among them", embedding(t, byGood, nil, other, root), "ocsp.unauthorized_responder"},
		{"none at all", embedding(t, byGood, nil), "ocsp.unauthorized_responder"},
		{"by key, of the issuer", keyed(t, answer(t, root, root, leaf, nil), root, keyIDOf(root.Certificate)), ""},
		{"by key, of a delegate", embedding(t, keyed(t, byGood, good, keyIDOf(good.Certificate)), nil, other, good), ""},
		{"by key, of somebody else", embedding(t, keyed(t, byGood, good, keyIDOf(other.Certificate)), nil, other, good), "ocsp.signature"},
		{"with PSS", pss, ""},
		{"with PSS, altered", alteredPSS, "ocsp.signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(t, root, leaf, chain.Revocation{RequireAll: true, OCSP: [][]byte{tt.der}})
			if tt.why == "" {
				expect(t, r, "valid")
			} else if len(r.Codes) != 2 || r.Codes[1] != tt.why {
				t.Errorf("codes %v, want %s\n%s", r.Codes, tt.why, r)
			}
		})
	}
	for name, der := range map[string][]byte{"by name": embedding(t, byGood, nil), "by key": keyed(t, byGood, good, keyIDOf(good.Certificate))} {
		for member, want := range map[*entity]string{good: "valid", other: "rev.unknown"} {
			rev := chain.Revocation{RequireAll: true, OCSP: [][]byte{der}}
			r := verifier(collection(root, member)).Explain(t.Context(), chain.Request{Leaf: leaf.Certificate, Revocation: &rev})
			if expect(t, r, want); t.Failed() {
				t.Fatalf("%s, with %s in the collection", name, member.Subject)
			}
		}
	}
}

// A verified "revoked" decides against any number of "good", in any order.
func TestRevokedBeatsGood(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	good := answer(t, root, root, leaf, nil)
	bad := answer(t, root, root, leaf, func(r *ocsp.Response) {
		r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now.Add(-time.Hour), 1
	})
	hit, clear := listing(t, root, nil, leaf), listing(t, root, nil)
	for _, rev := range []chain.Revocation{
		{OCSP: [][]byte{good, bad}}, {OCSP: [][]byte{bad, good}}, {OCSP: [][]byte{good}, CRLs: [][]byte{hit}}, {OCSP: [][]byte{bad}, CRLs: [][]byte{clear}}, {CRLs: [][]byte{clear, hit}},
	} {
		rev.AllowUnknown = true
		expect(t, judge(t, root, leaf, rev), "rev.revoked")
	}
}

// A revoked CA takes everything below it along; the anchor is never asked about.
func TestRevokedIssuer(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	clear := listing(t, sub, nil)
	r := judge(t, root, leaf, chain.Revocation{CRLs: [][]byte{clear, listing(t, root, nil, sub)}}, sub)
	expect(t, r, "rev.revoked")
	if r.Findings[0].Certificate == nil || r.Findings[0].Certificate.Subject.CommonName != "Issuing" {
		t.Errorf("the finding is about %v", r.Findings[0].Certificate)
	}
	expect(t, judge(t, root, leaf, chain.Revocation{RequireAll: true, CRLs: [][]byte{clear, listing(t, root, nil, root)}}, sub), "valid")
}

// Another path may avoid a revoked cross certificate.
func TestPathAroundRevocation(t *testing.T) {
	root, other := issue(t, nil, "Root", ca), issue(t, nil, "Other root", ca)
	sub := issue(t, root, "Issuing", ca)
	cross := issueWith(t, sub.key, other, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	anchors := collection(root)
	anchors.AddAnchor(other.Certificate)
	for _, gone := range []*entity{sub, cross} {
		issuer := root
		if gone == cross {
			issuer = other
		}
		rev := chain.Revocation{AllowUnknown: true, CRLs: [][]byte{listing(t, issuer, nil, gone)}}
		r := verifier(anchors).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub, cross), Revocation: &rev})
		expect(t, r, "valid")
		if r.Certificates[1].Equal(gone.Certificate) {
			t.Error("the path runs through the revoked certificate")
		}
	}
}

// The report tells every answer with its source.
func TestReportTellsSources(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	r := judge(t, root, leaf, chain.Revocation{CRLs: [][]byte{listing(t, root, nil)}})
	expect(t, r, "valid")
	found := false
	for _, f := range r.Findings {
		found = found || f.Code == "rev.good" && f.Severity == "info" && strings.Contains(f.Detail, "the CRL of CN=Root issued 2026-05-31")
	}
	if !found {
		t.Errorf("no answer in\n%s", r)
	}
}

// What is fetched for the present may be made a moment after the question was put, or by a
// clock that is a little fast; what is supplied may not.
func TestFetchedAMomentLater(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail, sources("http://crl.example/a.crl", "http://ocsp.example/"))
	for _, tt := range []struct {
		later    time.Duration
		fetched  bool
		time     time.Time
		want     string
		response bool
	}{
		{2 * time.Minute, true, time.Time{}, "valid", true},
		{2 * time.Minute, true, time.Time{}, "valid", false},
		{6 * time.Minute, true, time.Time{}, "ocsp.not_yet_valid", true},
		{6 * time.Minute, true, time.Time{}, "crl.not_yet_valid", false},
		{2 * time.Minute, true, now, "ocsp.not_yet_valid", true},
		{2 * time.Minute, false, time.Time{}, "ocsp.not_yet_valid", true},
		{2 * time.Minute, false, time.Time{}, "crl.not_yet_valid", false},
	} {
		list := listing(t, root, func(l *x509.RevocationList) { l.ThisUpdate = now.Add(tt.later) })
		response := answer(t, root, root, leaf, func(r *ocsp.Response) { r.ThisUpdate = now.Add(tt.later) })
		rev := chain.Revocation{}
		switch f := (&counting{data: map[string][]byte{}}); {
		case tt.fetched && tt.response:
			f.data["http://ocsp.example/"], rev.Fetcher = response, f
		case tt.fetched:
			f.data["http://crl.example/a.crl"], rev.Fetcher = list, f
		case tt.response:
			rev.OCSP = [][]byte{response}
		default:
			rev.CRLs = [][]byte{list}
		}
		r := explain(t, root, leaf, chain.Request{Time: tt.time, Revocation: &rev})
		if tt.want == "valid" {
			expect(t, r, "valid")
		} else if !slices.Contains(r.Codes, tt.want) || r.Verdict != "indeterminate" {
			t.Errorf("%+v: codes %v\n%s", tt, r.Codes, r)
		}
	}
}

// An answer that was not made for this request is refused where a nonce is wanted.
func TestNonce(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail, sources("", "http://ocsp.example/"))
	f := &counting{data: map[string][]byte{"http://ocsp.example/": answer(t, root, root, leaf, nil)}}
	expect(t, judge(t, root, leaf, chain.Revocation{Fetcher: f}), "valid")
	r := judge(t, root, leaf, chain.Revocation{Fetcher: f, Nonce: true})
	expect(t, r, "rev.unknown")
	if len(r.Codes) < 2 || r.Codes[1] != "ocsp.nonce" {
		t.Errorf("codes %v", r.Codes)
	}
}

// Who signs a list is judged for when the list counts, not for when the mail was signed.
func TestSignerOfListAtItsTime(t *testing.T) {
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	root := issue(t, nil, "Root", ca, between(day(-2000), day(2000)))
	leaf := issue(t, root, "alice", mail, between(day(-200), day(200)))
	ended := issue(t, root, "alice", mail, between(day(-200), day(-50)))
	list := func(from, to, at int) (*entity, []byte) {
		signer := issue(t, root, "Root", ca, between(day(from), day(to)))
		return signer, listing(t, signer, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = day(at), day(at+2) })
	}
	for _, tt := range []struct {
		name         string
		leaf         *entity
		from, to, at int // of the signer, and when the list was issued
		counts       bool
	}{
		{"valid all the time", leaf, -200, 200, -1, true},
		{"certified since", leaf, -90, 90, -1, true},
		{"expired since", leaf, -200, -90, -1, false},
		{"expired since, and the certificate too", ended, -200, -55, -60, true},
	} {
		signer, crl := list(tt.from, tt.to, tt.at)
		rev := chain.Revocation{AllowUnknown: true, CRLs: [][]byte{crl}}
		r := verifier(collection(root)).Explain(t.Context(), chain.Request{Leaf: tt.leaf.Certificate, Untrusted: certs(signer), Time: day(-100), EvidenceTime: now, Revocation: &rev})
		if expect(t, r, "valid"); slices.Contains(r.Warnings, "rev.unknown") == tt.counts {
			t.Errorf("%s: warnings %v", tt.name, r.Warnings)
		}
	}
}
