package usersmime_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/usersmime"
)

// tag writes one element of a MAPI block.
func tag(id uint16, data []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(4+len(data)))
	return append(b, data...)
}

// aes is SMIMECapabilities with AES-256-CBC.
var aes = []byte{0x30, 0x0d, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a}

func describe(found []usersmime.Found) string {
	var list []string
	for _, f := range found {
		s := f.Certificate.Subject.CommonName
		for mark, set := range map[string]bool{"*": f.Default, "!": f.Published, "^": f.Chain, "+": f.Capabilities != nil} {
			if set {
				s += mark
			}
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

func named(t testing.TB, ca *certtest.CA, name string) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.EmailAddresses = name, []string{"a@example.test"}
	}), key
}

func find(t *testing.T, value []byte) []usersmime.Found {
	t.Helper()
	found, warnings, err := usersmime.Parse(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Log("warning:", w)
	}
	return found
}

func check(t *testing.T, f usersmime.Found, name string, isDefault, published, chain, capabilities bool) {
	t.Helper()
	if f.Certificate.Subject.CommonName != name || f.Default != isDefault || f.Published != published || f.Chain != chain || (f.Capabilities != nil) != capabilities {
		t.Errorf("got %s default %v published %v chain %v capabilities %x", f.Certificate.Subject.CommonName, f.Default, f.Published, f.Chain, f.Capabilities)
	}
}

func TestSigned(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	signing, key := named(t, ca, "signing")
	encryption, _ := named(t, ca, "encryption")
	block := &usersmime.Block{Certificate: signing, Key: key, Chain: []*x509.Certificate{ca.Certificate}, Encryption: encryption, Capabilities: aes, Time: certtest.Epoch()}
	value, err := usersmime.Sign(block)
	if err != nil {
		t.Fatal(err)
	}
	found := find(t, value)
	if len(found) != 3 {
		t.Fatalf("found %s", describe(found))
	}
	byName := map[string]usersmime.Found{}
	for _, f := range found {
		byName[f.Certificate.Subject.CommonName] = f
	}
	check(t, byName["signing"], "signing", false, true, false, true)
	check(t, byName["encryption"], "encryption", true, true, false, true)
	check(t, byName["CA"], "CA", false, false, true, false)
	if !bytes.Equal(byName["encryption"].Capabilities, aes) {
		t.Errorf("capabilities %x, want %x", byName["encryption"].Capabilities, aes)
	}

	block.Encryption = nil
	if value, err = usersmime.Sign(block); err != nil {
		t.Fatal(err)
	}
	check(t, find(t, value)[0], "signing", true, true, false, true)

	// Altered: the certificates are still there, but nothing vouches for the rest.
	altered := bytes.Replace(value, []byte("S/MIME"), []byte("S/MINE"), 1)
	found, warnings, err := usersmime.Parse(altered)
	if err != nil || len(warnings) == 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	check(t, found[0], "signing", false, false, false, false)

	// Signed by somebody who is not among the user's certificates.
	block.Certificate, block.Key = named(t, ca, "stranger")
	block.Encryption = encryption
	if value, err = usersmime.Sign(block); err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(value, block.Certificate.Raw); i < 0 {
		t.Fatal("the signer's certificate is not included")
	}
}

// A signer speaks for himself and for the certificates of his mailbox, not for those of
// others that he puts beside his own.
func TestSignedBesideOthers(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	_, key := named(t, ca, "alice")
	mallory := ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.EmailAddresses = "mallory", []string{"mallory@example.test"}
	})
	alice, _ := named(t, ca, "alice")
	value, err := usersmime.Sign(&usersmime.Block{Certificate: mallory, Key: key, Encryption: alice, Capabilities: aes, Time: certtest.Epoch()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range find(t, value) {
		own := f.Certificate.Equal(mallory)
		check(t, f, f.Certificate.Subject.CommonName, false, own, false, own)
	}
}

// However many values an entry has, their signatures have a bound.
func TestManyValues(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, key := named(t, ca, "alice")
	value, err := usersmime.Sign(&usersmime.Block{Certificate: alice, Key: key, Time: certtest.Epoch()})
	if err != nil {
		t.Fatal(err)
	}
	var r usersmime.Reader
	published := 0
	for range 2 * limits.SignatureChecks {
		found, _, err := r.Parse(value)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s, %v", describe(found), err)
		}
		if found[0].Published {
			published++
		}
	}
	if published != limits.SignatureChecks {
		t.Errorf("%d signatures were checked", published)
	}
}

// Certificates alone, as certs-only messages have them.
func TestDegenerate(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, _ := named(t, ca, "alice")
	found := find(t, cms.CertsOnly([]*x509.Certificate{alice, ca.Certificate}, nil))
	if len(found) != 2 {
		t.Fatalf("found %s", describe(found))
	}
	check(t, found[0], "alice", false, false, false, false)
	check(t, found[1], "CA", false, false, true, false)
}

func TestBare(t *testing.T) {
	alice, _ := named(t, certtest.NewCA(t, "CA"), "alice")
	found := find(t, alice.Raw)
	if len(found) != 1 {
		t.Fatalf("found %s", describe(found))
	}
	check(t, found[0], "alice", false, false, false, false)
}

