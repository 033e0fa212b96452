package smime_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// TestSummary has one sentence and its severity for each kind of message a reader meets.
func TestSummary(t *testing.T) {
	p := newParty(t)
	byCarol, byEve := p.composer(true, false, false), p.composer(true, false, false)
	byCarol.Signers, byEve.Signers = []*certstore.Identity{p.carol}, []*certstore.Identity{p.eve}
	sealed := composed(t, p.composer(true, true, true), plain)
	signed := composed(t, p.composer(true, false, false), plain)
	noKeys := p.opener()
	noKeys.Keys = nil
	tolerant := p.opener()
	tolerant.AllowMismatchedSender = true
	for _, c := range []struct {
		what, mail        string
		o                 *smime.Opener
		severity, summary string
	}{
		{"plain", plain, nil, "none", "Neither signed nor encrypted"},
		{"signed", string(signed), nil, "good", "Signed by alice@example.com"},
		{"sealed", string(sealed), nil, "good", "Encrypted, and signed by alice@example.com"},
		{"encrypted", string(composed(t, p.composer(false, true, false), plain)), nil, "warning", "nobody signed it"},
		{"no key", string(sealed), noKeys, "warning", "keys that are not at hand"},
		{"changed", strings.Replace(string(signed), "offer stands", "offer falls", 1), nil, "warning", "Changed after it was signed"},
		{"another sender", string(composed(t, byCarol, plain)), nil, "danger", "Signed by carol@example.com, who is not the sender"},
		{"another sender, put up with", string(composed(t, byCarol, plain)), tolerant, "warning", "Signed by carol@example.com, who is not the sender"},
		{"a stranger", string(composed(t, byEve, plain)), nil, "warning", "nobody you trust"},
		// A name counts only where somebody vouches for it and the signature is good.
		{"a stranger under another name", string(composed(t, byEve, strings.Replace(plain, "alice@", "bob@", 1))), nil, "danger", "nobody you trust"},
		{"a stranger without author", strings.Replace(string(composed(t, byEve, plain)), "From:", "X-From:", 1), nil, "warning", "nobody you trust"},
		{"no signature of another sender", broken(t, composed(t, byCarol, plain)), nil, "warning", "it counts as not signed"},
		{"no signature, no author", strings.Replace(broken(t, composed(t, byCarol, plain)), "From:", "X-From:", 1), nil, "warning", "it counts as not signed"},
		{"an address that turns around", strings.Replace(string(composed(t, byCarol, plain)), "alice@", "al\u202eice@", 1), nil, "danger", "Signed by carol@example.com, who is not the sender"},
		{"a part", "From: alice@example.com\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nhi\r\n--m\r\n" + string(signed) + "\r\n--m--\r\n", nil, "warning", "part 2 is signed by itself"},
		{"rubbish", "", nil, "warning", "Cannot be read"},
	} {
		o := c.o
		if o == nil {
			o = p.opener()
		}
		r, err := o.Inspect(t.Context(), strings.NewReader(c.mail))
		if err != nil {
			t.Fatal(err)
		}
		if r.Severity != c.severity || !strings.Contains(r.Summary, c.summary) {
			t.Errorf("%s: %s: %q %v, want %s: %q", c.what, r.Severity, r.Summary, r.Codes, c.severity, c.summary)
		}
		if strings.Contains(r.From+r.Summary, "\u202e") {
			t.Errorf("%s: %q, %q", c.what, r.From, r.Summary)
		}
	}
}

