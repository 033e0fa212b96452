package smime_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// TestK07StrippedSignature (row K07): of a message that Alice signed with RSA and with
// ML-DSA somebody takes one signature away, or breaks it. What is left is a good message,
// but not for whoever knows that there have to be two.
func TestK07StrippedSignature(t *testing.T) {
	pki := smimetest.NewPKI(t)
	alice := func(k smimetest.Key) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: k})
	}
	classic, quantum := alice(smimetest.RSA2048), alice(smimetest.MLDSA65)
	eve := pki.Issue(smimetest.Leaf{Name: "Eve", Emails: []string{"eve@evil.example"}, Key: smimetest.MLDSA65})
	by := func(signers ...*certstore.Identity) string {
		c := &smime.Composer{Signers: signers, Time: pki.Time, ProtectHeaders: "off"}
		var b bytes.Buffer
		if _, err := c.Compose(&b, strings.NewReader(fileFields+filePart)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	both := by(classic, quantum)
	broken := func() string { // the larger one, in the middle of the text
		i := strings.LastIndex(both, "\r\n--") - 800
		return both[:i] + string("AB"[strings.IndexByte("BA", both[i])&1]) + both[i+1:]
	}()
	const rsa, mldsa = "rsa-pkcs1", "ml-dsa-65"
	for _, c := range []struct {
		name, mail string
		require    []string
		code       string // of the refusal; empty if it opens
	}{
		{"both, none asked for", both, nil, ""},
		{"both, both asked for", both, []string{rsa, mldsa}, ""},
		{"both, one asked for", both, []string{mldsa}, ""},
		{"without ML-DSA, none asked for", by(classic), nil, ""},
		{"without ML-DSA", by(classic), []string{rsa, mldsa}, "sig.required"},
		{"without RSA", by(quantum), []string{rsa, mldsa}, "sig.required"},
		{"ML-DSA by somebody else", by(classic, eve), []string{rsa, mldsa}, "sig.required"},
		{"one broken", broken, []string{rsa, mldsa}, "sig.invalid"},
		{"one broken, none asked for", broken, nil, "sig.invalid"},
		{"another set of parameters asked for", both, []string{rsa, "ml-dsa-87"}, "sig.required"},
		{"nobody signed", fileFields + filePart, []string{rsa}, "sig.required"},
	} {
		for _, unsigned := range []bool{false, true} {
			o := &smime.Opener{Chain: pki.Verifier(), RequireAlgorithms: c.require, AllowUnsigned: unsigned}
			m, err := o.Open(t.Context(), strings.NewReader(c.mail))
			if c.code == "" {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				var found []string
				for _, s := range m.Signatures() {
					found = append(found, s.Algorithm)
				}
				for _, name := range c.require {
					if !slices.Contains(found, name) {
						t.Errorf("%s: %q without %s", c.name, found, name)
					}
				}
				continue
			}
			r, rerr := o.Inspect(t.Context(), strings.NewReader(c.mail))
			if err == nil || m != nil || rerr != nil || r.Verdict != smime.NotAuthentic || !slices.Contains(r.Codes, c.code) {
				t.Errorf("%s: %v, %s %q; want %s", c.name, err, r.Verdict, r.Codes, c.code)
			}
		}
	}
	// A signature around the ciphertext is nothing that has to be there twice.
	c := &smime.Composer{Signers: []*certstore.Identity{classic, quantum}, Time: pki.Time, ProtectHeaders: "off", Triple: true}
	c.Recipients = append(c.Recipients, pki.Bob().Certificate())
	var wrapped bytes.Buffer
	if _, err := c.Compose(&wrapped, strings.NewReader(fileFields+filePart)); err != nil {
		t.Fatal(err)
	}
	keys := new(certstore.Memory)
	keys.AddIdentity(pki.Bob())
	o := &smime.Opener{Chain: pki.Verifier(), Keys: keys, RequireAlgorithms: []string{rsa, mldsa}}
	if _, err := o.Open(t.Context(), &wrapped); err != nil {
		t.Error("wrapped three times:", err)
	}
}

// TestA06TwoAnswers (row A06): whether a signature is right and whether somebody vouches for
// the signer are two answers. Of these messages the first is yes and the second is no.
func TestA06TwoAnswers(t *testing.T) {
	p := readOpenIdentities(t)
	names, _ := filepath.Glob(filepath.Join(openFolder, "a06-*.eml"))
	if len(names) < 5 {
		t.Fatal(len(names), "messages")
	}
	for _, name := range names {
		mail, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
		if err != nil || r.Verdict != smime.NotAuthentic {
			t.Fatal(name, r, err)
		}
		for _, s := range r.Layers[0].Signatures {
			if s.Crypto != "valid" || s.Trust == "valid" || s.Path != nil {
				t.Errorf("%s: crypto %s, trust %s, path %v", name, s.Crypto, s.Trust, s.Path)
			}
		}
	}
}

// TestJ03NothingToReach (row J03): nobody but this package can fill a Message, and a Report
// holds no content.
func TestJ03NothingToReach(t *testing.T) {
	m := reflect.TypeFor[smime.Message]()
	for i := range m.NumField() {
		if f := m.Field(i); f.IsExported() {
			t.Errorf("Message.%s is exported", f.Name)
		}
	}
	seen := map[reflect.Type]bool{}
	var walk func(path string, x reflect.Type)
	walk = func(path string, x reflect.Type) {
		for x.Kind() == reflect.Pointer || x.Kind() == reflect.Slice && x.Elem().Kind() != reflect.Uint8 {
			x = x.Elem()
		}
		if x.Implements(reflect.TypeFor[io.Reader]()) || reflect.PointerTo(x).Implements(reflect.TypeFor[io.Reader]()) ||
			x.Kind() == reflect.Slice || x.Kind() == reflect.Func || x.Kind() == reflect.Interface {
			t.Errorf("%s is a %v, from which content might be read", path, x)
			return
		}
		if x.Kind() != reflect.Struct || seen[x] || !strings.HasSuffix(x.PkgPath(), "/smime") {
			return
		}
		seen[x] = true
		for i := range x.NumField() {
			if f := x.Field(i); f.IsExported() {
				walk(path+"."+f.Name, f.Type)
			}
		}
	}
	walk("Report", reflect.TypeFor[smime.Report]())
	if len(seen) < 5 {
		t.Errorf("only %d types", len(seen))
	}
}

// TestC17NestedCompression (row C17): what was compressed twice is read, and no more often.
// A content of nothing but zeros, a thousandth of its size, is refused at any depth.
func TestC17NestedCompression(t *testing.T) {
	p := readOpenIdentities(t)
	compressed := func(entity string, times int) string {
		for range times {
			var b bytes.Buffer
			w, err := cms.NewCompressedWriter(&b)
			if err == nil {
				_, err = io.WriteString(w, entity)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			entity = "Content-Type: application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(b.Bytes())
		}
		return entity
	}
	signed := fileOpaque + catalogue.Base64Lines(catalogue.Forged(filePart, p.alice).DER())
	bomb := "Content-Type: text/plain\r\n\r\n" + strings.Repeat("0", 200<<20)
	for _, c := range []struct {
		name, entity string
		ok           bool
	}{
		{"once", compressed(signed, 1), true},
		{"twice", compressed(signed, 2), true},
		{"three times", compressed(signed, 3), false},
		{"a bomb", compressed(bomb, 1), false},
		{"a bomb in a bomb", compressed(bomb, 2), false},
		{"a bomb in a bomb in a bomb", compressed(bomb, 3), false},
	} {
		o := p.opener()
		o.AllowUnsigned = !c.ok
		if c.ok {
			if _, err := o.Open(t.Context(), strings.NewReader(fileFields+c.entity)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		bounded(t, c.name, func() {
			var b bytes.Buffer
			m, err := o.OpenTo(t.Context(), &b, strings.NewReader(fileFields+c.entity))
			if err == nil || m != nil || !strings.Contains(err.Error(), "limit.exceeded") {
				t.Errorf("%s: %v, %v", c.name, m, err)
			}
		})
	}
	// Within an encryption the one error says nothing of it.
	sealed := sealedMail(p.envelope(compressed(bomb, 1), nil))
	if f := failureOf(t, p.opener(), "a bomb inside", []byte(sealed)); f.verdict == smime.Authentic {
		t.Errorf("%+v", f)
	}
	if _, err := p.opener().Open(t.Context(), strings.NewReader(sealedMail(p.envelope(compressed(signed, 1), nil)))); err != nil {
		t.Error("the twin:", err)
	}
}

// TestA22NothingIsSent (row A22): whoever opens a message that asks for a receipt learns
// nothing of it, and there is nothing here that could send one.
func TestA22NothingIsSent(t *testing.T) {
	p := readOpenIdentities(t)
	for _, name := range []string{"a22-twin-request", "a22-twin-list", "a22-twin-unsigned", "a22-twin-malformed"} {
		mail, err := os.ReadFile(filepath.Join(openFolder, name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		with, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		without, err := p.opener().Inspect(t.Context(), strings.NewReader(opaqueMail(catalogue.Forged(filePart, p.alice).DER())))
		if err != nil {
			t.Fatal(err)
		}
		if with.Verdict != without.Verdict || !slices.Equal(with.Codes, without.Codes) || with.Summary != without.Summary {
			t.Errorf("%s: %+v, without the request %+v", name, with, without)
		}
	}
}