func TestTags(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	signing, _ := named(t, ca, "signing")
	encryption, _ := named(t, ca, "encryption")
	version := tag(1, []byte{1, 0, 0, 0})
	block := bytes.Join([][]byte{version, tag(2, aes), tag(6, []byte{1, 0, 0, 0}), tag(8, signing.Raw), tag(3, encryption.Raw), tag(4, ca.Certificate.Raw), tag(0x20, []byte{3, 0, 0, 0}), tag(0x51, []byte("n\x00"))}, nil)
	found := find(t, block)
	if len(found) != 3 {
		t.Fatalf("found %s", describe(found))
	}
	check(t, found[0], "encryption", true, false, false, true)
	check(t, found[1], "signing", false, false, false, true)
	check(t, found[2], "CA", false, false, true, false)

	one := find(t, bytes.Join([][]byte{version, tag(8, signing.Raw), tag(3, signing.Raw)}, nil))
	if len(one) != 1 {
		t.Errorf("one certificate for both uses gives %s", describe(one))
	}
	for what, bad := range map[string][]byte{
		"nothing":               nil,
		"only a version":        version,
		"length below four":     {1, 0, 3, 0, 1},
		"length of zero":        {1, 0, 0, 0},
		"length too large":      append(bytes.Clone(version), 8, 0, 0xff, 0xff, 1),
		"cut in the header":     append(bytes.Clone(version), 8, 0),
		"a tag twice":           bytes.Join([][]byte{tag(8, signing.Raw), tag(8, encryption.Raw)}, nil),
		"a SEQUENCE of nothing": {0x30, 0},
		"a SEQUENCE of INTEGER": {0x30, 3, 2, 1, 1},
		"another content type":  {0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 0},
		"half a certificate":    signing.Raw[:len(signing.Raw)/2],
	} {
		if found, _, err := usersmime.Parse(bad); err == nil {
			t.Errorf("%s: found %s", what, describe(found))
		}
	}
	// What cannot be read within a block does not take the rest with it.
	found, warnings, err := usersmime.Parse(bytes.Join([][]byte{tag(3, []byte("junk")), tag(2, []byte("junk")), tag(8, signing.Raw)}, nil))
	if err != nil || len(found) != 1 || len(warnings) != 2 || found[0].Capabilities != nil {
		t.Errorf("found %s, warnings %v, %v", describe(found), warnings, err)
	}
}

// A path that is too long for Active Directory loses its root first, then its far end.
func TestSizes(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	signing, key := named(t, ca, "signing")
	large := func(name string) *x509.Certificate {
		c := certtest.NewCA(t, name)
		return c.IssueFor(t, c.Key.Public(), func(c *x509.Certificate) {
			c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = name, true, true
			c.CRLDistributionPoints = []string{"http://" + strings.Repeat("x", 15_000)}
		})
	}
	b := &usersmime.Block{Certificate: signing, Key: key, Chain: []*x509.Certificate{large("one"), large("two"), large("three"), ca.Certificate}}
	value, err := usersmime.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(value) > usersmime.MaxValue {
		t.Errorf("%d octets", len(value))
	}
	var got []string
	for _, f := range find(t, value) {
		got = append(got, f.Certificate.Subject.CommonName)
	}
	if len(got) != 3 || !strings.Contains(strings.Join(got, " "), "one") || !strings.Contains(strings.Join(got, " "), "two") {
		t.Errorf("kept %q, want the user's and the two nearest", got)
	}
	b.Certificate = certtest.NewCA(t, "CA").IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"http://" + strings.Repeat("x", 40_000)}
	})
	var limit *limits.Exceeded
	if _, err := usersmime.Sign(b); !errors.As(err, &limit) {
		t.Errorf("a certificate that does not fit at all: %v", err)
	}
}

// What OpenSSL makes is read, and it reads what we make.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("POSTSEAL_PEERS") == "required" {
			t.Fatal("required peer: openssl is not installed")
		}
		t.Skip("peer: openssl is not installed")
	}
	dir := t.TempDir()
	ca := certtest.NewCA(t, "CA")
	alice, key := named(t, ca, "alice")
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := file("alice.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: alice.Raw}))
	root := file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw}))
	pkey := file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	dummy := file("dummy", []byte("0123456789"))
	for what, args := range map[string][]string{
		"with content":    {"-nodetach"},
		"without content": {"-in", file("empty", nil)},
		"SHA-1":           {"-nodetach", "-md", "sha1"},
		"indefinite":      {"-nodetach", "-stream"},
	} {
		out := filepath.Join(dir, "out.p7s")
		args = append([]string{"cms", "-sign", "-binary", "-in", dummy, "-signer", cert, "-inkey", pkey, "-certfile", root, "-outform", "DER", "-out", out}, args...)
		if b, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, b)
		}
		value, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		found := find(t, value)
		if len(found) != 2 || !found[0].Published || found[0].Capabilities == nil {
			t.Errorf("%s: found %s", what, describe(found))
		}
	}
	value, err := usersmime.Sign(&usersmime.Block{Certificate: alice, Key: key, Chain: []*x509.Certificate{ca.Certificate}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command(openssl, "cms", "-verify", "-inform", "DER", "-in", file("ours", value), "-CAfile", root, "-no_check_time", "-purpose", "any").CombinedOutput()
	if err != nil || !bytes.Contains(b, []byte("S/MIME")) {
		t.Errorf("openssl does not take ours: %v\n%s", err, b)
	}
}

func FuzzParse(f *testing.F) {
	ca := certtest.NewCA(f, "CA")
	alice, key := named(f, ca, "alice")
	f.Add(alice.Raw)
	f.Add(tag(8, alice.Raw))
	if value, err := usersmime.Sign(&usersmime.Block{Certificate: alice, Key: key}); err == nil {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		found, warnings, err := usersmime.Parse(value)
		if err == nil && len(found)+len(warnings) == 0 {
			t.Error("neither a certificate nor a word about why not")
		}
		for _, f := range found {
			if f.Certificate == nil {
				t.Error("no certificate")
			}
		}
	})
}
