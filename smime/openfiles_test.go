package smime_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crypto/x509"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/sigalg"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// The folder openFolder holds messages with one thing wrong with each, messages with
// nothing wrong, and beside each the expectation as JSON. The identities that made them
// are in its folder pki. All of them are made by this package; see TestOpenFilesAreCurrent.
const openFolder = "../testdata/open"

var updateOpen = flag.Bool("update-open", false, "write the messages in testdata/open again")

// An openFile is the expectation for one message.
type openFile struct {
	Name     string        `json:"-"`                  // of the file, without its ending; begins with the row of the attack
	Note     string        `json:"note"`               // what is wrong, or what is unusual and right
	Twin     string        `json:"twin,omitempty"`     // the message without the defect
	Verdict  smime.Verdict `json:"verdict"`            // what Inspect answers
	Codes    []string      `json:"codes,omitempty"`    // some of the codes it must give
	Warnings []string      `json:"warnings,omitempty"` // some of the warnings it must give
	Content  string        `json:"content,omitempty"`  // SHA-256 of the content, where it is authentic

	message string
	random  bool // differs each time it is made
}

// openIdentities are the people in the files.
type openIdentities struct {
	root            *x509.Certificate
	alice, bob, eve *certstore.Identity

	secondRoot *x509.Certificate
	second     map[string]*certstore.Identity
}

func (p *openIdentities) verifier() *chain.Verifier {
	anchors := new(chain.Collection)
	anchors.AddAnchor(p.root, p.secondRoot)
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
// the certificate and the one of the issuing authority.
func readOpenIdentities(t *testing.T) *openIdentities {
	t.Helper()
	blocks := func(name string) (ders [][]byte) {
		rest, err := os.ReadFile(filepath.Join(openFolder, "pki", name))
		if err != nil {
			t.Fatal(err)
		}
		for {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				return ders
			}
			ders = append(ders, b.Bytes)
		}
	}
	certificate := func(der []byte) *x509.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	identity := func(name string) *certstore.Identity {
		b := blocks(name)
		if len(b) != 3 {
			t.Fatalf("%s has %d blocks", name, len(b))
		}
		key, err := x509.ParsePKCS8PrivateKey(b[0])
		if err != nil {
			t.Fatal(err)
		}
		id, err := certstore.NewIdentity(certificate(b[1]), key, certificate(b[2]))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	p := &openIdentities{root: certificate(blocks("root.pem")[0]), alice: identity("alice.pem"), bob: identity("bob.pem"), eve: identity("eve.pem")}
	if _, err := os.Stat(filepath.Join(secondFolder, "root.pem")); err != nil && *updateOpen {
		writeSecond(t, p.alice)
	}
	p.readSecond(t)
	return p
}

// writeOpenIdentities makes new ones.
func writeOpenIdentities(t *testing.T) {
	t.Helper()
	write := func(name string, blocks ...*pem.Block) {
		var b bytes.Buffer
		for _, block := range blocks {
			if err := pem.Encode(&b, block); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(openFolder, "pki", name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(openFolder, "pki"), 0o755); err != nil {
		t.Fatal(err)
	}
	pki := smimetest.NewPKI(t)
	write("root.pem", &pem.Block{Type: "CERTIFICATE", Bytes: pki.Root.Certificate().Raw})
	for name, id := range map[string]*certstore.Identity{
		"alice.pem": pki.Alice(),
		"bob.pem":   pki.Bob(),
		"eve.pem":   pki.Issue(smimetest.Leaf{Name: "Eve", Emails: []string{"eve@evil.example"}, Key: smimetest.RSA2048}),
	} {
		key, err := x509.MarshalPKCS8PrivateKey(id.Key())
		if err != nil {
			t.Fatal(err)
		}
		write(name, &pem.Block{Type: "PRIVATE KEY", Bytes: key},
			&pem.Block{Type: "CERTIFICATE", Bytes: id.Certificate().Raw},
			&pem.Block{Type: "CERTIFICATE", Bytes: id.Intermediates()[0].Raw})
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
			report, err := people.opener().Inspect(t.Context(), bytes.NewReader(message))
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
			checkReleased(t, people.opener(), message, want)
		})
	}
}

func readExpectation(t *testing.T, stem string) *openFile {
	t.Helper()
	text, err := os.ReadFile(stem + ".json")
	if err != nil {
		t.Fatal(err)
	}
	want := new(openFile)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(want); err != nil {
		t.Fatalf("%s: %v", stem, err)
	}
	return want
}

// checkReleased opens a message held in memory, as a seekable stream and as a pipe.
func checkReleased(t *testing.T, o *smime.Opener, message []byte, want *openFile) {
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
	m, err = o.OpenTo(t.Context(), &b, io.MultiReader(bytes.NewReader(message)))
	if slices.Contains(want.Warnings, "mime.not_canonical") {
		return // needs a second pass
	}
	check("OpenTo from a pipe", m, b.Bytes(), err)
}

// The files are what the tables of this package make of the identities in the folder pki.
// With -update-open they are written again; without that folder, for new identities.
func TestOpenFilesAreCurrent(t *testing.T) {
	if _, err := os.Stat(filepath.Join(openFolder, "pki", "root.pem")); err != nil && *updateOpen {
		writeOpenIdentities(t)
	}
	made := map[string]bool{}
	for _, f := range mimeFiles(t, readOpenIdentities(t)) {
		if made[f.Name] {
			t.Errorf("%s is made twice", f.Name)
		}
		made[f.Name] = true
		if _, err := os.Stat(filepath.Join(openFolder, f.Name+".json")); err == nil && f.random {
			f.Content = readExpectation(t, filepath.Join(openFolder, f.Name)).Content
		}
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
		for ending, want := range map[string][]byte{".eml": []byte(f.message), ".json": text.Bytes()} {
			path := filepath.Join(openFolder, f.Name+ending)
			if _, err := os.Stat(path); err == nil && f.random && ending == ".eml" {
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
}

// fileSigner makes the same signature each time. It names no capabilities, because those
// grow with this module.
func fileSigner(id *certstore.Identity) *cms.Signer {
	return &cms.Signer{
		Certificate: id.Certificate(), Key: id.Key(), Digest: sigalg.SHA256,
		Time: smimetest.Now(), Capabilities: []byte{0x30, 0},
	}
}

// detached returns the DER of a detached signature of id over text in canonical form.
func detached(t *testing.T, id *certstore.Identity, text string) []byte {
	t.Helper()
	d := cms.NewDigests(sigalg.SHA256)
	d.Write(mimeraw.Canonical([]byte(text)))
	return signDigests(t, id, d)
}

func signDigests(t *testing.T, id *certstore.Identity, d *cms.Digests) []byte {
	t.Helper()
	der, err := cms.SignDetached(d, []*cms.Signer{fileSigner(id)}, append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// opaque returns the DER of SignedData of id around text.
func opaque(t *testing.T, id *certstore.Identity, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := cms.NewSignedWriter(&b, []*cms.Signer{fileSigner(id)}, append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...))
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// base64Lines returns octets in base64, in lines.
func base64Lines(octets []byte) string {
	var b strings.Builder
	w := mimeraw.Base64Encoder(&b)
	w.Write(octets)
	w.Close()
	return b.String()
}
