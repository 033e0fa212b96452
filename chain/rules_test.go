package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// A rule is one row of the specification: a request with its answer. Rules come in pairs,
// one that passes and one that differs in the rule alone.
type rule struct {
	name   string
	want   string // "valid" or the deciding code
	leaf   *entity
	q      chain.Request
	others []*entity
	warn   string
}

func runRules(t *testing.T, root *entity, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			got := explain(t, root, r.leaf, r.q, r.others...)
			expect(t, got, r.want)
			if r.warn != "" && !warned(got, r.warn) {
				t.Errorf("no warning %s\n%s", r.warn, got)
			}
		})
	}
}

// The rules on how a certificate is made: RFC 5280, Sections 4.1 and 4.2.
func TestRulesOfForm(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	trailing := &entity{raw(append(bytes.Clone(leaf.Raw), 0)), leaf.key}
	small := func(n *big.Int) *entity {
		return issue(t, root, "alice", mail, func(c *x509.Certificate) { c.SerialNumber = n })
	}
	marked := small(big.NewInt(0x7a7b7c7d))
	plain := issue(t, root, "alice", mail, func(c *x509.Certificate) {
		c.SerialNumber, c.ExtKeyUsage, c.AuthorityKeyId = big.NewInt(0x7a7b7c7d), nil, []byte("key")
	})
	serialIn := func(b ...byte) *entity {
		return altered(t, root, marked, []byte{2, 4, 0x7a, 0x7b, 0x7c, 0x7d}, append([]byte{2, byte(len(b))}, b...))
	}
	ecdsaSHA256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
	ecdsaSHA384 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}
	unknown, private := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55738, 666, 1}, []byte{5, 0}
	ca2 := func(edits ...func(*x509.Certificate)) (*entity, *entity) {
		sub := issue(t, root, "Issuing", append([]func(*x509.Certificate){ca}, edits...)...)
		return sub, issue(t, sub, "alice", mail)
	}
	odd, underOdd := ca2(extension(unknown, true, private))
	bare := &entity{new(x509.Certificate), root.key}
	*bare.Certificate = *root.Certificate
	bare.SubjectKeyId = nil
	withoutAKI := issue(t, bare, "host")
	subjectless := issue(t, root, "", mail, func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	runRules(t, root, []rule{
		{name: "parse: a certificate", want: "valid", leaf: leaf},
		{name: "parse: trailing octets", want: "parse.malformed", leaf: trailing},
		{name: "parse: cut short", want: "parse.malformed", leaf: &entity{raw(leaf.Raw[:len(leaf.Raw)-3]), nil}},
		{name: "parse: no certificate", want: "parse.malformed", leaf: &entity{raw([]byte{0x30, 3, 2, 1, 5}), nil}},
		{name: "parse: rubbish in the message is skipped", want: "valid", leaf: leaf, others: []*entity{{raw([]byte{1, 2}), nil}, {raw(nil), nil}}, warn: "parse.ignored"},
		{name: "serial: ordinary", want: "valid", leaf: marked},
		{name: "serial: zero", want: "valid", leaf: serialIn(0), warn: "cert.serial"},
		{name: "serial: negative", want: "valid", leaf: serialIn(0x80), warn: "cert.serial"},
		{name: "serial: long", want: "valid", leaf: serialIn(bytes.Repeat([]byte{1}, 21)...), warn: "cert.serial"},
		{name: "serial: zero, for TLS", want: "cert.serial", leaf: altered(t, root, plain, []byte{2, 4, 0x7a, 0x7b, 0x7c, 0x7d}, []byte{2, 1, 0}), q: chain.Request{Purpose: "client-auth"}},
		{name: "algorithms: the two fields differ", want: "cert.sigalg_mismatch", leaf: altered(t, root, leaf, ecdsaSHA256, ecdsaSHA384)},
		{name: "version: extensions in version 1", want: "valid", leaf: altered(t, root, leaf, []byte{0xa0, 3, 2, 1, 2}, nil), warn: "cert.version"},
		{name: "extension: unknown", want: "valid", leaf: issue(t, root, "alice", mail, extension(unknown, false, private))},
		{name: "extension: unknown and critical", want: "ext.unknown_critical", leaf: issue(t, root, "alice", mail, extension(unknown, true, private))},
		{name: "extension: unknown and critical in a CA", want: "ext.unknown_critical", leaf: underOdd, others: []*entity{odd}},
		{name: "extension: twice", want: "ext.duplicate", leaf: issue(t, root, "alice", mail, extension(unknown, false, private), extension(unknown, false, private))},
		{name: "extension: malformed", want: "ext.malformed", leaf: issue(t, root, "alice", extension(asn1.ObjectIdentifier{2, 5, 29, 17}, false, []byte{1, 2, 3}))},
		{name: "subject: empty with a critical subjectAltName", want: "valid", leaf: subjectless},
		{name: "subject: empty without", want: "valid", leaf: issue(t, root, "", mail, func(c *x509.Certificate) { c.Subject = pkix.Name{} }, san(t, false, rfc822("alice@example.com"))), warn: "parse.tolerated"},
		{name: "subject: empty without, for TLS", want: "name.empty_subject", leaf: issue(t, root, "", san(t, false, dns("a.example")), func(c *x509.Certificate) { c.Subject = pkix.Name{} }), q: chain.Request{Purpose: "server-auth"}},
		{name: "key identifiers: there", want: "valid", leaf: issue(t, root, "host", func(c *x509.Certificate) { c.AuthorityKeyId = []byte("key") }), q: chain.Request{Purpose: "client-auth"}},
		{name: "key identifiers: missing", want: "valid", leaf: withoutAKI},
		{name: "key identifiers: missing, for TLS", want: "ext.missing", leaf: withoutAKI, q: chain.Request{Purpose: "client-auth"}},
		{name: "key identifiers: critical", want: "valid", leaf: issue(t, root, "alice", mail, extension(asn1.ObjectIdentifier{2, 5, 29, 14}, true, []byte{4, 1, 1})), warn: "parse.tolerated"},
		{name: "key identifiers: critical, for TLS", want: "ext.criticality", leaf: issue(t, root, "host", extension(asn1.ObjectIdentifier{2, 5, 29, 14}, true, []byte{4, 1, 1})), q: chain.Request{Purpose: "server-auth"}},
	})
	nameless := issue(t, nil, "", ca, func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	expect(t, explain(t, nameless, issue(t, nameless, "alice", mail), chain.Request{}), "name.empty_issuer")
}

// The rules on building a path: RFC 8550, Section 2.3. Attack row G11: a root that comes
// with the message is no anchor.
func TestRulesOfBuilding(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	stranger := issue(t, nil, "Stranger", ca)
	strange := issue(t, stranger, "alice", mail)
	wrongAKI := issue(t, sub, "alice", mail, func(c *x509.Certificate) { c.AuthorityKeyId = []byte("not the key") })
	renamed := &entity{sub.Certificate, sub.key}
	other := *sub.Certificate
	other.RawSubject, other.Subject = nil, pkix.Name{CommonName: "ISSUING "}
	cased := issue(t, &entity{&other, sub.key}, "alice", mail)
	wrongName := *sub.Certificate
	wrongName.RawSubject, wrongName.Subject = nil, pkix.Name{CommonName: "Issuing2"}
	one := 1
	runRules(t, root, []rule{
		{name: "path: complete", want: "valid", leaf: leaf, others: []*entity{sub}},
		{name: "path: issuer missing", want: "path.no_issuer", leaf: leaf},
		{name: "path: certificates of the message in any number and order", want: "valid", leaf: leaf, others: []*entity{strange, stranger, leaf, sub, sub, root}},
		{name: "path: a self-signed certificate of the message is no anchor", want: "path.untrusted_self_signed", leaf: strange, others: []*entity{stranger}},
		{name: "path: self-signed leaf", want: "path.untrusted_self_signed", leaf: issue(t, nil, "alice", mail)},
		{name: "path: the identifier of another key does not exclude", want: "valid", leaf: wrongAKI, others: []*entity{renamed}},
		{name: "names: case and spaces do not matter", want: "valid", leaf: cased, others: []*entity{sub}},
		{name: "names: another name", want: "path.no_issuer", leaf: issue(t, &entity{&wrongName, sub.key}, "alice", mail), others: []*entity{sub}},
		{name: "depth: as many CAs as allowed", want: "valid", leaf: leaf, others: []*entity{sub}, q: chain.Request{MaxDepth: &one}},
		{name: "depth: one too many", want: "path.depth", leaf: leaf, others: []*entity{sub}, q: chain.Request{MaxDepth: new(int)}},
		{name: "depth: none needed", want: "valid", leaf: issue(t, root, "alice", mail), q: chain.Request{MaxDepth: new(int)}},
	})
	// Without anchors nothing is valid, nor with a collection that holds only others.
	for _, c := range []*chain.Collection{nil, new(chain.Collection), collection(nil, root, sub)} {
		r := verifier(c).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub, root)})
		if r.Verdict != "invalid" {
			t.Errorf("trusted without an anchor: %s", r)
		}
	}
	// An intermediate is an anchor if its owner says so, and a leaf is.
	expect(t, explain(t, sub, leaf, chain.Request{}), "valid")
	r := explain(t, leaf, leaf, chain.Request{Address: "alice@example.com"})
	expect(t, r, "valid")
	if len(r.Certificates) != 1 || r.Path.Anchor() != r.Path.Leaf() {
		t.Errorf("path %v", r.Certificates)
	}
	expect(t, explain(t, leaf, leaf, chain.Request{Address: "bob@example.com"}), "address.mismatch")
	expect(t, explain(t, leaf, leaf, chain.Request{Purpose: "server-auth"}), "eku.leaf")
	expect(t, explain(t, leaf, leaf, chain.Request{Time: now.AddDate(5, 0, 0)}), "time.expired")
}

