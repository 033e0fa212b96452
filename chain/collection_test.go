package chain_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// A collectionPKI is a root, a self-issued certificate of the root's next key signed with
// its old one, and an intermediate CA.
type collectionPKI struct{ root, rollover, issuing *x509.Certificate }

func newCollectionPKI(t testing.TB, name string) collectionPKI {
	t.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	keys := make([]*ecdsa.PrivateKey, 3)
	for i := range keys {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	issue := func(subject string, serial int64, years int, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: subject},
			NotBefore: begin, NotAfter: begin.AddDate(years, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent = tmpl
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := issue(name, 1, 10, keys[0], nil, keys[0])
	return collectionPKI{root, issue(name, 2, 10, keys[1], root, keys[0]), issue(name+" Issuing", 3, 2, keys[2], root, keys[0])}
}

func TestCollectionAdd(t *testing.T) {
	p := newCollectionPKI(t, "Root")
	var c chain.Collection
	c.Add(p.issuing, p.root, p.rollover, p.root)
	if !slices.Equal(c.Anchors(), []*x509.Certificate{p.root}) {
		t.Error("the self-signed certificate alone is an anchor; a self-issued one is not")
	}
	if !slices.Equal(c.Intermediates(), []*x509.Certificate{p.issuing, p.rollover}) {
		t.Error("the others are intermediates")
	}
	c.AddAnchor(p.issuing)
	c.AddIntermediate(p.root)
	if !slices.Equal(c.Anchors(), []*x509.Certificate{p.issuing, p.root}) || c.Len() != 3 {
		t.Errorf("anchors after AddAnchor: %d of %d", len(c.Anchors()), c.Len())
	}
	c.Remove(p.issuing)
	if !slices.Equal(c.Certificates(), []*x509.Certificate{p.root, p.rollover}) {
		t.Error("Remove removed something else")
	}
	c.Add(p.issuing)
	if !slices.Equal(c.Intermediates(), []*x509.Certificate{p.rollover, p.issuing}) {
		t.Error("a removed anchor came back as one")
	}
	c.Remove(p.root)
	c.AddIntermediate(p.root)
	if c.Add(p.root); len(c.Anchors()) != 0 {
		t.Error("Add made an anchor of what had been added as an intermediate")
	}
	if c.AddAnchor(p.root); len(c.Anchors()) != 1 {
		t.Error("AddAnchor did not")
	}
	c.Remove(p.rollover, p.issuing)
	if want := fmt.Sprintf("%x", sha256.Sum256(p.root.Raw)); c.Thumbprints()[0] != want {
		t.Errorf("thumbprint %s, want %s", c.Thumbprints()[0], want)
	}
}

// A certificate that only looks self-signed must not become an anchor.
func TestCollectionForgedRoot(t *testing.T) {
	p := newCollectionPKI(t, "Root")
	forged := bytes.Clone(p.root.Raw)
	forged[len(forged)-1] ^= 1 // the signature's last octet
	f, err := x509.ParseCertificate(forged)
	if err != nil {
		t.Fatal(err)
	}
	var c chain.Collection
	c.Add(f)
	if len(c.Anchors()) != 0 || c.Len() != 1 {
		t.Error("certificate with a broken self-signature became an anchor")
	}
}

func TestCollectionSets(t *testing.T) {
	a, b := newCollectionPKI(t, "A"), newCollectionPKI(t, "B")
	var one, two chain.Collection
	one.Add(a.root, a.issuing, b.root)
	two.Add(b.issuing, a.issuing)
	two.AddIntermediate(b.root)
	if d := one.Difference(&two); !slices.Equal(d.Certificates(), []*x509.Certificate{a.root, b.root}) || len(d.Anchors()) != 2 {
		t.Errorf("difference has %d members", d.Len())
	}
	two.Merge(&one)
	if two.Len() != 4 || len(two.Anchors()) != 2 || one.Len() != 3 {
		t.Errorf("merged: %d members, %d anchors", two.Len(), len(two.Anchors()))
	}
	if d := one.Difference(&two); d.Len() != 0 {
		t.Errorf("%d members are missing after the merge", d.Len())
	}
	one.Replace(&two)
	two.Remove(a.root)
	if one.Len() != 4 || two.Len() != 3 {
		t.Errorf("after Replace: %d and %d", one.Len(), two.Len())
	}
}

// What a file calls a certificate is known wherever the certificate goes.
func TestCollectionFriendlyNames(t *testing.T) {
	p := newCollectionPKI(t, "Root")
	element := func(id uint32, value []byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, id)
		b = binary.LittleEndian.AppendUint32(b, 1)
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(value))), value...)
	}
	named := func(name string) *chain.Collection {
		utf16 := append([]byte(strings.Join(strings.Split(name, ""), "\x00")), 0, 0, 0)
		file := slices.Concat([]byte("\x00\x00\x00\x00CERT"), element(11, utf16), element(0x20, p.root.Raw), make([]byte, 12))
		c, err := chain.ReadCollection(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	file := named("Head Office")
	var merged, replaced chain.Collection
	merged.Merge(file)
	replaced.Replace(file)
	mine := named("Mine")
	mine.Merge(file)
	for what, c := range map[string]*chain.Collection{"read": file, "merged": &merged, "replaced": &replaced, "difference": file.Difference(new(chain.Collection))} {
		if got := c.FriendlyName(p.root); got != "Head Office" {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := mine.FriendlyName(p.root); got != "Mine" {
		t.Errorf("a name of its own became %q", got)
	}
	if merged.Merge(nil); merged.Len() != 1 {
		t.Error("nothing was merged, and something changed")
	}
}

func TestCollectionExpiry(t *testing.T) {
	p := newCollectionPKI(t, "Root")
	var c chain.Collection
	if !c.Expires().IsZero() || c.Check(time.Now()) != nil {
		t.Error("an empty collection expires")
	}
	c.Add(p.root, p.issuing)
	if !c.Expires().Equal(p.issuing.NotAfter) {
		t.Errorf("expires at %v", c.Expires())
	}
	if err := c.Check(p.issuing.NotAfter); err != nil {
		t.Errorf("refused in the last second of its life: %v", err)
	}
	err := c.Check(p.issuing.NotAfter.Add(time.Second))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%x", sha256.Sum256(p.issuing.Raw))) || strings.Contains(err.Error(), "\n") {
		t.Errorf("one expired member: %v", err)
	}
	late := p.root.NotAfter.Add(time.Hour)
	if got := c.Expired(late); !slices.Equal(got, []*x509.Certificate{p.issuing, p.root}) {
		t.Errorf("%d expired members", len(got))
	}
}

func TestCollectionFiles(t *testing.T) {
	a, b := newCollectionPKI(t, "A"), newCollectionPKI(t, "B")
	var c chain.Collection
	c.Add(a.issuing, a.root, b.root, b.rollover)
	for name, write := range map[string]func(*chain.Collection, io.Writer) error{
		"sst": (*chain.Collection).WriteSST, "pem": (*chain.Collection).WritePEM, "p7b": (*chain.Collection).WriteP7B,
	} {
		var file bytes.Buffer
		if err := write(&c, &file); err != nil {
			t.Fatal(err)
		}
		got, err := chain.ReadCollection(&file)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != 4 || got.Difference(&c).Len() != 0 || c.Difference(got).Len() != 0 || got.Warnings() != nil {
			t.Errorf("%s: %d members, %d anchors, warnings %v", name, got.Len(), len(got.Anchors()), got.Warnings())
		}
	}
	if _, err := chain.ReadCollection(strings.NewReader("no certificates here")); err == nil {
		t.Error("text was read as a collection")
	}
	broken := "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
	var pem bytes.Buffer
	if err := c.WritePEM(&pem); err != nil {
		t.Fatal(err)
	}
	got, err := chain.ReadCollection(strings.NewReader(broken + pem.String()))
	if err != nil || got.Len() != 4 || len(got.Warnings()) != 1 {
		t.Errorf("a broken certificate among good ones: %v", err)
	}
}

func TestCollectionFolder(t *testing.T) {
	p := newCollectionPKI(t, "Root")
	path := t.TempDir()
	for name, data := range map[string][]byte{"root.der": p.root.Raw, "issuing.cer": p.issuing.Raw, "broken.pem": []byte("x"), "README": []byte("x")} {
		if err := os.WriteFile(filepath.Join(path, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c chain.Collection
	if err := c.AddFolder(path); err != nil {
		t.Fatal(err)
	}
	if len(c.Anchors()) != 1 || c.Len() != 2 || len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0].Error(), "broken.pem") {
		t.Errorf("%d anchors of %d, warnings %v", len(c.Anchors()), c.Len(), c.Warnings())
	}
	if err := c.AddFolder(filepath.Join(path, "missing")); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestCollectionCorpus(t *testing.T) {
	dir := os.Getenv("POSTSEAL_CORPUS")
	if dir == "" {
		t.Skip("POSTSEAL_CORPUS is not set: no real collections to read")
	}
	for _, tt := range []struct {
		file             string
		members, anchors int
		name             string // friendly name of the first
	}{
		{"sst/windows-disallowedcert.sst", 71, 4, ""},
		{"sst/made-fn.sst", 1, 0, "EX Root"},
		{"pyca/pkcs7/amazon-roots.p7b", 2, 2, ""},
	} {
		f, err := os.Open(filepath.Join(dir, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := chain.ReadCollection(f)
		if err != nil {
			t.Fatal(err)
		}
		if c.Len() != tt.members || len(c.Anchors()) != tt.anchors || c.FriendlyName(c.Certificates()[0]) != tt.name {
			t.Errorf("%s: %d members, %d anchors, first is named %q", tt.file, c.Len(), len(c.Anchors()), c.FriendlyName(c.Certificates()[0]))
		}
	}
}

// Hot reload: readers see the old members or the new ones. Run with -race.
func TestCollectionReplaceRace(t *testing.T) {
	a, b := newCollectionPKI(t, "A"), newCollectionPKI(t, "B")
	var old, next, c chain.Collection
	old.Add(a.root, a.issuing)
	next.Add(b.root, b.rollover, b.issuing)
	c.Replace(&old)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				all := c.Certificates()
				if len(all) == 2 && all[0] != a.root || len(all) == 3 && all[0] != b.root || len(all) < 2 || len(all) > 3 {
					t.Error("a reader saw a mixture")
				}
			}
		})
	}
	for range 100 {
		c.Replace(&next)
		c.Replace(&old)
	}
	wg.Wait()
}

func ExampleCollection() {
	// Roots and intermediates of the partners whose signatures are accepted.
	f, err := os.Open("testdata/partners.sst")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	partners, err := chain.ReadCollection(f)
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range partners.Warnings() {
		fmt.Println("left out:", w)
	}
	for _, c := range partners.Anchors() {
		fmt.Println("anchor:", c.Subject)
	}
	for _, c := range partners.Intermediates() {
		fmt.Println("intermediate:", c.Subject)
	}
	fmt.Println("expires:", partners.Expires().Format(time.DateOnly))
	// Output:
	// anchor: CN=Example Root CA
	// intermediate: CN=Example Issuing CA
	// expires: 2036-01-01
}
