package smime_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// A mailbag keeps copies by whom they are for.
type mailbag struct {
	copies []*sentCopy
}

type sentCopy struct {
	bytes.Buffer
	to     []*x509.Certificate
	closed bool
}

func (c *sentCopy) Close() error { c.closed = true; return nil }

func (b *mailbag) create(to []*x509.Certificate) (io.WriteCloser, error) {
	c := &sentCopy{to: to}
	b.copies = append(b.copies, c)
	return c, nil
}

// traces lists everything by which somebody can be recognised in a message.
func traces(c *x509.Certificate) map[string][]byte {
	return map[string][]byte{
		"address": []byte(c.EmailAddresses[0]), "name": []byte(c.Subject.CommonName), "subject": c.RawSubject,
		"serial": c.SerialNumber.Bytes(), "key identifier": c.SubjectKeyId, "public key": c.RawSubjectPublicKeyInfo,
	}
}

// readable returns a message and everything that can be read in it: what stands in base64,
// at any depth, and what the reader decrypts.
func readable(t *testing.T, mail []byte, o *smime.Opener) [][]byte {
	t.Helper()
	m, err := o.Open(t.Context(), bytes.NewReader(mail))
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(m.Entity())
	all := [][]byte{mail, content}
	for i := 0; i < len(all) && i < 100; i++ {
		var text []byte
		flush := func() {
			if b, err := base64.StdEncoding.DecodeString(string(text)); err == nil && len(b) > 64 {
				all = append(all, b)
			}
			text = nil
		}
		for line := range bytes.Lines(all[i]) {
			line = bytes.TrimRight(line, "\r\n")
			if len(line) == 0 || len(bytes.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")) > 0 {
				flush()
				continue
			}
			text = append(text, line...)
		}
		flush()
	}
	if len(all) < 3 {
		t.Fatal("nothing was decoded")
	}
	return all
}