// broken spoils the value of the signature of a clear-signed message, its last octets.
func broken(t *testing.T, mail []byte) string {
	t.Helper()
	text, end := string(mail), strings.LastIndex(string(mail), "\r\n\r\n--")
	lines := text[strings.LastIndex(text[:end], "\r\n\r\n")+4 : end]
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(lines, "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	der[len(der)-1] ^= 1
	return strings.Replace(text, lines, strings.TrimSuffix(wrapped76(der), "\r\n"), 1)
}

// TestParts: protected parts inside the content are named with their place.
func TestParts(t *testing.T) {
	p := newParty(t)
	signed := string(composed(t, p.composer(true, false, false), plain))
	opaque := string(composed(t, p.composer(true, false, true), plain))
	cbc, gcm := p.composer(false, true, false), p.composer(false, true, false)
	gcm.Cipher = "aes256-gcm"
	tree := "From: alice@example.com\r\nList-Id: <list.example.com>\r\n" + catalogue.MultipartAt("layout", "mixed",
		signed,
		"\r\nhello\r\n",
		catalogue.MultipartAt("deeper", "mixed", "Content-Type: message/rfc822\r\n\r\n"+opaque, string(composed(t, cbc, plain))),
		"Content-Disposition: attachment; filename=smime.p7m\r\n"+strings.Replace(entityOf(string(composed(t, gcm, plain))), "application/pkcs7-mime", "application/octet-stream", 1),
		"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nbm90aGluZw==\r\n",
	)
	r, err := p.opener().Inspect(t.Context(), strings.NewReader(tree))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range r.Parts {
		got = append(got, l.Place+" "+l.Kind+" "+l.Form)
	}
	want := []string{"1 signed multipart", "3.1.1 signed opaque", "3.2 encrypted enveloped", "4 encrypted auth-enveloped"}
	if !slices.Equal(got, want) || r.Verdict != smime.Unsigned || len(r.Layers) > 0 {
		t.Errorf("%s, layers %d, parts %q, want %q", r.Verdict, len(r.Layers), got, want)
	}
	for _, w := range []string{"mime.partly_protected", "mime.list_footer"} {
		if !slices.Contains(r.Warnings, w) {
			t.Errorf("no %s among %q", w, r.Warnings)
		}
	}
	text, err := json.Marshal(r.Parts[2])
	if err != nil || string(text) != `{"place":"3.2","kind":"encrypted","form":"enveloped"}` {
		t.Errorf("%s, %v", text, err)
	}
	// A signed message that holds one is signed as a whole, whatever is in it.
	r, err = p.opener().Inspect(t.Context(), bytes.NewReader(composed(t, p.composer(true, true, true), tree)))
	if err != nil || r.Verdict != smime.Authentic || len(r.Parts) != 4 || slices.Contains(r.Warnings, "mime.partly_protected") {
		t.Errorf("%+v, %v", r, err)
	}
	// What is forwarded, as a message or by Exchange, and signed as such.
	object, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(opaque[strings.Index(opaque, "\r\n\r\n"):], "\r\n", ""))
	winmail := func(object []byte) string {
		return "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapped76(catalogue.Winmail(object, ""))
	}
	sealed := string(composed(t, cbc, plain))
	for what, c := range map[string]struct{ entity, want string }{
		"a message":               {"Content-Type: message/rfc822\r\n\r\n" + sealed, "1 encrypted"},
		"a message with parts":    {"Content-Type: message/rfc822\r\n\r\nFrom: carol@example.com\r\n" + catalogue.MultipartAt("m", "mixed", "\r\nhi\r\n", sealed), "1.2 encrypted"},
		"a message that pretends": {"Content-Type: message/rfc822\r\n\r\nFrom: carol@example.com\r\n\r\n" + sealed, ""},
		"an encoded message":      {catalogue.MultipartAt("m", "mixed", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"+wrapped76([]byte(sealed))), "1.1 encrypted"},
		"an international one":    {catalogue.MultipartAt("m", "mixed", "Content-Type: message/global\r\n\r\n"+sealed), "1.1 encrypted"},
		"winmail.dat":             {catalogue.MultipartAt("m", "mixed", "\r\nhi\r\n", winmail(object)), "2 signed"},
		"a clear-signed one":      {catalogue.MultipartAt("m", "mixed", winmail([]byte(entityOf(signed)))), "1 signed"},
		"one that is none":        {catalogue.MultipartAt("m", "mixed", "Content-Type: application/octet-stream; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"+wrapped76(object)), "1 signed"},
		"one with a document":     {catalogue.MultipartAt("m", "mixed", winmail([]byte("hello"))), ""},
	} {
		for _, mail := range []string{"From: alice@example.com\r\n" + c.entity, string(p.signExactly(t, "From: alice@example.com\r\n", c.entity, p.alice, true))} {
			r, err := p.opener().Inspect(t.Context(), strings.NewReader(mail))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range r.Parts {
				got = append(got, l.Place+" "+l.Kind)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%s: %s, parts %q, want %s", what, r.Verdict, got, c.want)
			}
		}
	}
	// Looking for parts changes nothing about what comes out, however deep and odd it is.
	deep := "Content-Type: multipart/mixed; boundary=d\r\n\r\n--d\r\n"
	deep = "From: a@example.com\r\n" + strings.Repeat(deep, 100) + "\r\nend"
	o := p.opener()
	o.AllowUnsigned = true
	for _, mail := range []string{tree, deep, "From: a@example.com\r\nContent-Type: multipart/mixed\r\n\r\nno boundary"} {
		m, err := o.Open(t.Context(), strings.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		if content, _ := io.ReadAll(m.Entity()); string(content) != mail {
			t.Errorf("%d octets came out as %d", len(mail), len(content))
		}
	}
}

// TestOuterHeader: what is no field does not take the fields around it along.
func TestOuterHeader(t *testing.T) {
	p := newParty(t)
	o := p.opener()
	o.AllowUnsigned = true
	signed := string(composed(t, p.composer(true, false, false), plain))
	for what, mail := range map[string]string{
		"a message":               signed,
		"one of a mailbox file":   "From alice Mon Jun  1 00:00:00 2026\r\n" + signed,
		"one of AS2":              "POST / HTTP/1.1\r\n" + signed,
		"a line that is no field": strings.Replace(plain, "Subject:", "no field\r\nSubject:", 1),
		"a name that is none":     strings.Replace(plain, "Subject:", "X-\xe9: y\r\nSubject:", 1),
	} {
		m, err := o.Open(t.Context(), strings.NewReader(mail))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		h := m.OuterHeader()
		if subject, _ := h.Subject(); h.Get("From") != "Alice <alice@example.com>" || subject != "The offer" {
			t.Errorf("%s: from %q, subject %q", what, h.Get("From"), subject)
		}
	}
}

// TestReplay: a message sent again to another list carries its date, its list and its
// identifier under the signature, for whoever wants to look (attack row F10).
func TestReplay(t *testing.T) {
	p := newParty(t)
	mail := string(composed(t, p.protected(true, false, true, ""), confidential))
	again := strings.NewReplacer("To: Bob <bob@example.com>", "To: board@example.com", "Wed, 01 Jul 2026 02:00:00", "Fri, 01 Jan 2027 00:00:00", "<1@example.com>", "<2@example.com>").Replace(mail)
	m, err := p.opener().Open(t.Context(), strings.NewReader(again))
	if err != nil {
		t.Fatal(err)
	}
	r, h := m.Report(), m.Header()
	for name, value := range map[string]string{"To": "Bob <bob@example.com>", "Date": "Wed, 01 Jul 2026 02:00:00 +0200", "Message-ID": "<1@example.com>"} {
		if h.Get(name) != value || r.Protection(name, value) != "signed-only" {
			t.Errorf("%s: %q is %s", name, h.Get(name), r.Protection(name, value))
		}
		if !slices.ContainsFunc(r.Notes, func(n smime.Note) bool {
			return n.About == name && n.Code == "header.changed" && n.Severity == "warning"
		}) {
			t.Errorf("nobody is told that %s was changed: %+v", name, r.Notes)
		}
	}
}

// TestNothingStays: composing and opening leave nothing behind in files, and errors name
// nothing of the content (attack row C23).
func TestNothingStays(t *testing.T) {
	p := newParty(t)
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, dir)
	}
	const secret = "the-secret-word"
	message := strings.Replace(plain, "the offer stands", secret, 1)
	mail := composed(t, p.composer(true, true, true), message)
	if bytes.Contains(mail, []byte(secret)) {
		t.Fatal("not encrypted")
	}
	signed := composed(t, p.composer(true, false, false), message)
	for _, damaged := range [][]byte{mail[:len(mail)/2], mail[:len(mail)-40], bytes.Replace(signed, []byte(secret), []byte(secret+"!"), 1)} {
		m, err := p.opener().Open(t.Context(), bytes.NewReader(damaged))
		if err == nil {
			t.Error("opened:", m.Report().Verdict)
			continue
		}
		r, _ := p.opener().Inspect(t.Context(), bytes.NewReader(damaged))
		text, _ := json.Marshal(r)
		if strings.Contains(err.Error()+string(text), secret) {
			t.Errorf("%v\n%s", err, text)
		}
	}
	small := p.opener()
	small.MaxMemory = 8
	if _, err := small.Open(t.Context(), bytes.NewReader(mail)); err == nil || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestSameInputSameOutput: but for keys and boundaries drawn at random nothing about a
// message depends on chance, and what is written once is signed once (attack row I02).
func TestSameInputSameOutput(t *testing.T) {
	p := newParty(t)
	var mails [2][]byte
	for i := range mails {
		t.Run("once", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 7)
			c := p.protected(true, true, false, "")
			c.Recipients, c.Triple = append(c.Recipients, p.alice.Certificate()), true
			mails[i] = composed(t, c, confidential)
		})
	}
	if !bytes.Equal(mails[0], mails[1]) {
		t.Error("the same message twice is not the same")
	}
	for _, mail := range mails {
		if _, err := p.opener().Open(t.Context(), bytes.NewReader(mail)); err != nil {
			t.Error(err)
		}
	}
}

