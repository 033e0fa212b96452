package smimetest_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// A victim is a message to be forged, and who reads it.
type victim struct {
	name    string
	message []byte
	needs   string
	opener  *smime.Opener
	absent  bool // nobody here has the author's key
	rsa     bool // the author's key is RSA
}

func victims(t *testing.T) []victim {
	t.Helper()
	pki := smimetest.NewPKI(t)
	compose := func(c *smime.Composer, m smimetest.Mail) []byte {
		t.Helper()
		c.Time = pki.Time
		var b bytes.Buffer
		if _, err := c.Compose(&b, m.Reader()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	opener := func(pki *smimetest.PKI) *smime.Opener {
		keys := new(certstore.Memory)
		keys.AddIdentity(pki.Bob())
		return &smime.Opener{Chain: pki.Verifier(), Keys: keys}
	}
	alice, bob := []*certstore.Identity{pki.Alice()}, []*x509.Certificate{pki.Bob().Certificate()}
	carol := pki.Issue(smimetest.Leaf{Emails: []string{"carol@mail.example"}})
	// Another program has keys of its own, below its own authority.
	foreign := smimetest.NewForeign(t)
	anchors := new(chain.Collection)
	anchors.AddAnchor(foreign.Root)
	v := chain.NewVerifier(anchors, chain.Revocation{})
	v.Time = pki.Time
	stranger := &smime.Opener{Chain: v}
	return []victim{
		{"clear", compose(&smime.Composer{Signers: alice}, smimetest.Mail{}), "signed", opener(pki), false, true},
		{"opaque with an attachment", compose(&smime.Composer{Signers: alice, Opaque: true}, smimetest.Mail{Attachment: make([]byte, 300), Subject: "J\u00fcrgen"}), "signed", opener(pki), false, true},
		{"by Carol", compose(&smime.Composer{Signers: []*certstore.Identity{carol}, ProtectHeaders: "off"}, smimetest.Mail{From: "carol@mail.example"}), "signed", opener(pki), false, false},
		{"sealed", compose(&smime.Composer{Signers: alice, Recipients: bob, Opaque: true}, smimetest.Mail{}), "encrypted", opener(pki), false, true},
		{"clear, by nobody here", compose(&smime.Composer{Signers: []*certstore.Identity{foreign.Identity}, ProtectHeaders: "off"}, smimetest.Mail{}), "signed", stranger, true, true},
		{"opaque, by nobody here", compose(&smime.Composer{Signers: []*certstore.Identity{foreign.Identity}, Opaque: true}, smimetest.Mail{}), "signed", stranger, true, true},
	}
}

// TestForge makes every defect of every kind of message, or is told why it does not apply,
// and holds what a reader says about it against the catalogue.
func TestForge(t *testing.T) {
	for i, v := range victims(t) {
		t.Run(v.name, func(t *testing.T) {
			if m, err := v.opener.Open(t.Context(), bytes.NewReader(v.message)); err != nil {
				t.Fatal("the twin:", m, err)
			}
			made, n := 0, 0
			for c := range smimetest.Cases() {
				if n++; (n+i)%7 != 0 {
					continue // a sample of each, for time
				}
				forged, err := smimetest.Forge(c.Defect, v.message)
				if err != nil {
					if c.Needs == v.needs && !v.absent && v.rsa {
						t.Errorf("%s: %v", c.Defect, err)
					}
					continue
				}
				if c.Needs != v.needs {
					t.Errorf("%s was made of a message that is %s", c.Defect, v.needs)
				}
				made++
				hold(t, v.opener, c, forged)
			}
			t.Logf("%d messages", made)
			if made < 5 {
				t.Errorf("%d messages", made)
			}
		})
	}
}

// hold checks what is said about a message.
func hold(t *testing.T, o *smime.Opener, c smimetest.Case, message []byte) {
	t.Helper()
	r, err := o.Inspect(t.Context(), bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != c.Verdict {
		t.Errorf("%s: %s %q, want %s", c.Defect, r.Verdict, r.Codes, c.Verdict)
	}
	var remarks []string
	for _, l := range r.Layers {
		for _, s := range l.Signatures {
			remarks = append(remarks, s.Codes...)
		}
	}
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.About+" "+n.Code)
	}
	for what, lists := range map[string][2][]string{"note": {c.Notes, notes}, "code": {c.Codes, r.Codes}, "warning": {c.Warnings, r.Warnings}, "remark": {c.Remarks, remarks}} {
		for _, code := range lists[0] {
			if !slices.Contains(lists[1], code) {
				t.Errorf("%s: %s %s is not among %q", c.Defect, what, code, lists[1])
			}
		}
	}
	if _, err := o.OpenTo(t.Context(), io.Discard, bytes.NewReader(message)); (err == nil) != (c.Verdict == smime.Authentic) {
		t.Errorf("%s: OpenTo: %v", c.Defect, err)
	}
}

// TestKinds: what a reader finds in every kind of message.
func TestKinds(t *testing.T) {
	pki := smimetest.NewPKI(t)
	keys := new(certstore.Memory)
	keys.AddIdentity(pki.Bob())
	o := &smime.Opener{Chain: pki.Verifier(), Keys: keys}
	want := map[smimetest.Kind]string{
		smimetest.Clear: "authentic signed", smimetest.Opaque: "authentic signed", smimetest.Encrypted: "unsigned encrypted",
		smimetest.Sealed: "authentic encrypted signed", smimetest.SealedGCM: "authentic encrypted signed",
		smimetest.Triple: "authentic signed encrypted signed", smimetest.Compressed: "authentic compressed signed",
		smimetest.CertsOnly: "not-authentic certs-only", smimetest.Forwarded: "unsigned", smimetest.List: "unsigned", smimetest.Winmail: "authentic signed",
	}
	for _, kind := range smimetest.Kinds() {
		r, err := o.Inspect(t.Context(), bytes.NewReader(pki.Message(kind, smimetest.Mail{})))
		if err != nil {
			t.Fatal(err)
		}
		got := string(r.Verdict)
		for _, l := range r.Layers {
			got += " " + l.Kind
		}
		if got != want[kind] {
			t.Errorf("%s: %s, want %s", kind, got, want[kind])
		}
		if wrapped := kind == smimetest.Forwarded || kind == smimetest.List; wrapped != (len(r.Parts) == 1) {
			t.Errorf("%s: parts %v", kind, r.Parts)
		}
	}
}

// TestForgeRefuses: a defect that does not apply is an error that says why.
func TestForgeRefuses(t *testing.T) {
	pki := smimetest.NewPKI(t)
	clear := pki.Message(smimetest.Clear, smimetest.Mail{})
	for _, c := range []struct {
		what    string
		defect  smimetest.Defect
		message []byte
		why     string
	}{
		{"no such defect", "z99-nothing", clear, "no defect is called"},
		{"plain", smimetest.StrippedAttributes, smimetest.Mail{}.Bytes(), "neither signed nor encrypted"},
		{"empty", smimetest.StrippedAttributes, nil, "smimetest:"},
		{"signed, for a defect of encryption", smimetest.ShortTag, clear, "it takes a message that is encrypted"},
		{"sealed, for a defect of signatures", smimetest.StrippedAttributes, pki.Message(smimetest.Sealed, smimetest.Mail{}), "it takes a message that is signed"},
		{"encrypted only", smimetest.ShortTag, pki.Message(smimetest.Encrypted, smimetest.Mail{}), "inside the encryption"},
		{"certificates", smimetest.StrippedAttributes, pki.Message(smimetest.CertsOnly, smimetest.Mail{}), "two contents, or none"},
		{"by nobody here", smimetest.WrongContentType, byNobody(t), "private key of Alice"},
		{"cut", smimetest.StrippedAttributes, clear[:len(clear)-300], "reading the message"},
		{"a boundary of ours", smimetest.TwoBoundaries, pki.Message(smimetest.Clear, smimetest.Mail{Text: "--outer\n"}), "boundary"},
	} {
		forged, err := smimetest.Forge(c.defect, c.message)
		if err == nil || forged != nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %d octets, %v", c.what, len(forged), err)
		}
	}
	if forged, err := smimetest.Forge(smimetest.StrippedAttributes, byNobody(t)); err != nil || len(forged) == 0 {
		t.Errorf("an attack that takes no key: %v", err)
	}
}