// TestBcc inspects every octet of every copy: nothing in what one recipient gets, as sent,
// decoded or decrypted, tells of a Bcc recipient who is not its reader (attack row C21).
func TestBcc(t *testing.T) {
	pki := smimetest.NewPKI(t)
	person := func(name string) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{
			Name: strings.ToUpper(name) + " Person", Emails: []string{name + "@good.example"}, Key: smimetest.P256,
			Change: func(c *x509.Certificate) { c.SerialNumber.SetBytes([]byte("serial-" + name)) },
		})
	}
	dora, emil, fred := person("dora"), person("emil"), person("fred")
	message := "From: alice@good.example\r\nTo: dora@good.example\r\nBcc: emil@good.example,\r\n fred@good.example\r\nResent-Bcc: emil@good.example, fred@good.example\r\nSubject: s\r\n\r\nhi\r\n"
	opener := &smime.Opener{Chain: pki.Verifier(), AllowUnsigned: true, AllowMalleable: true}
	alice := []*certstore.Identity{pki.Alice()}
	forms := map[string]smime.Composer{
		"sealed": {Signers: alice, Opaque: true}, "clear inside": {Signers: alice}, "triple": {Signers: alice, Opaque: true, Triple: true},
		"encrypted": {}, "compressed": {Signers: alice, Opaque: true, Compress: true}, "legacy display": {Signers: alice, LegacyDisplay: true},
		"chains": {Signers: alice, Include: "chain+root", Cipher: "aes256-gcm", Pad: true},
	}
	inspected := 0
	for form, c := range forms {
		for n, mode := range []string{"", "each", "together"} {
			c.ProtectHeaders, c.RecipientKeyID = []string{"", "off", "shy"}[n], n == 1
			c.Time, c.BccMode = pki.Time, mode
			c.Recipients, c.Bcc = []*x509.Certificate{dora.Certificate()}, []*x509.Certificate{emil.Certificate(), fred.Certificate()}
			var bag mailbag
			if err := c.ComposeCopies(bag.create, strings.NewReader(message)); err != nil {
				t.Fatal(err)
			}
			if want := map[string]int{"": 3, "each": 3, "together": 2}[mode]; len(bag.copies) != want {
				t.Fatalf("%s, %q: %d copies, want %d", form, mode, len(bag.copies), want)
			}
			for _, sent := range bag.copies {
				if !sent.closed {
					t.Error("a copy was not closed")
				}
				for _, reader := range []*certstore.Identity{dora, emil, fred} {
					name := form + ", " + mode + ": the copy of " + reader.Certificate().Subject.CommonName
					keys := new(certstore.Memory)
					keys.AddIdentity(reader)
					o := *opener
					o.Keys = keys
					_, err := o.Open(t.Context(), bytes.NewReader(sent.Bytes()))
					mine := slices.ContainsFunc(sent.to, reader.Certificate().Equal)
					if mine != (err == nil) || !mine && !errors.Is(err, smime.ErrNoKey) {
						t.Errorf("%s: opens %v: %v", name, mine, err)
					}
					if !mine {
						continue
					}
					for _, hidden := range []*certstore.Identity{dora, emil, fred} {
						if slices.ContainsFunc(sent.to, hidden.Certificate().Equal) {
							continue
						}
						for depth, octets := range readable(t, sent.Bytes(), &o) {
							for what, trace := range traces(hidden.Certificate()) {
								if hidden == dora && what == "address" {
									continue // she is in To, for everybody to see
								}
								inspected++
								if bytes.Contains(octets, trace) || bytes.Contains(bytes.ToLower(octets), bytes.ToLower(trace)) {
									t.Errorf("%s has the %s of %s at depth %d", name, what, hidden.Certificate().Subject.CommonName, depth)
								}
							}
							if bytes.Contains(bytes.ToLower(octets), []byte("bcc:")) {
								t.Errorf("%s has a Bcc field at depth %d", name, depth)
							}
						}
					}
				}
			}
		}
	}
	if inspected < 1000 {
		t.Errorf("%d inspections", inspected)
	}
}

func TestBccRefusals(t *testing.T) {
	p := newParty(t)
	src := func() io.ReadSeeker { return strings.NewReader(plain) }
	untouched := func([]*x509.Certificate) (io.WriteCloser, error) {
		t.Error("a copy was begun")
		return nil, io.ErrClosedPipe
	}
	c := p.composer(true, true, true)
	c.Bcc = []*x509.Certificate{p.bobEC.Certificate()}
	if _, err := c.Compose(io.Discard, src()); err == nil {
		t.Error("Compose forgot about Bcc")
	}
	for _, mode := range []string{"refuse", "shared"} {
		c.BccMode = mode
		if err := c.ComposeCopies(untouched, src()); err == nil {
			t.Errorf("%s: composed", mode)
		}
	}
	// An unfit certificate of anybody stops everything before it begins (attack row C20).
	c.BccMode, c.Bcc = "", append(c.Bcc, smimetest.New().Issue(smimetest.Leaf{Emails: []string{"old@good.example"}, NotBefore: days(-10), NotAfter: days(-1)}).Certificate())
	var who *smime.RecipientError
	if err := c.ComposeCopies(untouched, src()); !errors.As(err, &who) || who.Recipient != "old@good.example" || who.Code != "time.expired" {
		t.Errorf("an expired certificate: %v", err)
	}
	// Everybody in Bcc: there is no other copy.
	all := p.composer(true, false, true)
	all.Bcc = []*x509.Certificate{p.bob.Certificate(), p.bobEC.Certificate()}
	var bag mailbag
	if err := all.ComposeCopies(bag.create, src()); err != nil || len(bag.copies) != 2 {
		t.Errorf("%d copies, %v", len(bag.copies), err)
	}
	if err := p.composer(true, false, true).ComposeCopies(untouched, src()); err == nil {
		t.Error("composed for nobody")
	}
	// A draft keeps the Bcc fields, which would then stand in every copy.
	draft := p.protected(true, true, true, "")
	draft.Draft, draft.Bcc = true, []*x509.Certificate{p.bobEC.Certificate()}
	if err := draft.ComposeCopies(untouched, strings.NewReader("Bcc: secret@example.com\r\n"+plain)); err == nil {
		t.Error("copies of a draft name Bcc recipients")
	}
}

