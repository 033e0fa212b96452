package smime_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

func reported(t *testing.T, o *smime.Opener, message string) *smime.Report {
	t.Helper()
	r, err := o.Inspect(t.Context(), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What the messages of rows A13 and A15 say about their evidence, beyond the verdict.
func TestEvidenceReported(t *testing.T) {
	people := readOpenIdentities(t)
	for name, want := range map[string]string{ // crypto and trust, codes; used
		"a13-twin-time-stamp":       "valid valid [] used",
		"a13-twin-two-time-stamps":  "valid invalid [sig.invalid]; valid valid [] used",
		"a13-time-stamp-stranger":   "valid invalid [sig.invalid]",
		"a13-time-stamp-late":       "valid valid []",
		"a13-time-stamp-other":      "invalid not-checked [digest.mismatch]",
		"a13-time-stamp-mail":       "valid invalid [eku.leaf]",
		"a13-time-stamp-unnamed":    "invalid not-checked [attr.signing_certificate]",
		"a13-time-stamp-before":     "valid invalid [timestamp.outside_validity]",
		"a15-time-stamp":            "invalid not-checked [cms.malformed]",
		"a15-time-stamp-future":     "valid invalid [timestamp.future]",
		"a15-twin-countersignature": "by bob@good.example valid valid []",
		// Not over the signature that it stands at.
		"a15-countersignature-other": "by bob@good.example invalid not-checked [digest.mismatch]",
		"a15-countersignature":       "by nobody invalid not-checked [cms.malformed]",
	} {
		message, err := os.ReadFile(filepath.Join(openFolder, name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		s := reported(t, people.opener(), string(message)).Layers[0].Signatures[0]
		var got []string
		codes := func(list []string) string {
			list = slices.DeleteFunc(slices.Clone(list), func(c string) bool { return c == "rev.not_checked" })
			return "[" + strings.Join(list, " ") + "]"
		}
		for _, stamp := range s.Timestamps {
			text := stamp.Crypto + " " + stamp.Trust + " " + codes(stamp.Codes)
			if stamp.Used {
				text += " used"
			}
			if (stamp.Path != nil) != (stamp.Trust == "valid") {
				t.Errorf("%s: trust %s and path %v", name, stamp.Trust, stamp.Path)
			}
			got = append(got, text)
		}
		for _, c := range s.Countersignatures {
			who := "nobody"
			if c.Signer != nil {
				who = c.Signer.Mailboxes[0]
			}
			if c.Address != "not-checked" {
				t.Errorf("%s: address %s", name, c.Address)
			}
			got = append(got, "by "+who+" "+c.Crypto+" "+c.Trust+" "+codes(c.Codes))
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	message, err := os.ReadFile(filepath.Join(openFolder, "a13-twin-time-stamp.eml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := people.opener().Open(t.Context(), bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	s := m.Signatures()[0]
	if stamp := s.Timestamps[0]; !s.Path.At().Equal(stamp.Time) || s.Path.Purpose() != chain.EmailSigning || stamp.Path.Purpose() != "time-stamping" || !stamp.Path.At().Equal(smimetest.Now()) {
		t.Errorf("judged as of %v by a time stamp of %v", s.Path.At(), stamp.Time)
	}
	text, err := json.Marshal(m.Report())
	if err != nil || !bytes.Contains(text, []byte(`"timestamps":[{"crypto":"valid","trust":"valid","address":"not-checked"`)) || !bytes.Contains(text, []byte(`"time":"2024-08-01T12:00:00Z","used":true}]`)) {
		t.Errorf("%s, %v", text, err)
	}
	// Without anybody to judge the authority the token is mathematics alone.
	r, err := (&smime.Opener{}).Inspect(t.Context(), bytes.NewReader(message))
	if err != nil || r.Layers[0].Signatures[0].Timestamps[0].Trust != "not-checked" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A signature from before the revocation stands, by a time stamp alone, unless the key was
// in other hands before.
func TestStampedBeforeRevocation(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issuing := pki.Root.Authority("Issuing")
	authority := issuing.Issue(smimetest.TimeStamps())
	alice := issuing.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048, CRLSources: []string{"http://crl.invalid/1"}})
	message := func(at time.Time, crls ...[]byte) string {
		s := catalogue.Forged(filePart, alice)
		s.CRLs = crls
		s.Signers[0].Unsigned = [][]byte{catalogue.StampToken{Authority: authority, Over: forge.SignatureOf(s.Signers[0]), At: at}.Attribute()}
		return opaqueMail(s.DER())
	}
	opener := &smime.Opener{Chain: pki.Verifier()}
	revoked := issuing.CRL(alice.Certificate()) // revoked at the time of the PKI, or before
	for _, tt := range []struct {
		name, message string
		verdict       smime.Verdict
		code          string
	}{
		{"not revoked", message(days(-100), issuing.CRL()), smime.Authentic, ""},
		{"revoked since", message(days(-100), revoked), smime.Authentic, ""},
		{"revoked before", message(days(0), revoked), smime.NotAuthentic, "rev.revoked"},
		// The time stamp does not make up for a status that could be known.
		{"no answer", message(days(-100)), smime.NotAuthentic, "rev.unknown"},
	} {
		r := reported(t, opener, tt.message)
		if r.Verdict != tt.verdict || tt.code != "" && !slices.Contains(r.Codes, tt.code) {
			t.Errorf("%s: %s %q", tt.name, r.Verdict, r.Codes)
		}
	}
}

// Attack row A13: of a certificate that has ended nobody need answer for now. What was issued
// after the time stamp and before the end does; of what is older, which the sender picked,
// only that it is revoked.
func TestStampedWithEvidenceOfThatTime(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issuing := pki.Root.Authority("Issuing")
	authority := issuing.Issue(smimetest.TimeStamps())
	alice := issuing.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048,
		NotBefore: days(-500), NotAfter: days(-50), CRLSources: []string{"http://crl.invalid/1"}})
	// A list is issued a day before its time, and what it revokes a day before that.
	list := func(at time.Time, revoked ...*x509.Certificate) []byte { return crlAt(t, issuing, at, revoked...) }
	for _, tt := range []struct {
		name string
		crls [][]byte
		want smime.Verdict
	}{
		{"a list from after the stamp", [][]byte{list(days(-98))}, smime.Authentic},
		{"a list of the time of the stamp", [][]byte{list(days(-99))}, smime.Authentic},
		{"a list from before the stamp, current then", [][]byte{list(days(-98).Add(-24*time.Hour - time.Second))}, smime.NotAuthentic},
		{"the last list before the end", [][]byte{list(days(-49))}, smime.Authentic},
		{"a list from after the end, stale", [][]byte{list(days(-40))}, smime.NotAuthentic},
		{"a list of now, which need not name it", [][]byte{list(days(0))}, smime.NotAuthentic},
		{"after the stamp, and now", [][]byte{list(days(-98)), list(days(0))}, smime.Authentic},
		{"before the stamp, and now", [][]byte{list(days(-104)), list(days(0))}, smime.NotAuthentic},
		{"revoked before the stamp, and a list from before that", [][]byte{list(days(-104)), list(days(-101), alice.Certificate())}, smime.NotAuthentic},
		{"the same, and a list from after the stamp", [][]byte{list(days(-104)), list(days(-98), alice.Certificate())}, smime.NotAuthentic},
		{"an old list names it, a later one does not", [][]byte{list(days(-101), alice.Certificate()), list(days(-98))}, smime.NotAuthentic},
		{"revoked after the stamp", [][]byte{list(days(-90), alice.Certificate())}, smime.Authentic},
		{"none", nil, smime.NotAuthentic},
	} {
		s := catalogue.Forged(filePart, alice)
		s.CRLs = tt.crls
		s.Signers[0].Unsigned = [][]byte{catalogue.StampToken{Authority: authority, Over: forge.SignatureOf(s.Signers[0]), At: days(-100)}.Attribute()}
		if r := reported(t, &smime.Opener{Chain: pki.Verifier()}, opaqueMail(s.DER())); r.Verdict != tt.want {
			t.Errorf("%s: %s %q", tt.name, r.Verdict, r.Codes)
		}
	}
}

// Tokens at an expired signature, which are looked at before the next signature is, do not
// take the work away from that.
func TestEvidenceBeforeTheNextSignature(t *testing.T) {
	pki := smimetest.NewPKI(t)
	old := pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048, NotBefore: days(-500), NotAfter: days(-50)})
	alice := pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048})
	stranger := smimetest.NewPKI(t).Issue(smimetest.TimeStamps())
	for _, n := range []int{0, 16} {
		s := catalogue.Forged(filePart, old, alice)
		token := catalogue.StampToken{Authority: stranger, Over: forge.SignatureOf(s.Signers[0]), At: days(-100)}
		if n > 0 {
			s.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.TimeStampToken, slices.Repeat([][]byte{token.DER()}, n)...)}
		}
		// Four certificates that any of the tokens may mean.
		for k := range 3 {
			s.Certificates = append(s.Certificates, twin(stranger.Certificate().Raw, byte(k+1)))
		}
		r := reported(t, &smime.Opener{Chain: pki.Verifier()}, opaqueMail(s.DER()))
		list := r.Layers[0].Signatures
		if got := list[1]; got.Crypto != "valid" || got.Trust != "valid" {
			t.Errorf("%d tokens: the second signature is %s, %s %q", n, got.Crypto, got.Trust, got.Codes)
		}
		if len(list[0].Timestamps) != n {
			t.Errorf("%d time stamps of %d", len(list[0].Timestamps), n)
		}
	}
}

