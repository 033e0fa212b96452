package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// --json prints an object for every status but wrong usage, even where no message was read.
func TestObjectForEveryFailure(t *testing.T) {
	d := newDesk(t)
	for _, line := range []string{"@nofile", "@store", "--cms @nofile", "--inspect @nofile", "--roots @nofile @plain.eml",
		"--out @nofolder/content @plain.eml", "--cms --content @nofile @plain.eml"} {
		if r := d.report(3, line); r.Verdict != smime.Unreadable || len(r.Codes) == 0 || r.Content != nil {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if r := d.report(1, "--identity @alice.pem @plain.eml"); r.Verdict != smime.NotAuthentic || len(r.Codes) == 0 {
		t.Errorf("%+v", r)
	}
	// A line that cannot be understood has a verdict as well.
	var answer struct{ Verdict, Error string }
	if err := json.Unmarshal([]byte(d.run(0, "{bad\n", "open --batch")), &answer); err != nil || answer.Verdict != "unreadable" || answer.Error == "" {
		t.Errorf("%v %+v", err, answer)
	}
}

// So do the other commands, and none of them writes a message beside its object.
func TestObjectOfEveryCommand(t *testing.T) {
	d := newDesk(t)
	object := func(exit int, line string) map[string]any {
		t.Helper()
		var o map[string]any
		if out := d.run(exit, "", line); json.Unmarshal([]byte(out), &o) != nil || strings.Count(out, "\n") != 1 {
			t.Fatalf("%s: %q", line, out)
		}
		return o
	}
	for _, command := range []string{"sign --identity @alice.id", "encrypt --to @bob.pem", "seal --identity @alice.id --to @bob.pem"} {
		o := object(0, command+" --json --out @made @plain.eml")
		if made := d.read("made"); o["bytes"] != float64(len(made)) || o["sha256"] != hexSum256([]byte(made)) {
			t.Errorf("%s: %v", command, o)
		}
		object(0, command+" --json @plain.eml")
		object(3, command+" --json --out @none @nofile")
		d.missing("none")
		d.run(2, "", command+" --json --out - @plain.eml")
	}
	object(1, "sign --json --identity @bob.pem --out @none @plain.eml")
	object(3, "certs --json @nofile")
	object(3, "lookup --json --store @nofile bob@example.com")
	object(3, "sync --json --from @nofile --to @store --state @state")
	object(1, "publish --json --store @store --identity @bob.pem")
}

// What judges recipients is read even if nobody is looked up, and is not a store's fault.
func TestLookupSettings(t *testing.T) {
	d := newDesk(t)
	for _, line := range []string{"encrypt --to @bob.pem", "encrypt --to bob@example.com --store @store", "seal --identity @alice.id --to @bob.pem"} {
		d.run(2, "", line+" --revocation sometimes --out @none @plain.eml")
		d.run(3, "", line+" --roots @nofile --out @none @plain.eml")
		d.missing("none")
		d.run(0, "", line+" --revocation off --roots @root.pem --out @made @plain.eml")
	}
	d.run(2, "", "lookup --store @store --revocation sometimes bob@example.com")
	d.run(2, "", "lookup --store @store --roots @root.pem --revocation sometimes bob@example.com")
	if out := d.run(3, "", "lookup --store @store --roots @nofile bob@example.com"); out != "" {
		t.Errorf("%q", out)
	}
	d.run(0, "", "lookup --store @store --revocation off --roots @root.pem bob@example.com")
}

// A dash is standard output, as it is standard input.
func TestOutputNames(t *testing.T) {
	d := newDesk(t)
	d.write("signed.eml", d.run(0, "", "sign --identity @alice.id --out - @plain.eml"))
	if got := d.run(0, "", "open --roots @root.pem --out - @signed.eml"); got != entity {
		t.Errorf("%q", got)
	}
	d.run(1, "", "open --roots @other.pem --out - @signed.eml")
	d.run(2, "", "open --roots @root.pem --json --out - @signed.eml")
	d.run(2, "", "open --roots @root.pem --stream --out - @signed.eml")
}

// A pipe or a device is written to, a link followed, and neither is replaced by a file.
func TestOutputToDevice(t *testing.T) {
	d := newDesk(t)
	pipe, link := filepath.Join(d.dir, "pipe"), filepath.Join(d.dir, "link")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skip("no pipes with a name here")
	}
	d.write("behind", "old")
	if err := os.Symlink("behind", link); err != nil {
		t.Fatal(err)
	}
	d.write("signed.eml", d.run(0, "", "sign --identity @alice.id @plain.eml"))
	got := make(chan string, 1)
	go func() {
		b, _ := os.ReadFile(pipe)
		got <- string(b)
	}()
	d.run(1, "", "open --roots @other.pem --out @pipe @signed.eml") // writes nothing, and does not wait
	d.run(0, "", "open --roots @root.pem --out @pipe @signed.eml")
	select {
	case text := <-got:
		if text != entity {
			t.Errorf("through the pipe: %q", text)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing came through the pipe")
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is gone: %v", err)
	}
	d.run(1, "", "open --roots @other.pem --out @link @signed.eml")
	if d.read("behind") != "old" {
		t.Error("refused content was written")
	}
	d.run(0, "", "open --roots @root.pem --out @link @signed.eml")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || d.read("behind") != entity {
		t.Errorf("the link is gone: %v", err)
	}
	d.run(3, "", "open --roots @root.pem --out @store @signed.eml")
}

// What cannot be read as a message to protect is no refusal of it.
func TestNothingToProtect(t *testing.T) {
	d := newDesk(t)
	d.write("empty", "")
	d.write("long", "X: "+strings.Repeat("x", 2<<20)+"\r\n\r\n")
	d.write("wide", strings.Repeat("X: x\r\n", 5000)+"\r\n")
	for _, name := range []string{"empty", "long", "wide", "store", "nofile"} {
		d.run(3, "", "sign --identity @alice.id --out @none @"+name)
		d.run(3, "", "encrypt --to @bob.pem --out @none @"+name)
		d.missing("none")
	}
	d.write("twofold", "From: alice@example.com\r\nFrom: eve@example.com\r\n\r\nx\r\n")
	d.run(1, "", "sign --identity @alice.id --out @none @twofold")
	d.missing("none")
}

// A certificate alone in its file is the recipient's, even if it may sign certificates as
// self-signed ones of OpenSSL may; in a chain only its end is.
func TestRecipientFiles(t *testing.T) {
	d := newDesk(t)
	d.run(1, "", "encrypt --to @root.pem @plain.eml") // its key may not encrypt
	d.write("chain.pem", d.read("bob.pem")+d.read("root.pem"))
	d.write("sealed.eml", d.run(0, "", "encrypt --to @chain.pem @plain.eml"))
	if out := d.run(0, "", "open --json --allow unsigned --identity @bob.id @sealed.eml"); strings.Count(out, `"kind":"ktri"`) != 1 {
		t.Errorf("not one recipient: %s", out)
	}
	// As openssl req -x509 makes them: a CA that encrypts mail.
	_, key := certtest.NewCA(t, "Unused").IssueRSA(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alone"}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: certtest.Epoch(), NotAfter: certtest.Epoch().AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	d.write("alone.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	d.run(0, "", "encrypt --to @alone.pem @plain.eml")
}

// detachedDER returns a detached signature of alice over entity.
func (d *desk) detachedDER() []byte {
	d.t.Helper()
	signed := d.run(0, "", "sign --identity @alice.id @plain.eml")
	_, rest, _ := strings.Cut(signed, "filename=\"smime.p7s\"\r\n\r\n")
	text, _, _ := strings.Cut(rest, "\r\n\r\n--")
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\r\n", ""))
	if err != nil {
		d.t.Fatal(err)
	}
	return der
}

func TestArmour(t *testing.T) {
	d := newDesk(t)
	der := d.detachedDER()
	d.write("entity", entity)
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CMS", Headers: map[string]string{"Comment": "none"}, Bytes: der}))
	oneLine := "-----BEGIN PKCS7-----\n" + base64.StdEncoding.EncodeToString(der) + "\n-----END PKCS7-----\n"
	padding := strings.Repeat("\n", 70_000) // more than is read at once
	for name, text := range map[string]string{
		"bare": string(der), "block": block, "text ahead": "Bag Attributes\n    friendlyName: a\n\n" + block, "CRLF": strings.ReplaceAll(block, "\n", "\r\n"),
		"one line": oneLine, "blank lines behind": block + "\n \r\n",
		"padding": strings.Replace(oneLine, "\n", padding, 1),
	} {
		d.write("signature", text)
		if r := d.report(0, "--cms --content @entity @signature"); r.Verdict != smime.Authentic {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for name, text := range map[string]string{
		"cut":            block[:len(block)/2],
		"no base64":      strings.Replace(block, "MII", "M!I", 1),
		"in the line":    "x" + block,
		"binary ahead":   "\x00\n" + block,
		"trailing bytes": string(der) + "x",
		"text behind":    block + "\nThis was signed, too.\n",
		"another block":  block + block,
		"no end":         strings.Replace(block, "-----END CMS-----\n", block, 1),
	} {
		d.write("signature", text)
		var stdout, stderr strings.Builder
		args := []string{"open", "--json", "--cms", "--time", "2026-06-01T00:00:00Z", "--roots", filepath.Join(d.dir, "root.pem"), "--content", filepath.Join(d.dir, "entity"), filepath.Join(d.dir, "signature")}
		if exit := run(args, strings.NewReader(""), &stdout, &stderr); exit == 0 || !json.Valid([]byte(stdout.String())) {
			t.Errorf("%s: status %d, %s", name, exit, stdout.String())
		}
	}
}

// --content beside a content of the structure's own: the structure was read, and is refused.
func TestTwoContents(t *testing.T) {
	d := newDesk(t)
	d.write("entity", entity)
	for _, command := range []string{"sign --opaque --identity @alice.id", "encrypt --to @bob.pem"} {
		message := d.run(0, "", command+" --out - @plain.eml")
		_, text, _ := strings.Cut(message, "\r\n\r\n")
		der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\r\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		d.write("structure", string(der))
		r := d.report(1, "--cms --allow unsigned --identity @bob.id --content @entity --out @none @structure")
		if r.Verdict != smime.NotAuthentic || r.Codes[0] != "cms.two_contents" {
			t.Errorf("%s: %+v", command, r)
		}
		d.missing("none")
	}
}

// --network asks where a certificate says, and without it nobody is asked.
func TestNetworkIsAskedFor(t *testing.T) {
	d := newDesk(t)
	ca := certtest.NewCA(t, "Root")
	_, key := ca.IssueRSA(t)
	cert := ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.EmailAddresses = []string{"alice@example.com"}
		c.CRLDistributionPoints = []string{"http://127.0.0.1:9/list.crl"} // which is never asked: it is this machine
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d.write("named.id", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))+string(certificate(cert)))
	d.write("root.pem", string(certificate(ca.Certificate)))
	d.run(0, "", "sign --identity @named.id --out @signed.eml @plain.eml")
	codes := func(exit int, options string) string {
		return strings.Join(d.report(exit, options+" @signed.eml").Codes, " ")
	}
	const asked = "rev.fetch_failed"
	if got := codes(1, ""); !strings.Contains(got, "rev.unknown") || strings.Contains(got, asked) {
		t.Error(got)
	}
	for _, mode := range []string{"", "--revocation hard"} {
		if got := codes(1, "--network "+mode); !strings.Contains(got, "rev.unknown") || !strings.Contains(got, asked) {
			t.Errorf("%s: %s", mode, got)
		}
	}
	if got := codes(1, "--network --revocation supplied-only"); strings.Contains(got, asked) {
		t.Error(got)
	}
	d.report(0, "--revocation soft @signed.eml")
	d.report(0, "--revocation off @signed.eml")
}

// A structure without its signer's certificate opens with --intermediates naming it, its
// content has a type, and a text without a header is signed as one and loses nothing.
func TestOpenCorners(t *testing.T) {
	dir := t.TempDir()
	pki := smimetest.NewPKI(t)
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots, alice := write("roots.der", pki.Root.Certificate().Raw), write("alice.pem", identityPEM(t, pki.Alice()))
	bag := write("alice.der", pki.Alice().Certificate().Raw)
	issuing := write("issuing.der", pki.Issuing.Certificate().Raw)
	clock := []string{"--time", "2026-06-01T12:00:00Z"}
	do := func(stdin string, args ...string) (string, int) {
		t.Helper()
		var out, errs bytes.Buffer
		exit := run(append(args, clock...), strings.NewReader(stdin), &out, &errs)
		return out.String(), exit
	}
	bare, exit := do(string(smimetest.Mail{}.Bytes()), "sign", "--identity", alice, "--include", "none", "--opaque", "-")
	if exit != exitGood {
		t.Fatal(exit, bare)
	}
	if out, exit := do(bare, "open", "--json", "--roots", roots, "-"); exit != exitNotGood || !strings.Contains(out, "signer.no_certificate") {
		t.Errorf("without the certificate: %d, %s", exit, out)
	}
	if out, exit := do(bare, "open", "--json", "--roots", roots, "--intermediates", bag, "--intermediates", issuing, "-"); exit != exitGood {
		t.Errorf("with --intermediates: %d, %s", exit, out)
	}
	_, body, _ := strings.Cut(bare, "\r\n\r\n")
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	out, exit := do(string(der), "open", "--cms", "--json", "--roots", roots, "--intermediates", bag, "--intermediates", issuing, "-")
	if exit != exitGood || !strings.Contains(out, `"content":{"type":"application/octet-stream"`) {
		t.Errorf("--cms: %d, %s", exit, out)
	}
	headless, exit := do("Pay Eve 100.\n\nAlice\n", "sign", "--identity", alice, "-")
	if exit != exitGood {
		t.Fatal(exit, headless)
	}
	if out, exit := do(headless, "open", "--roots", roots, "--allow", "mismatched-sender", "-"); exit != exitGood || out != "\r\nPay Eve 100.\r\n\r\nAlice\r\n" {
		t.Errorf("a text without a header: %d, %q", exit, out)
	}
	if out, exit := do(headless, "open", "--json", "--roots", roots, "-"); exit != exitNotGood || !strings.Contains(out, "from.absent") || !strings.Contains(out, "does not say who sent it") {
		t.Errorf("a text without a header, strictly: %d, %s", exit, out)
	}
	long := "From: " + strings.Repeat("x", 100_000) + "\x1b[2J\r\n" + "Subject: x\r\n\r\nhi\r\n"
	if out, _ := do(long, "open", "--json", "--inspect", "-"); len(out) > 2000 || strings.Contains(out, "\\u001b") {
		t.Errorf("a From without end: %d octets", len(out))
	}
}

// A root that is to help with paths is not trusted for that.
func TestIntermediatesAreNotTrusted(t *testing.T) {
	d := newDesk(t)
	d.write("signed.eml", d.run(0, "", "sign --identity @alice.id @plain.eml"))
	for trust, exit := range map[string]int{"--roots @root.pem --intermediates @other.pem": 0, "--roots @other.pem --intermediates @root.pem": 1} {
		d.run(exit, "", "open --json "+trust+" @signed.eml")
	}
}

// A folder of roots may have links to files in it; links in a circle and pipes are left alone.
func TestFolderOfRoots(t *testing.T) {
	d := newDesk(t)
	folder := filepath.Join(d.dir, "roots")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Symlink("../root.pem", filepath.Join(folder, "root")), os.Symlink(".", filepath.Join(folder, "a")), os.Symlink(".", filepath.Join(folder, "b"))); err != nil {
		t.Skip(err)
	}
	d.run(0, "", "chain --roots @roots --time 2026-06-01T00:00:00Z @alice.pem")
}

// One certificate of a file of recipients that cannot be read stops everything.
func TestUnreadableRecipient(t *testing.T) {
	d := newDesk(t)
	d.write("all.pem", d.read("bob.pem")+d.read("carol.pem"))
	d.run(0, "", "encrypt --to @all.pem @plain.eml")
	d.write("all.pem", d.read("bob.pem")+strings.Replace(d.read("carol.pem"), "MII", "AAA", 1))
	if out := d.run(1, "", "encrypt --to @all.pem @plain.eml"); out != "" {
		t.Errorf("wrote %q", out)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(d.dir, "all"), 0o700), os.Rename(filepath.Join(d.dir, "all.pem"), filepath.Join(d.dir, "all", "all.pem"))); err != nil {
		t.Fatal(err)
	}
	d.run(1, "", "encrypt --to @all @plain.eml")

	// A pipe can be read once.
	for text, exit := range map[string]int{d.read("all/all.pem"): 1, d.read("bob.pem"): 0} {
		r, w, err := os.Pipe()
		if err == nil {
			defer r.Close()
			_, err = w.WriteString(text)
			err = errors.Join(err, w.Close())
		}
		pipe := fmt.Sprintf("/dev/fd/%d", r.Fd())
		if _, bad := os.Stat(pipe); err != nil || bad != nil {
			t.Skip(err, bad)
		}
		d.run(exit, "", "encrypt --to "+pipe+" @plain.eml")
	}
}