// TestRandomIsTheSystems: no package of this module draws from anything but the system's
// random source, whose failure ends the program (attack row I06).
func TestRandomIsTheSystems(t *testing.T) {
	seen := 0
	look := func(name string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.Contains(name, "test") {
			return err
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			if strings.HasPrefix(spec.Path.Value, `"math/rand`) {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
		return nil
	}
	for _, folder := range []string{"../smime", "../chain", "../internal"} {
		if err := filepath.WalkDir(folder, look); err != nil {
			t.Error(err)
		}
	}
	if seen < 100 {
		t.Errorf("%d files", seen)
	}
}

// TestHeaderValuesStayInTheirField: whatever stands in a field or a file name comes out as
// it went in and makes no field of its own (attack row I01).
func TestHeaderValuesStayInTheirField(t *testing.T) {
	p := newParty(t)
	pki := smimetest.NewPKI(t)
	for _, value := range []string{"a; b=c", `"quoted" \ `, "=?utf-8?q?=0D=0ABcc:_eve@evil.example?=", strings.Repeat("word ", 300), strings.Repeat("x", 900), "\u202egnp.exe", "a\r\n b\r\n\tc"} {
		for _, policy := range []string{"", "shy", "off"} {
			mail := composed(t, p.protected(true, true, true, policy), "From: alice@example.com\r\nSubject: "+value+"\r\nX-Other: "+value+"\r\nContent-Type: text/plain; name=\"n\"\r\n\r\nhi\r\n")
			m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
			if err != nil {
				t.Errorf("%q: %v", value, err)
				continue
			}
			outer := m.OuterHeader()
			for f := outer.Fields(); f.Next(); {
				if !slices.Contains([]string{"From", "Subject", "X-Other", "Mime-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"}, f.Key()) {
					t.Errorf("%q made a field %s", value, f.Key())
				}
			}
			if strings.Contains(string(mail), "\r\nBcc:") {
				t.Errorf("%q made a Bcc field", value)
			}
		}
	}
	// A certificate's own idea of a name does not get out of the sentence it stands in.
	odd := pki.Issue(smimetest.Leaf{Name: "x\r\nBcc: eve@evil.example", Emails: []string{"bob@good.example"}, NotBefore: days(-9), NotAfter: days(-1)})
	_, err := (&smime.Composer{Recipients: []*x509.Certificate{odd.Certificate()}, Time: pki.Time}).Compose(io.Discard, strings.NewReader(plain))
	if err == nil || strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("%q", err)
	}
}

// The summary names each signer once, and by the address of the author.
func TestSummaryNames(t *testing.T) {
	p := newParty(t)
	ca := certtest.NewCA(t, "Root")
	identity := func(addresses ...string) *certstore.Identity {
		cert, key := ca.IssueRSA(t, addresses...)
		id, err := certstore.NewIdentity(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	c := p.composer(true, false, false)
	c.Signers = []*certstore.Identity{identity("office@example.com", "alice@example.com"), identity("alice@example.com"), identity("carol@example.com")}
	o := p.opener()
	anchors := new(chain.Collection)
	anchors.Add(ca.Certificate)
	o.Chain = chain.NewVerifier(anchors, chain.Revocation{})
	o.Chain.Time = p.clock()
	r, err := o.Inspect(t.Context(), bytes.NewReader(composed(t, c, plain)))
	if err != nil || r.Verdict != smime.Authentic {
		t.Fatal(err, r)
	}
	if want := "Signed by alice@example.com and carol@example.com"; r.Summary != want {
		t.Errorf("%q, want %q", r.Summary, want)
	}
}