// twin is the same certificate with another signature.
func twin(der []byte, change byte) []byte {
	der = bytes.Clone(der)
	der[len(der)-1] ^= change
	return der
}

// Whoever adds evidence cannot take the work away from the signatures, and cannot have
// more done than a message may cost.
func TestEvidenceFlood(t *testing.T) {
	people := readOpenIdentities(t)
	s := catalogue.Forged(filePart, slices.Repeat([]*certstore.Identity{people.alice}, 16)...)
	var flood [][]byte
	for _, id := range []*certstore.Identity{people.others["timestamps"], people.others["timestamps-stranger"], people.eve} {
		flood = append(flood, catalogue.StampToken{Authority: id, Over: forge.SignatureOf(s.Signers[0]), At: days(-10)}.DER())
	}
	tokens := forge.Attribute(oid.TimeStampToken, slices.Repeat(flood, 6)...)
	counter := forge.Attribute(oid.Countersignature, slices.Repeat([][]byte{s.Signers[0].DER()}, 20)...)
	for _, who := range s.Signers {
		who.Unsigned = [][]byte{tokens, counter}
	}
	message := opaqueMail(s.DER())
	bounded(t, "a flood of evidence", func() {
		r := reported(t, people.opener(), message)
		if r.Verdict != smime.Authentic {
			t.Errorf("%s %q", r.Verdict, r.Codes)
		}
		first := r.Layers[0].Signatures[0]
		if n, k := len(first.Timestamps), len(first.Countersignatures); n != 16 || k != 16 {
			t.Errorf("%d time stamps, %d countersignatures", n, k)
		}
		if last := first.Timestamps[15].Codes; !slices.Contains(last, "limit.timestamps") {
			t.Errorf("codes of the last: %q", last)
		}
		if last := r.Layers[0].Signatures[15].Countersignatures[15].Codes; !slices.Contains(last, "limit.signature_checks") {
			t.Errorf("codes of the last: %q", last)
		}
	})
}

