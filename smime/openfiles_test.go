package smime_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/x509"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// The folder openFolder holds messages with one thing wrong with each, messages with
// nothing wrong, and beside each the expectation as JSON. The identities that made them
// are in its folder pki. All of them are made by this package; see TestOpenFilesAreCurrent.
const openFolder = "../testdata/open"

var updateOpen = flag.Bool("update-open", false, "write the messages in testdata/open again")

// openIdentities are the people in the files.
type openIdentities struct {
	roots           []*x509.Certificate
	alice, bob, eve *certstore.Identity
	// others have one thing about their certificate that the name tells; see
	// writeOpenIdentities and writeSecond.
	others map[string]*certstore.Identity
	crl    []byte // revokes others["revoked"]

	secondRoot *x509.Certificate
}

func (p *openIdentities) verifier() *chain.Verifier {
	anchors := new(chain.Collection)
	anchors.AddAnchor(p.roots...)
	anchors.AddAnchor(p.secondRoot)
	v := chain.NewVerifier(anchors, chain.Revocation{})
	v.Time = smimetest.Now
	return v
}

// opener opens as Bob.
func (p *openIdentities) opener() *smime.Opener {
	keys := new(certstore.Memory)
	keys.AddIdentity(p.bob)
	return &smime.Opener{Chain: p.verifier(), Keys: keys}
}

// readOpenIdentities reads the folder pki: root.pem, and for each person a private key,
// the certificate, those of the authorities that issued it, and maybe a CRL.
func readOpenIdentities(t testing.TB) *openIdentities {
	t.Helper()
	p := &openIdentities{others: map[string]*certstore.Identity{}}
	names, _ := filepath.Glob(filepath.Join(openFolder, "pki", "*.pem"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var key crypto.PrivateKey
		var certs []*x509.Certificate
		for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
			switch b.Type {
			case "PRIVATE KEY":
				key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
			case "CERTIFICATE":
				var c *x509.Certificate
				c, err = x509.ParseCertificate(b.Bytes)
				certs = append(certs, c)
			case "X509 CRL":
				p.crl = b.Bytes
			}
			if err != nil {
				t.Fatal(name, err)
			}
		}
		if name = strings.TrimSuffix(filepath.Base(name), ".pem"); name == "root" {
			p.roots = certs
			continue
		}
		id, err := certstore.NewIdentity(certs[0], key, certs[1:]...)
		if err != nil {
			t.Fatal(name, err)
		}
		switch name {
		case "alice":
			p.alice = id
		case "bob":
			p.bob = id
		case "eve":
			p.eve = id
		default:
			p.others[name] = id
		}
	}
	if _, err := os.Stat(filepath.Join(secondFolder, "root.pem")); err != nil && *updateOpen {
		writeSecond(t, p.alice)
	}
	p.readSecond(t)
	return p
}

