package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
)

const plain = "From: alice@example.com\r\nTo: bob@example.com\r\nSubject: hello\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\n\r\nHello, Bob.\r\n"

const entity = "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello, Bob.\r\n"

// A desk is a folder with everything the commands need.
type desk struct {
	t   *testing.T
	dir string
}

// files are made once: keys are slow to make.
var files = sync.OnceValue(func() map[string][]byte {
	t := new(testing.T)
	ca, other := certtest.NewCA(t, "Root"), certtest.NewCA(t, "Other")
	out := map[string][]byte{"root.pem": certificate(ca.Certificate), "other.pem": certificate(other.Certificate), "plain.eml": []byte(plain)}
	for name, issuer := range map[string]*certtest.CA{"alice": ca, "bob": ca, "carol": ca, "eve": other} {
		address := name + "@example.com"
		if name == "eve" {
			address = "alice@example.com"
		}
		cert, key := issuer.IssueRSA(t, address)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		out[name+".pem"] = certificate(cert)
		out[name+".id"] = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), certificate(cert)...)
	}
	return out
})

func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func newDesk(t *testing.T) *desk {
	d := &desk{t, t.TempDir()}
	for name, data := range files() {
		if err := os.WriteFile(filepath.Join(d.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice.pem", "bob.pem"} {
		if err := os.WriteFile(filepath.Join(d.dir, "store", name), files()[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// run runs one command line; words that begin with @ are files of the desk. The status
// must be exit, and a failure must say why in one line.
func (d *desk) run(exit int, stdin string, line string) string {
	d.t.Helper()
	var args []string
	for word := range strings.FieldsSeq(line) {
		if name, ok := strings.CutPrefix(word, "@"); ok {
			word = filepath.Join(d.dir, name)
		}
		args = append(args, word)
	}
	if args[0] != "certs" && args[0] != "chain" && !strings.Contains(line, "--time") {
		args = append(args, "--time", "2026-06-01T00:00:00Z")
	}
	var stdout, stderr bytes.Buffer
	got := run(args, strings.NewReader(stdin), &stdout, &stderr)
	if got != exit {
		d.t.Fatalf("%s: status %d, want %d\n%s%s", line, got, exit, stdout.String(), stderr.String())
	}
	reason := regexp.MustCompile(`^smime: [a-z]+: [^\n]+\n$`)
	if exit != 0 && !reason.Match(stderr.Bytes()) {
		d.t.Fatalf("%s: the reason is not one line: %q", line, stderr.String())
	}
	return stdout.String()
}

// report runs open --json and reads its answer.
func (d *desk) report(exit int, line string) *smime.Report {
	d.t.Helper()
	out := d.run(exit, "", "open --json --roots @root.pem "+line)
	var r struct {
		smime.Report
		Layers []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || strings.Count(out, "\n") != 1 {
		d.t.Fatalf("not one JSON object: %v\n%s", err, out)
	}
	code := regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z0-9_]+)+$`)
	for _, c := range r.Codes {
		if !code.MatchString(c) {
			d.t.Errorf("code %q", c)
		}
	}
	return &r.Report
}

func (d *desk) read(name string) string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

func (d *desk) missing(name string) {
	d.t.Helper()
	if _, err := os.Stat(filepath.Join(d.dir, name)); err == nil {
		d.t.Errorf("%s exists", name)
	}
	left, _ := filepath.Glob(filepath.Join(d.dir, ".*"))
	if len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

func TestSignAndOpen(t *testing.T) {
	d := newDesk(t)
	for _, options := range []string{"", "--opaque", "--digest sha384", "--digest sha512 --opaque", "--pss", "--include none", "--include leaf",
		"--include chain+root", "--signer-id key-id", "--opaque=false"} {
		d.run(0, "", "sign --identity @alice.id --out @signed.eml "+options+" @plain.eml")
		store := ""
		if options == "--include none" {
			if r := d.report(1, "@signed.eml"); r.Codes[0] != "signer.no_certificate" {
				t.Error(r.Codes)
			}
			store = " --store @store"
		}
		r := d.report(0, "--out @content"+store+" @signed.eml")
		if r.Verdict != smime.Authentic || r.From != "alice@example.com" || r.Subject != "hello" || len(r.Codes) != 0 {
			t.Errorf("%s: %+v", options, r)
		}
		if got := d.read("content"); got != entity {
			t.Errorf("%s: content %q", options, got)
		}
		if r.Content == nil || r.Content.Type != "text/plain" || r.Content.Bytes != int64(len(entity)) {
			t.Errorf("%s: %+v", options, r.Content)
		}
		if got := d.run(0, d.read("signed.eml"), "open --roots @root.pem"+store+" -"); got != entity {
			t.Errorf("%s: standard output %q", options, got)
		}
	}
}

func TestSealAndOpen(t *testing.T) {
	d := newDesk(t)
	for _, options := range []string{"", "--cipher aes128-cbc", "--cipher aes256-gcm", "--cipher chacha20-poly1305", "--key-transport oaep",
		"--recipient-id key-id", "--compress", "--triple"} {
		d.run(0, "", "seal --identity @alice.id --to @bob.pem --out @sealed.eml "+options+" @plain.eml")
		d.report(0, "--identity @bob.id --out @content @sealed.eml")
		d.report(0, "--identity @bob.id --stream --out @content2 @sealed.eml")
		if !strings.HasSuffix(d.read("content"), "Hello, Bob.\r\n") || d.read("content") != d.read("content2") {
			t.Errorf("%s: %q and %q", options, d.read("content"), d.read("content2"))
		}
		if r := d.report(1, "--identity @carol.id --out @none @sealed.eml"); r.Codes[0] != "decrypt.no_key" {
			t.Error(r.Codes)
		}
		d.missing("none")
	}
	d.run(0, "", "seal --identity @alice.id --to bob@example.com --store @store --out @sealed.eml @plain.eml")
	d.report(0, "--identity @bob.id @sealed.eml")
	d.run(1, "", "seal --identity @alice.id --to bob@example.com --to nobody@example.com --store @store --out @none @plain.eml")
	d.missing("none")
}

func TestRefusals(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "sign --identity @eve.id --out @eve.eml @plain.eml")
	d.run(0, "", "sign --identity @carol.id --out @carol.eml @plain.eml")
	d.run(0, "", "encrypt --to @bob.pem --out @encrypted.eml @plain.eml")
	os.WriteFile(filepath.Join(d.dir, "kept"), []byte("mine"), 0o600)
	if r := d.report(1, "--out @kept @eve.eml"); r.Verdict != smime.NotAuthentic || r.Content != nil {
		t.Errorf("%+v", r)
	}
	if d.read("kept") != "mine" {
		t.Error("an existing file was touched")
	}
	d.report(1, "@carol.eml")
	d.report(0, "--allow mismatched-sender @carol.eml")
	if r := d.report(1, "@plain.eml"); r.Verdict != smime.Unsigned {
		t.Errorf("%+v", r)
	}
	d.report(0, "--allow unsigned @plain.eml")
	d.report(1, "--identity @bob.id @encrypted.eml")
	if r := d.report(0, "--allow unsigned,sha1 --identity @bob.id --out @content @encrypted.eml"); r.Content == nil {
		t.Error("content is released and not described")
	}
	if d.read("content") != entity {
		t.Errorf("%q", d.read("content"))
	}
	d.report(0, "--inspect @eve.eml")
	os.WriteFile(filepath.Join(d.dir, "garbage"), []byte("\x00\x01\x02 no message"), 0o600)
	if r := d.report(3, "@garbage"); r.Verdict != smime.Unreadable || len(r.Codes) == 0 {
		t.Errorf("%+v", r)
	}
	d.report(3, "--inspect @garbage")
	for _, line := range []string{"open", "open --stream @plain.eml", "open --allow everything @plain.eml", "open --nonsense @plain.eml",
		"open --content @plain.eml @plain.eml", "open --revocation maybe @plain.eml", "open --time yesterday @plain.eml",
		"sign @plain.eml", "sign --identity @alice.id --digest md5 @plain.eml", "encrypt @plain.eml", "encrypt --to @bob.pem --cipher rot13 @plain.eml",
		"encrypt --to @bob.pem --key-transport none @plain.eml", "seal --to @bob.pem @plain.eml", "seal --identity @alice.id @plain.eml", "frobnicate"} {
		d.run(2, "", line)
	}
	for _, line := range []string{"open --roots @root.pem @nofile", "open --roots @nofile @plain.eml", "sign --identity @nofile @plain.eml"} {
		d.run(3, "", line)
	}
	d.run(1, "", "sign --identity @alice.pem @plain.eml")
}

func TestBareCMS(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "sign --identity @alice.id --out @signed.eml @plain.eml")
	_, rest, _ := strings.Cut(d.read("signed.eml"), "filename=\"smime.p7s\"\r\n\r\n")
	text, _, _ := strings.Cut(rest, "\r\n\r\n--")
	pemText := "-----BEGIN CMS-----\n" + strings.ReplaceAll(text, "\r\n", "\n") + "\n-----END CMS-----\n"
	os.WriteFile(filepath.Join(d.dir, "detached.pem"), []byte(pemText), 0o600)
	os.WriteFile(filepath.Join(d.dir, "entity"), []byte(entity), 0o600)
	r := d.report(0, "--cms --content @entity --out @content @detached.pem")
	if r.Form != "cms" || d.read("content") != entity {
		t.Errorf("%+v %q", r, d.read("content"))
	}
	d.report(1, "--cms @detached.pem")
	d.report(1, "--cms --content @plain.eml @detached.pem")
	d.report(3, "--cms @plain.eml")
}

func TestBatch(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "sign --identity @alice.id --out @signed.eml @plain.eml")
	p := func(name string) string { return filepath.Join(d.dir, name) }
	in := p("signed.eml") + "\n\n" + p("nofile") + "\n{\"id\":\"7\",\"path\":\"" + p("plain.eml") + "\"}\n{bad\n" + p("signed.eml")
	out := d.run(0, in, "open --json --batch --roots @root.pem")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := []string{`"verdict":"authentic"`, `"verdict":"unreadable"`, `"id":"7"`, `"error"`, `"verdict":"authentic"`}
	if len(lines) != len(want) {
		t.Fatalf("%d answers: %s", len(lines), out)
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) || !json.Valid([]byte(lines[i])) {
			t.Errorf("answer %d: %s", i, lines[i])
		}
	}
}