// Of the certificates in time stamps so many are read as a message may cost (D10).
func TestCertificatesInStamps(t *testing.T) {
	people := readOpenIdentities(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), EmailAddresses: make([]string, 30_000)}
	named, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	info := forge.Sequence(forge.Integer(1), forge.OID("\x2a\x03"), forge.Sequence(forge.Algorithm(oid.SHA256, nil), forge.Octets(make([]byte, 32))),
		forge.Integer(1), forge.Element(24, []byte("20260101000000Z")))
	authority := people.others["timestamps"]
	for n, found := range map[int]bool{3: true, 40: false} {
		token := forge.NewSigned(info, forge.NewSigner(authority.Certificate(), authority.Key().(crypto.Signer), info))
		token.ContentType = oid.TSTInfo
		token.Certificates = append(slices.Repeat([][]byte{named}, n), token.Certificates...)
		s := catalogue.Forged(filePart, people.alice)
		s.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.TimeStampToken, token.DER())}
		r := reported(t, people.opener(), opaqueMail(s.DER()))
		stamps := r.Layers[0].Signatures[0].Timestamps
		if r.Verdict != smime.Authentic || len(stamps) != 1 || found == slices.Contains(stamps[0].Codes, "signer.no_certificate") {
			t.Errorf("%d certificates: %s, %+v", n, r.Verdict, stamps)
		}
	}
}