// TestUncoveredRecipients names everybody who cannot be written to, and writes nothing
// (attack row C20).
func TestUncoveredRecipients(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issue := func(name string, change func(*smimetest.Leaf)) *x509.Certificate {
		l := smimetest.Leaf{Name: name, Emails: []string{name + "@good.example"}}
		change(&l)
		return pki.Issue(l).Certificate()
	}
	c := &smime.Composer{Time: pki.Time, Recipients: []*x509.Certificate{
		pki.Bob().Certificate(),
		issue("expired", func(l *smimetest.Leaf) { l.NotBefore, l.NotAfter = days(-10), days(-1) }),
		issue("future", func(l *smimetest.Leaf) { l.NotBefore = days(1) }),
		issue("signer", func(l *smimetest.Leaf) { l.KeyUsage = x509.KeyUsageDigitalSignature }),
		issue("server", func(l *smimetest.Leaf) { l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		issue("weak", func(l *smimetest.Leaf) { l.Key = smimetest.RSA1024 }),
	}}
	var b bytes.Buffer
	_, err := c.Compose(&b, strings.NewReader(plain))
	if err == nil || b.Len() > 0 {
		t.Fatalf("%v, %d octets", err, b.Len())
	}
	got := map[string]string{}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var who *smime.RecipientError
		if errors.As(e, &who) {
			got[who.Recipient] = who.Code
		}
	}
	for who, code := range map[string]string{"expired": "time.expired", "future": "time.not_yet_valid", "signer": "ku.encrypt", "server": "eku.leaf", "weak": "alg.weak_key"} {
		if got[who+"@good.example"] != code {
			t.Errorf("%s: %q, want %s", who, got[who+"@good.example"], code)
		}
	}
	if len(got) != 5 {
		t.Errorf("unfit: %v", got)
	}
}

// TestCoverHeader: everybody the header names can read the message, or nobody gets it.
func TestCoverHeader(t *testing.T) {
	pki := smimetest.NewPKI(t)
	c := &smime.Composer{Time: pki.Time, CoverHeader: true, Recipients: []*x509.Certificate{pki.Bob().Certificate(), pki.Alice().Certificate()}}
	for header, missing := range map[string][]string{
		"To: Bob <BOB@good.example>\r\nCc: alice@good.example\r\n": nil,
		"Subject: nobody\r\n": nil,
		"To: bob@good.example, carol@good.example\r\nCc: x: dora@good.example, alice@good.example;\r\n": {"carol@good.example", "dora@good.example"},
		"To: not an address\r\n": {""},
	} {
		var b bytes.Buffer
		_, err := c.Compose(&b, strings.NewReader("From: x@good.example\r\n"+header+"\r\nhi\r\n"))
		if (err == nil) != (missing == nil) || err != nil && b.Len() > 0 {
			t.Errorf("%q: %v, %d octets", header, err, b.Len())
		}
		for _, who := range missing {
			if err == nil || !strings.Contains(err.Error(), who) {
				t.Errorf("%q: %v does not name %s", header, err, who)
			}
		}
	}
	c.Recipients, c.Bcc = c.Recipients[:1], c.Recipients[1:]
	var bag mailbag
	if err := c.ComposeCopies(bag.create, strings.NewReader("To: bob@good.example\r\n\r\nhi\r\n")); err != nil || len(bag.copies) != 2 {
		t.Errorf("%d copies, %v", len(bag.copies), err)
	}
	if err := c.ComposeCopies(bag.create, strings.NewReader("To: alice@good.example\r\n\r\nhi\r\n")); err == nil {
		t.Error("an address in To is covered by Bcc only")
	}
	c.Recipients = nil
	if err := c.ComposeCopies(bag.create, strings.NewReader("To: bob@good.example\r\n\r\nhi\r\n")); err == nil {
		t.Error("nobody has a copy for the address in To")
	}
	if err := c.ComposeCopies(bag.create, strings.NewReader("To: friends:;\r\n\r\nhi\r\n")); err != nil {
		t.Errorf("Bcc alone: %v", err)
	}
	c.Recipients = []*x509.Certificate{}
	if err := c.ComposeCopies(bag.create, strings.NewReader("To: friends:;\r\n\r\nhi\r\n")); err == nil {
		t.Error("recipients that nobody found are left out")
	}
}

// TestDraft keeps Bcc for the author, where nobody else can read it.
func TestDraft(t *testing.T) {
	p := newParty(t)
	c := p.protected(false, true, false, "")
	c.Draft, c.Cipher = true, "aes256-gcm"
	draft := composed(t, c, "From: bob@example.com\r\nBcc: secret@example.com\r\nSubject: later\r\n\r\nhi\r\n")
	if bytes.Contains(draft, []byte("secret")) {
		t.Error("Bcc is readable")
	}
	o := p.opener()
	o.AllowUnsigned = true
	m, err := o.Open(t.Context(), bytes.NewReader(draft))
	if err != nil {
		t.Fatal(err)
	}
	if h := m.Header(); h.Get("Bcc") != "secret@example.com" {
		t.Errorf("Bcc is %q", h.Get("Bcc"))
	}
	for _, c := range []*smime.Composer{
		{Signers: []*certstore.Identity{p.alice}, Time: p.clock(), Draft: true},
		{Recipients: []*x509.Certificate{p.bob.Certificate()}, Time: p.clock(), Draft: true, ProtectHeaders: "off"},
	} {
		if _, err := c.Compose(io.Discard, strings.NewReader(plain)); err == nil {
			t.Error("a draft that everybody can read")
		}
	}
}

// TestCapabilitiesChooseTheCipher: authenticated encryption where everybody can read it.
func TestCapabilitiesChooseTheCipher(t *testing.T) {
	pki := smimetest.NewPKI(t)
	gcm := []byte("\x30\x1a\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a")
	cbc := []byte("\x30\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a")
	alice, bob := pki.Alice().Certificate(), pki.Bob().Certificate()
	for _, c := range []struct {
		what string
		know map[*x509.Certificate][]byte
		want string
	}{
		{"nothing is known", nil, "aes256-cbc"},
		{"one of two", map[*x509.Certificate][]byte{alice: gcm}, "aes256-cbc"},
		{"both", map[*x509.Certificate][]byte{alice: gcm, bob: gcm}, "aes256-gcm"},
		{"old ones", map[*x509.Certificate][]byte{alice: cbc, bob: cbc}, "aes256-cbc"},
		{"rubbish", map[*x509.Certificate][]byte{alice: gcm, bob: gcm[:10]}, "aes256-cbc"},
	} {
		store := new(certstore.Memory)
		for cert, der := range c.know {
			if err := store.Put(t.Context(), &certstore.Entry{Certificate: cert, Capabilities: der}); err != nil {
				t.Fatal(err)
			}
		}
		r := &smime.Resolver{Store: store}
		composer := &smime.Composer{Time: pki.Time, Recipients: []*x509.Certificate{alice, bob}, Capabilities: func(c *x509.Certificate) []byte { return r.Capabilities(t.Context(), c) }}
		result, err := composer.Compose(io.Discard, strings.NewReader(plain))
		if err != nil || result.Cipher != c.want || len(result.Reasons) == 0 {
			t.Errorf("%s: %+v, %v; want %s", c.what, result, err, c.want)
		}
	}
}
