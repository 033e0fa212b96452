package cms_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/sigalg"
)

// opensslFolder runs the program openssl, if it is installed, with files made of the people.
type opensslFolder struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T, people ...*person) *opensslFolder {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the program openssl is not installed")
	}
	o := &opensslFolder{t, t.TempDir()}
	var all []byte
	for _, p := range people {
		name := p.cert.Subject.CommonName
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			t.Fatal(err)
		}
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
		all = append(all, cert...)
		o.file(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		o.file(name+".crt", cert)
	}
	o.file("roots.crt", all)
	return o
}

func (o *opensslFolder) file(name string, b []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o *opensslFolder) run(args string) ([]byte, error) {
	cmd := exec.Command("openssl", strings.Fields(args)...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	return out, err
}

func TestOpenSSLReadsOurs(t *testing.T) {
	rsa, p256, p384 := someone(t, "rsa"), someone(t, "p256"), someone(t, "p384")
	o := newOpenSSL(t, rsa, p256, p384)
	large := bytes.Repeat([]byte("line of text\r\n"), 10000)
	for _, c := range []struct {
		name    string
		content []byte
		signers []*cms.Signer
	}{
		{"rsa", content, []*cms.Signer{rsa.signer()}},
		{"empty", []byte{}, []*cms.Signer{rsa.signer()}},
		{"streamed", large, []*cms.Signer{rsa.signer()}},
		{"pss", content, []*cms.Signer{with(rsa.signer(), func(s *cms.Signer) { s.PSS = true })}},
		{"keyid", content, []*cms.Signer{with(rsa.signer(), func(s *cms.Signer) { s.KeyID = true })}},
		{"sha512", content, []*cms.Signer{with(rsa.signer(), func(s *cms.Signer) { s.Digest = sigalg.SHA512 })}},
		{"ec", content, []*cms.Signer{p256.signer()}},
		{"ec384", large, []*cms.Signer{p384.signer()}},
		{"two", content, []*cms.Signer{rsa.signer(), p256.signer()}},
		{"three", large, []*cms.Signer{p384.signer(), with(p256.signer(), func(s *cms.Signer) { s.KeyID = true }), rsa.signer()}},
	} {
		o.file("content", c.content)
		o.file("opaque", signOpaque(t, c.content, c.signers...))
		o.file("detached", signDetached(t, c.content, c.signers...))
		for _, args := range []string{"-in opaque -cades", "-in detached -content content -cades"} {
			args = "cms -verify -binary -inform DER -CAfile roots.crt -purpose any -attime 1795262400 -out out " + args
			if out, err := o.run(args); err != nil {
				t.Errorf("%s: openssl %s: %v\n%s", c.name, args, err, out)
				continue
			}
			if got, _ := os.ReadFile(filepath.Join(o.dir, "out")); !bytes.Equal(got, c.content) {
				t.Errorf("%s: content differs", c.name)
			}
		}
	}
}

func TestOpenSSLWritesOurs(t *testing.T) {
	rsa, p256, p384 := someone(t, "rsa"), someone(t, "p256"), someone(t, "p384")
	o := newOpenSSL(t, rsa, p256, p384)
	large := bytes.Repeat([]byte("line of text\r\n"), 10000)
	o.file("content", large)
	for _, c := range []struct{ args, states string }{
		{"-signer rsa.crt -inkey rsa.key", "valid"},
		{"-signer rsa.crt -inkey rsa.key -keyid", "valid"},
		{"-signer rsa.crt -inkey rsa.key -stream -indef", "valid"},
		{"-signer rsa.crt -inkey rsa.key -noattr", "valid"},
		{"-signer rsa.crt -inkey rsa.key -nosmimecap", "valid"},
		{"-signer rsa.crt -inkey rsa.key -cades -md sha512", "valid"},
		{"-signer rsa.crt -inkey rsa.key -keyopt rsa_padding_mode:pss", "valid"},
		{"-signer rsa.crt -inkey rsa.key -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:11 -keyopt rsa_mgf1_md:sha1", "valid"},
		{"-signer rsa.crt -inkey rsa.key -md sha3-256", "valid"},
		{"-signer p256.crt -inkey p256.key", "valid"},
		{"-signer p384.crt -inkey p384.key -md sha384 -stream -indef", "valid"},
		{"-signer rsa.crt -inkey rsa.key -signer p256.crt -inkey p256.key", "valid valid"},
		{"-signer rsa.crt -inkey rsa.key -md sha1", "unsupported"},
		{"-signer rsa.crt -inkey rsa.key -nocerts", "unsupported"},
	} {
		for _, form := range []string{"-nodetach", ""} {
			args := "cms -sign -binary -in content -outform DER -out signed " + form + " " + c.args
			if out, err := o.run(args); err != nil {
				t.Errorf("openssl %s: %v\n%s", args, err, out)
				continue
			}
			der, err := os.ReadFile(filepath.Join(o.dir, "signed"))
			if err != nil {
				t.Fatal(err)
			}
			sd, got, err := openSigned(bytes.NewReader(der))
			if err != nil {
				t.Errorf("openssl %s: %v", args, err)
				continue
			}
			// Streaming embeds the content whatever one asks for (interop row Q42).
			detached := large
			if sd.HasContent() {
				detached = nil
				if !bytes.Equal(got, large) {
					t.Errorf("openssl %s: content differs", args)
				}
			}
			var states []string
			for _, r := range verifyAll(t, sd, detached, cms.VerifyOptions{}) {
				states = append(states, r.State)
			}
			if s := strings.Join(states, " "); s != c.states {
				t.Errorf("openssl %s: %s", args, s)
			}
		}
	}
}