// writeOpenIdentities makes those that are not in the folder yet, below a root of their own,
// which is added to root.pem.
func writeOpenIdentities(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(openFolder, "pki"), 0o755); err != nil {
		t.Fatal(err)
	}
	pki := smimetest.NewPKI(t)
	used := false
	add := func(name string, issue func() *certstore.Identity) {
		file := filepath.Join(openFolder, "pki", name+".pem")
		if _, err := os.Stat(file); err == nil {
			return
		}
		used = true
		id := issue()
		key, err := x509.MarshalPKCS8PrivateKey(id.Key())
		if err != nil {
			t.Fatal(err)
		}
		blocks := []*pem.Block{{Type: "PRIVATE KEY", Bytes: key}}
		for _, c := range append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...) {
			blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
		if name == "revoked" {
			blocks = append(blocks, &pem.Block{Type: "X509 CRL", Bytes: pki.Issuing.CRL(id.Certificate())})
		}
		var b bytes.Buffer
		for _, block := range blocks {
			pem.Encode(&b, block)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add("alice", pki.Alice)
	add("bob", pki.Bob)
	add("eve", func() *certstore.Identity { return pki.Other("eve") })
	for _, what := range []string{"encipherment", "authority", "commitment", "server", "unrestricted", "ed25519", "p256", "stranger", "timestamps", "timestamps-stranger", "revoked", "self-signed", "below-a-leaf"} {
		add(what, func() *certstore.Identity { return pki.Other(what) })
	}
	if !used {
		return
	}
	roots, err := os.OpenFile(filepath.Join(openFolder, "pki", "root.pem"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = pem.Encode(roots, &pem.Block{Type: "CERTIFICATE", Bytes: pki.Root.Certificate().Raw})
	}
	if err != nil || roots.Close() != nil {
		t.Fatal(err)
	}
}

// Every file gets the verdict and the codes that stand beside it, by every entrance, and
// nothing comes out that is not authentic (J03).
func TestOpenFiles(t *testing.T) {
	people := readOpenIdentities(t)
	names, err := filepath.Glob(filepath.Join(openFolder, "*.json"))
	if err != nil || len(names) < 50 {
		t.Fatalf("%d expectations, %v", len(names), err)
	}
	messages, _ := filepath.Glob(filepath.Join(openFolder, "*.eml"))
	if len(messages) != len(names) {
		t.Fatalf("%d messages and %d expectations", len(messages), len(names))
	}
	for _, name := range names {
		stem := strings.TrimSuffix(name, ".json")
		t.Run(filepath.Base(stem), func(t *testing.T) {
			want := readExpectation(t, stem)
			if want.Twin != "" {
				if twin := readExpectation(t, filepath.Join(openFolder, want.Twin)); twin.Verdict != smime.Authentic {
					t.Errorf("the twin %s is %s", want.Twin, twin.Verdict)
				}
			} else if want.Verdict != smime.Authentic {
				t.Error("no twin")
			}
			message, err := os.ReadFile(stem + ".eml")
			if err != nil {
				t.Fatal(err)
			}
			var report *smime.Report
			bounded(t, "Inspect", func() {
				report, err = people.opener().Inspect(t.Context(), bytes.NewReader(message))
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Verdict != want.Verdict {
				t.Errorf("verdict %s, want %s; codes %q, warnings %q", report.Verdict, want.Verdict, report.Codes, report.Warnings)
			}
			for _, c := range want.Codes {
				if !slices.Contains(report.Codes, c) {
					t.Errorf("code %s is not among %q", c, report.Codes)
				}
			}
			for _, c := range want.Warnings {
				if !slices.Contains(report.Warnings, c) {
					t.Errorf("warning %s is not among %q", c, report.Warnings)
				}
			}
			var remarks []string
			for _, l := range report.Layers {
				for _, s := range l.Signatures {
					remarks = append(remarks, s.Codes...)
				}
			}
			for _, c := range want.Remarks {
				if !slices.Contains(remarks, c) {
					t.Errorf("remark %s is not among %q", c, remarks)
				}
			}
			var notes []string
			for _, n := range report.Notes {
				notes = append(notes, n.About+" "+n.Code)
			}
			for _, n := range want.Notes {
				if !slices.Contains(notes, n) {
					t.Errorf("note %s is not among %q", n, notes)
				}
			}
			checkReleased(t, people.opener(), message, want)
			if want.CMS != "" {
				checkBare(t, people.opener(), message, want)
			}
		})
	}
}

// bounded runs f, which must have its answer within the time and the memory that any
// input whatever may cost.
func bounded(t testing.TB, what string, f func()) {
	t.Helper()
	before := allocated()
	start := time.Now()
	f()
	// Two seconds are for a machine that does nothing else; a test runs beside others.
	if took := time.Since(start); took > slowdown*10*time.Second {
		t.Errorf("%s: %v", what, took)
	}
	if n := allocated() - before; n > 200<<20 {
		t.Errorf("%s: %d MiB allocated", what, n>>20)
	}
}

// allocated returns how many octets this process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// checkBare holds the outermost structure of a message, without the message, against the
// expectation.
func checkBare(t *testing.T, o *smime.Opener, message []byte, want *catalogue.Case) {
	t.Helper()
	blob, detached := bareStructure(t, message)
	reader := func() io.Reader {
		if detached == nil {
			return nil
		}
		return bytes.NewReader(detached)
	}
	report, err := o.InspectCMS(t.Context(), bytes.NewReader(blob), reader())
	if err != nil || report.Verdict != want.CMS {
		t.Errorf("InspectCMS: %+v, %v", report, err)
	}
	m, err := o.OpenCMS(t.Context(), io.Discard, bytes.NewReader(blob), reader())
	if (err == nil) != (want.CMS == smime.Authentic) || (m == nil) != (err != nil) {
		t.Errorf("OpenCMS: %v, %v", m, err)
	}
}

// bareStructure returns the base64 at the end of a message, decoded, and of a
// multipart/signed message its first part in canonical form.
func bareStructure(t testing.TB, message []byte) (blob, detached []byte) {
	t.Helper()
	text, ok := string(message), true
	if strings.Contains(text, "multipart/signed") {
		parts := strings.Split(text, "\r\n--outer")
		if len(parts) != 4 {
			t.Fatalf("%d pieces instead of a header, two parts and an end", len(parts))
		}
		detached, text = []byte(strings.TrimPrefix(parts[1], "\r\n")), parts[2]
	}
	if _, text, ok = strings.Cut(strings.TrimPrefix(text, "\r\n"), "\r\n\r\n"); !ok {
		t.Fatal("no body")
	}
	blob, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return blob, detached
}

func readExpectation(t *testing.T, stem string) *catalogue.Case {
	t.Helper()
	text, err := os.ReadFile(stem + ".json")
	if err != nil {
		t.Fatal(err)
	}
	want := new(catalogue.Case)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(want); err != nil {
		t.Fatalf("%s: %v", stem, err)
	}
	return want
}

// checkReleased opens a message held in memory, as a seekable stream and as a pipe.
func checkReleased(t *testing.T, o *smime.Opener, message []byte, want *catalogue.Case) {
	t.Helper()
	check := func(how string, m *smime.Message, content []byte, err error) {
		t.Helper()
		if (err == nil) != (want.Verdict == smime.Authentic) {
			t.Errorf("%s: %v", how, err)
		}
		if err != nil {
			if m != nil {
				t.Errorf("%s: an error and a message", how)
			}
			if how != "OpenTo from a pipe" && len(content) > 0 { // what went into a pipe nobody takes back
				t.Errorf("%s: %d octets stay of a message that was refused (attack row C23)", how, len(content))
			}
			return
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != want.Content {
			t.Errorf("%s: another content: %q", how, content)
		}
	}
	m, err := o.Open(t.Context(), bytes.NewReader(message))
	var content []byte
	if err == nil {
		content, _ = io.ReadAll(m.Entity())
	}
	check("Open", m, content, err)
	file, ferr := os.Create(filepath.Join(t.TempDir(), "quarantine"))
	if ferr != nil {
		t.Fatal(ferr)
	}
	defer file.Close()
	m, err = o.OpenTo(t.Context(), file, bytes.NewReader(message))
	if content, ferr = os.ReadFile(file.Name()); ferr != nil {
		t.Fatal(ferr)
	}
	check("OpenTo", m, content, err)
	var b bytes.Buffer
	if want.Pipe != "" {
		once := *want
		once.Verdict = want.Pipe
		want = &once
	}
	m, err = o.OpenTo(t.Context(), &b, io.MultiReader(bytes.NewReader(message)))
	check("OpenTo from a pipe", m, b.Bytes(), err)
}

// The files are what the tables of this package make of the identities in the folder pki.
// With -update-open they are written again, and identities that are missing are made.
func TestOpenFilesAreCurrent(t *testing.T) {
	if *updateOpen {
		writeOpenIdentities(t)
	}
	made := map[string]bool{}
	people := readOpenIdentities(t)
	for _, f := range people.maker().Cases() {
		if made[f.Name] {
			t.Errorf("%s is made twice", f.Name)
		}
		made[f.Name] = true
		if f.Fault != "" {
			t.Errorf("%s: %s", f.Name, f.Fault)
		}
		if _, err := os.Stat(filepath.Join(openFolder, f.Name+".json")); err == nil && f.Random {
			f.Content = readExpectation(t, filepath.Join(openFolder, f.Name)).Content
		}
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
		for ending, want := range map[string][]byte{".eml": []byte(f.Message), ".json": text.Bytes()} {
			path := filepath.Join(openFolder, f.Name+ending)
			if _, err := os.Stat(path); err == nil && f.Random && ending == ".eml" {
				continue
			}
			if *updateOpen {
				if err := os.WriteFile(path, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not current (%v): run with -update-open", path, err)
			}
		}
	}
	all, err := filepath.Glob(filepath.Join(openFolder, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if name := filepath.Base(path); made[strings.TrimSuffix(name, filepath.Ext(name))] {
			continue
		}
		if *updateOpen && os.Remove(path) == nil {
			continue
		}
		t.Errorf("%s is made by nobody", path)
	}
}