// TestForgeAmongNamesakes: people of other PKIs have the same issuer and serial number and
// other keys, and one of 256 of these leaves a good padding.
func TestForgeAmongNamesakes(t *testing.T) {
	other, pki := smimetest.NewPKI(t), smimetest.NewPKI(t)
	namesake, bob := other.Issue(smimetest.Leaf{Key: smimetest.RSA2048}).Certificate(), pki.Bob().Certificate()
	if namesake.SerialNumber.Cmp(bob.SerialNumber) != 0 || namesake.PublicKey.(*rsa.PublicKey).Equal(bob.PublicKey) {
		t.Fatal("no namesake")
	}
	for range 600 {
		var b bytes.Buffer
		c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Recipients: []*x509.Certificate{pki.Bob().Certificate()}, Time: pki.Time}
		if _, err := c.Compose(&b, smimetest.Mail{}.Reader()); err != nil {
			t.Fatal(err)
		}
		if _, err := smimetest.Forge(smimetest.ShortTag, b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

func byNobody(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	c := &smime.Composer{Signers: []*certstore.Identity{smimetest.NewForeign(t).Identity}, Time: smimetest.Now}
	if _, err := c.Compose(&b, smimetest.Mail{}.Reader()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEveryRow: every row of the catalogue that has cases has a constant among them.
func TestEveryRow(t *testing.T) {
	named, rows := map[smimetest.Defect]bool{}, map[string]bool{}
	for _, d := range smimetest.Named(t) {
		named[d] = true
	}
	cases := map[smimetest.Defect]smimetest.Case{}
	for c := range smimetest.Cases() {
		cases[c.Defect] = c
		if c.Row != "" {
			rows[c.Row] = rows[c.Row] || named[c.Defect]
		}
		if c.Twin == "" && c.Verdict != smime.Authentic {
			t.Errorf("%s has no twin", c.Defect)
		}
	}
	for c := range smimetest.Cases() {
		if c.Twin != "" && cases[c.Twin].Verdict != smime.Authentic {
			t.Errorf("%s: the twin %q is %q", c.Defect, c.Twin, cases[c.Twin].Verdict)
		}
	}
	for d := range named {
		if _, ok := cases[d]; !ok {
			t.Errorf("%s is a constant and no case", d)
		}
	}
	for row, ok := range rows {
		if !ok {
			t.Errorf("%s has no constant", row)
		}
	}
	if len(cases) < 500 || len(rows) < 60 {
		t.Errorf("%d cases in %d rows", len(cases), len(rows))
	}
}