// crlAt returns a CRL of the authority of another time than now.
func crlAt(t *testing.T, a *smimetest.Authority, at time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(at.Unix()), ThisUpdate: at.AddDate(0, 0, -1), NextUpdate: at.AddDate(0, 0, 7)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: at.AddDate(0, 0, -2)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate(), a.Key())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Evidence of other makers: a DigiCert token as Windows adds it, and a Bouncy Castle
// countersignature. Their authorities count where the caller names them, and only then.
func TestCorpusEvidence(t *testing.T) {
	const counterSig = "bc-java/pkix/src/test/resources/org/bouncycastle/cms/test/counterSig.p7m"
	for file, want := range map[string]string{
		"dotnet/SignedDocuments.IndefiniteLengthContentDocument.cms": "stamp valid 2018-06-23",
		counterSig: "stamp valid 2001-01-01, counter valid, with stamp valid 1:00PM",
	} {
		opener := &smime.Opener{Chain: chain.NewVerifier(new(chain.Collection), chain.Revocation{}), AllowSHA1: true, AllowLegacyCiphers: true}
		r, err := opener.InspectCMS(t.Context(), bytes.NewReader(corpus.Read(t, filepath.FromSlash(file))), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range r.Layers[0].Signatures {
			for _, stamp := range s.Timestamps {
				got = append(got, "stamp "+stamp.Crypto+" "+stamp.Time.Format(time.DateOnly))
				if stamp.Trust == "valid" || stamp.Used || stamp.Path != nil || stamp.Signer == nil {
					t.Errorf("%s: trusted by nobody: %+v", file, stamp)
				}
			}
			for _, c := range s.Countersignatures {
				got = append(got, "counter "+c.Crypto)
				for _, stamp := range c.Timestamps {
					got = append(got, "with stamp "+stamp.Crypto+" "+stamp.Time.Format(time.Kitchen))
				}
				if c.Trust == "valid" {
					t.Errorf("%s: trusted by nobody: %+v", file, c)
				}
			}
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s, want %s", file, text, want)
		}
	}
}

// A token that OpenSSL's authority makes is one.
func TestOpenSSLTimestamp(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if peertest.Required() {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	// Its authority knows no clock but that of the machine.
	pki := smimetest.NewAt(time.Now())
	authority, dir := pki.Issue(smimetest.TimeStamps()), t.TempDir()
	old := pki.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048, NotAfter: time.Now().AddDate(0, 1, 0)})
	key, err := x509.MarshalPKCS8PrivateKey(authority.Key())
	if err != nil {
		t.Fatal(err)
	}
	message := catalogue.Forged(filePart, old)
	for name, data := range map[string][]byte{
		"tsa.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"tsa.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}),
		"ca.crt":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pki.Issuing.Certificate().Raw}),
		"value":   forge.SignatureOf(message.Signers[0]),
		"tsa.cnf": []byte("[tsa]\ndefault_tsa = one\n[one]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.crt\ncerts = ca.crt\nsigner_key = tsa.key\n" +
			"signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256, sha512\naccuracy = secs:1, millisecs:500\nordering = yes\ntsa_name = yes\ness_cert_id_chain = yes\ness_cert_id_alg = sha256\n"),
		"serial": []byte("01\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"ts", "-query", "-data", "value", "-sha512", "-cert", "-out", "query"},
		{"ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-token_out", "-out", "token"},
	} {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	der, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	message.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.TimeStampToken, der)}
	for name, at := range map[string]time.Time{"now": time.Now().Add(time.Minute), "after the end": old.Certificate().NotAfter.AddDate(0, 0, 1)} {
		v := pki.Verifier()
		v.Time = func() time.Time { return at }
		r := reported(t, &smime.Opener{Chain: v}, opaqueMail(message.DER()))
		stamps := r.Layers[0].Signatures[0].Timestamps
		if r.Verdict != smime.Authentic || len(stamps) != 1 || stamps[0].Trust != "valid" || stamps[0].Used != (name != "now") || time.Since(stamps[0].Time).Abs() > time.Hour {
			t.Errorf("%s: %s %q, %d time stamps", name, r.Verdict, r.Codes, len(stamps))
		}
	}
}