// The rules on each certificate: RFC 5280, Section 6.1.3 and 6.1.4. Attack row G03: issuers
// that are no authorities.
func TestRulesOfPath(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	flipped := bytes.Clone(leaf.Raw)
	flipped[len(flipped)-1] ^= 1
	under := func(edits ...func(*x509.Certificate)) (*entity, []*entity) {
		s := issue(t, root, "Issuing", append([]func(*x509.Certificate){ca}, edits...)...)
		return issue(t, s, "alice", mail), []*entity{s}
	}
	pair := func(l *entity, others []*entity) func(name, want string) rule {
		return func(name, want string) rule { return rule{name: name, want: want, leaf: l, others: others} }
	}
	noKeyUsage := pair(under(func(c *x509.Certificate) { c.KeyUsage = 0 }))
	noCertSign := pair(under(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
	notCA := pair(under(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }))
	noBasic := pair(under(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }))
	v3 := issue(t, root, "Issuing", ca)
	v1 := altered(t, root, altered(t, root, v3, []byte{0xa0, 3, 2, 1, 2}, nil), extensionsOf(t, v3), nil)
	v1.key = v3.key
	oldForm := pair(issue(t, v3, "alice", mail), []*entity{v1})
	old := pair(under(between(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0))))
	young := pair(under(between(now.AddDate(0, 0, 1), now.AddDate(1, 0, 0))))
	mailOnly := pair(under(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }))
	anyUse := pair(under(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }))
	tlsOnly := pair(under(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
	zero := issue(t, root, "Zero", ca, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := issue(t, zero, "Below", ca)
	self := issueWith(t, newKey(t), zero, "Zero", ca)
	at := func(when time.Time) chain.Request { return chain.Request{Time: when} }
	window := issue(t, root, "alice", mail, between(now, now.Add(time.Hour)))
	runRules(t, root, []rule{
		{name: "signature: right", want: "valid", leaf: leaf, others: []*entity{sub}},
		{name: "signature: wrong", want: "sig.invalid", leaf: &entity{raw(flipped), nil}, others: []*entity{sub}},
		{name: "time: the first second", want: "valid", leaf: window, q: at(now)},
		{name: "time: the second before", want: "time.not_yet_valid", leaf: window, q: at(now.Add(-time.Second))},
		{name: "time: the last second", want: "valid", leaf: window, q: at(now.Add(time.Hour))},
		{name: "time: a fraction after the last second", want: "valid", leaf: window, q: at(now.Add(time.Hour + 999*time.Millisecond))},
		{name: "time: the second after", want: "time.expired", leaf: window, q: at(now.Add(time.Hour + time.Second))},
		old("time: expired CA", "time.expired"),
		young("time: CA of the future", "time.not_yet_valid"),
		noKeyUsage("CA: without keyUsage", "valid"),
		noCertSign("CA: keyUsage without keyCertSign", "ca.key_usage"),
		notCA("CA: cA is false", "ca.not_ca"),
		noBasic("CA: no basicConstraints", "ca.not_ca"),
		oldForm("CA: of version 1", "ca.not_ca"),
		{name: "path length: none below", want: "valid", leaf: issue(t, zero, "alice", mail), others: []*entity{zero}},
		{name: "path length: one below", want: "ca.path_len", leaf: issue(t, below, "alice", mail), others: []*entity{zero, below}},
		{name: "path length: X7, self-issued ones do not count", want: "valid", leaf: issue(t, self, "alice", mail), others: []*entity{zero, self}},
		mailOnly("extended key usage of a CA: mail", "valid"),
		anyUse("extended key usage of a CA: any", "valid"),
		tlsOnly("extended key usage of a CA: TLS", "eku.issuer"),
	})
}

// Anchors are judged like other issuers, but for their own signature and policies.
func TestRulesOfAnchors(t *testing.T) {
	good := issue(t, nil, "Root", ca)
	forged := bytes.Clone(good.Raw)
	forged[len(forged)-1] ^= 1
	expired := issue(t, nil, "Old root", ca, between(now.AddDate(-3, 0, 0), now.AddDate(0, 0, -1)))
	v1 := altered(t, good, altered(t, good, good, []byte{0xa0, 3, 2, 1, 2}, nil), extensionsOf(t, good), nil)
	for _, tt := range []struct {
		name   string
		anchor *entity
		want   string
	}{
		{"ordinary", good, "valid"},
		{"own signature is wrong", &entity{raw(forged), good.key}, "valid"},
		{"expired", expired, "time.expired"},
		{"no CA", issue(t, nil, "Root", mail), "ca.not_ca"},
		{"keyUsage without keyCertSign", issue(t, nil, "Root", ca, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), "ca.key_usage"},
		{"unknown critical extension", issue(t, nil, "Root", ca, extension(asn1.ObjectIdentifier{1, 2, 3, 4}, true, []byte{5, 0})), "ext.unknown_critical"},
		{"version 1", v1, "valid"},
		{"name constraints", issue(t, nil, "Root", ca, constraints(t, true, []asn1.RawValue{rfc822("example.org")}, nil)), "nc.not_permitted"},
		{"too small", issueWith(t, smallKey(), nil, "Root", ca), "alg.weak_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := issue(t, &entity{parsed(t, tt.anchor.Raw), tt.anchor.key}, "alice", mail)
			expect(t, explain(t, tt.anchor, leaf, chain.Request{}), tt.want)
		})
	}
	v := verifier(collection(expired))
	v.AllowExpiredAnchors = true
	expect(t, v.Explain(context.Background(), chain.Request{Leaf: issue(t, expired, "alice", mail).Certificate}), "valid")
}

// extensionsOf returns the field [3] of a certificate.
func extensionsOf(t testing.TB, e *entity) []byte {
	t.Helper()
	var parts struct {
		TBS struct {
			Version    int `asn1:"explicit,tag:0"`
			Serial     *big.Int
			Algorithm  asn1.RawValue
			Issuer     asn1.RawValue
			Validity   asn1.RawValue
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Extensions asn1.RawValue `asn1:"tag:3"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(e.Raw, &parts); err != nil {
		t.Fatal(err)
	}
	return parts.TBS.Extensions.FullBytes
}

// The rules on purpose: RFC 8550, Section 4.4; X8 of the defects of crypto/x509. Attack row
// G04: purposes that are not looked at.
func TestRulesOfPurpose(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	use := func(key crypto.Signer, ku x509.KeyUsage, eku ...x509.ExtKeyUsage) *entity {
		return issueWith(t, key, root, "alice", func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = ku, eku })
	}
	ec, rsa := newKey(t), rsaKey(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const ds, nr, ke, ka = x509.KeyUsageDigitalSignature, x509.KeyUsageContentCommitment, x509.KeyUsageKeyEncipherment, x509.KeyUsageKeyAgreement
	mailUse, anyUse, tls := x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth
	sign, encrypt := chain.Request{}, chain.Request{Purpose: chain.EmailEncryption}
	empty := issue(t, root, "alice", extension(asn1.ObjectIdentifier{2, 5, 29, 37}, false, []byte{0x30, 0}))
	runRules(t, root, []rule{
		{name: "sign: without keyUsage", want: "valid", leaf: use(ec, 0), q: sign},
		{name: "sign: digitalSignature", want: "valid", leaf: use(ec, ds), q: sign},
		{name: "sign: nonRepudiation", want: "valid", leaf: use(ec, nr), q: sign},
		{name: "sign: keyEncipherment only", want: "ku.sign", leaf: use(rsa, ke), q: sign},
		{name: "encrypt: without keyUsage", want: "valid", leaf: use(rsa, 0), q: encrypt},
		{name: "encrypt: RSA with keyEncipherment", want: "valid", leaf: use(rsa, ke), q: encrypt},
		{name: "encrypt: RSA with keyAgreement", want: "ku.encrypt", leaf: use(rsa, ka), q: encrypt},
		{name: "encrypt: EC with keyAgreement", want: "valid", leaf: use(ec, ka), q: encrypt},
		{name: "encrypt: EC with keyEncipherment", want: "ku.encrypt", leaf: use(ec, ke), q: encrypt},
		{name: "encrypt: EC with keyAgreement and encipherOnly", want: "valid", leaf: use(ec, ka|x509.KeyUsageEncipherOnly), q: encrypt},
		{name: "encrypt: EC with keyAgreement and decipherOnly", want: "ku.encrypt", leaf: use(ec, ka|x509.KeyUsageDecipherOnly), q: encrypt},
		{name: "encrypt: digitalSignature only", want: "ku.encrypt", leaf: use(rsa, ds), q: encrypt},
		{name: "encrypt: a key that can only sign", want: "ku.encrypt", leaf: use(ed, 0), q: encrypt},
		{name: "extended: absent", want: "valid", leaf: use(ec, ds), q: sign},
		{name: "extended: mail", want: "valid", leaf: use(ec, ds, mailUse), q: sign},
		{name: "extended: any", want: "valid", leaf: use(ec, ds, anyUse), q: sign},
		{name: "extended: TLS only", want: "eku.leaf", leaf: use(ec, ds, tls), q: sign},
		{name: "extended: TLS only, for any purpose", want: "valid", leaf: use(ec, ds, tls), q: chain.Request{Purpose: "any"}},
		{name: "extended: TLS only, for TLS", want: "valid", leaf: use(ec, ds, tls), q: chain.Request{Purpose: "server-auth"}},
		{name: "extended: any, for a TLS client", want: "valid", leaf: use(ec, ds, anyUse), q: chain.Request{Purpose: "client-auth"}},
		{name: "extended: empty is not absent", want: "eku.leaf", leaf: empty, q: sign},
		{name: "both: usage allows, extended does not", want: "eku.leaf", leaf: use(ec, ds, tls), q: sign},
		{name: "both: extended allows, usage does not", want: "ku.sign", leaf: use(rsa, ke, mailUse), q: sign},
		{name: "leaf: a CA", want: "valid", leaf: issue(t, root, "alice", ca, func(c *x509.Certificate) { c.KeyUsage |= ds }), q: sign, warn: "ca.as_leaf"},
	})
	r := verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: use(ec, ds).Certificate, Purpose: "world-domination"})
	expect(t, r, "request.unsupported")
	r = verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: use(ec, ds).Certificate, Policies: []string{"1.2.x"}})
	expect(t, r, "request.malformed")
	expect(t, verifier(collection(root)).Explain(context.Background(), chain.Request{}), "request.malformed")
	less := -1 // is no way to say that any number will do
	expect(t, verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: use(ec, ds).Certificate, MaxDepth: &less}), "request.malformed")
}

// smallKey is a fixed RSA key of 1024 bits: crypto/rsa no longer makes them.
func smallKey() crypto.Signer { return tinyRSA() }

// The rules on algorithms: RFC 8550, Section 4.3; X11 and X19.
func TestRulesOfAlgorithms(t *testing.T) {
	root := issueWith(t, rsaKey(t, 2048), nil, "Root", ca)
	algorithm := func(a x509.SignatureAlgorithm) *entity {
		return issue(t, root, "alice", mail, func(c *x509.Certificate) { c.SignatureAlgorithm = a })
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	legacy := chain.Request{AllowSHA1: true}
	sha1 := sha1Signed(t, root)
	runRules(t, root, []rule{
		{name: "RSA with SHA-256", want: "valid", leaf: algorithm(x509.SHA256WithRSA)},
		{name: "RSA with SHA-512", want: "valid", leaf: algorithm(x509.SHA512WithRSA)},
		{name: "PSS with SHA-256", want: "valid", leaf: algorithm(x509.SHA256WithRSAPSS)},
		{name: "PSS with SHA-384", want: "valid", leaf: algorithm(x509.SHA384WithRSAPSS)},
		{name: "SHA-1", want: "alg.weak_hash", leaf: sha1},
		{name: "SHA-1, allowed by name", want: "valid", leaf: sha1, q: legacy, warn: "alg.legacy"},
		{name: "MD5, never", want: "alg.weak_hash", leaf: md5Signed(t, root), q: legacy},
		{name: "RSA of 1024 bits", want: "alg.weak_key", leaf: issueWith(t, smallKey(), root, "alice", mail)},
		{name: "RSA of 1024 bits, allowed by name", want: "valid", leaf: issueWith(t, smallKey(), root, "alice", mail), q: legacy},
		{name: "P-521", want: "valid", leaf: issueWith(t, p521, root, "alice", mail)},
		{name: "unknown", want: "sig.unsupported", leaf: unknownSigned(t, root)},
	})
	large := &entity{raw(withRSAKey(t, root.Certificate, new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 8191, 1), 0, 1), 65537)), root.key}
	expect(t, explain(t, large, algorithm(x509.SHA256WithRSA), chain.Request{}), "alg.too_large")
}

// The address rules: RFC 8550, Section 3 and RFC 9598.
func TestRulesOfAddresses(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	ask := func(address string) chain.Request { return chain.Request{Address: address} }
	named := func(names ...asn1.RawValue) *entity {
		return issue(t, root, "cn@example.com", mail, san(t, false, names...))
	}
	plain := named(rfc822("alice@example.com"), rfc822("al@example.org"))
	intl := named(utf8Mailbox(t, "δοκιμή@xn--bcher-kva.example"))
	subject := issue(t, root, "alice", mail, inSubject("alice@example.com"))
	upn := named(otherName(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "alice@example.com"))
	dir := named(dirName(t, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "alice@example.com"}}}))
	runRules(t, root, []rule{
		{name: "equal", want: "valid", leaf: plain, q: ask("alice@example.com")},
		{name: "the second name", want: "valid", leaf: plain, q: ask("al@example.org")},
		{name: "another", want: "address.mismatch", leaf: plain, q: ask("bob@example.com")},
		{name: "a subdomain", want: "address.mismatch", leaf: plain, q: ask("alice@sub.example.com")},
		{name: "case of the domain", want: "valid", leaf: plain, q: ask("alice@EXAMPLE.com")},
		{name: "case of the local part", want: "valid", leaf: plain, q: ask("Alice@example.com"), warn: "address.case_folded"},
		{name: "in the subject", want: "valid", leaf: subject, q: ask("alice@example.com"), warn: "address.subject_only"},
		{name: "SmtpUTF8Mailbox", want: "valid", leaf: intl, q: ask("δοκιμή@bücher.example")},
		{name: "SmtpUTF8Mailbox: case of the local part", want: "address.mismatch", leaf: intl, q: ask("Δοκιμή@bücher.example")},
		{name: "no address, none asked", want: "valid", leaf: upn},
		{name: "no address", want: "address.absent", leaf: named(dns("example.com")), q: ask("alice@example.com")},
		{name: "a user principal name is none", want: "address.absent", leaf: upn, q: ask("alice@example.com")},
		{name: "a common name is none", want: "address.absent", leaf: upn, q: ask("cn@example.com")},
		{name: "a directoryName in subjectAltName is none", want: "address.absent", leaf: dir, q: ask("alice@example.com")},
		{name: "an asterisk is literal", want: "address.mismatch", leaf: named(rfc822("*@example.com")), q: ask("alice@example.com")},
		{name: "NUL in the name", want: "address.mismatch", leaf: named(rfc822("alice@example.com\x00.evil.example")), q: ask("alice@example.com")},
		{name: "a trailing dot in the name", want: "address.mismatch", leaf: named(rfc822("alice@example.com.")), q: ask("alice@example.com")},
		{name: "no address at all was asked for", want: "address.mismatch", leaf: plain, q: ask("alice")},
		{name: "X9: critical SmtpUTF8Mailbox and empty subject", want: "valid", leaf: issue(t, root, "", mail, func(c *x509.Certificate) { c.Subject = pkix.Name{} }, san(t, true, utf8Mailbox(t, "δοκιμή@example.com"))), q: ask("δοκιμή@example.com")},
	})
}

// The host rules: RFC 9525, Section 6.
func TestRulesOfHosts(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	host := issue(t, root, "host.example.com", san(t, false, dns("www.example.com"), dns("*.wild.example.com"), ip(192, 0, 2, 1)))
	dnsName := func(s string) chain.Request { return chain.Request{Purpose: "server-auth", DNSName: s} }
	addr := func(s string) chain.Request { return chain.Request{Purpose: "server-auth", IPAddress: s} }
	runRules(t, root, []rule{
		{name: "equal", want: "valid", leaf: host, q: dnsName("WWW.example.com")},
		{name: "another", want: "host.mismatch", leaf: host, q: dnsName("example.com")},
		{name: "wildcard", want: "valid", leaf: host, q: dnsName("a.wild.example.com")},
		{name: "wildcard: two labels", want: "host.mismatch", leaf: host, q: dnsName("a.b.wild.example.com")},
		{name: "wildcard: no label", want: "host.mismatch", leaf: host, q: dnsName("wild.example.com")},
		{name: "the common name does not count", want: "host.mismatch", leaf: host, q: dnsName("host.example.com")},
		{name: "address", want: "valid", leaf: host, q: addr("192.0.2.1")},
		{name: "another address", want: "host.mismatch", leaf: host, q: addr("192.0.2.2")},
	})
}

// Verify gives a Path as proof or says why not.
func TestVerify(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	v := verifier(collection(root))
	p, err := v.Verify(context.Background(), leaf.Certificate, chain.EmailSigning, sub.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Leaf().Equal(leaf.Certificate) || !p.Anchor().Equal(root.Certificate) || len(p.Certificates()) != 3 || !p.At().Equal(now) || p.Purpose() != chain.EmailSigning {
		t.Errorf("path %v", p)
	}
	_, err = v.Verify(context.Background(), leaf.Certificate, chain.EmailSigning)
	var rejected *chain.RejectedError
	if !errors.As(err, &rejected) || rejected.Verdict != "invalid" || rejected.Codes[0] != "path.no_issuer" || rejected.Report == nil {
		t.Errorf("error %v", err)
	}
	if _, err := v.Verify(context.Background(), nil, chain.EmailSigning); !errors.As(err, &rejected) {
		t.Errorf("no certificate: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a Path that nobody made has a leaf")
		}
	}()
	new(chain.Path).Leaf()
}

// A collection that changes counts from the next question on.
func TestCollectionReload(t *testing.T) {
	a, b := issue(t, nil, "A", ca), issue(t, nil, "B", ca)
	leaf := issue(t, b, "alice", mail)
	c := collection(a)
	v := verifier(c)
	q := chain.Request{Leaf: leaf.Certificate}
	expect(t, v.Explain(context.Background(), q), "path.no_issuer")
	c.AddAnchor(b.Certificate)
	expect(t, v.Explain(context.Background(), q), "valid")
	c.Remove(b.Certificate)
	expect(t, v.Explain(context.Background(), q), "path.no_issuer")
}
