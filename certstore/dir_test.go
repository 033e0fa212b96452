package certstore_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// folder opens a new folder with the files in it.
func folder(t testing.TB, files map[string][]byte) (*certstore.Dir, string) {
	t.Helper()
	path := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(path, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := certstore.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, path
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func identitiesOf(t testing.TB, d *certstore.Dir, address string) int {
	t.Helper()
	n := 0
	for _, err := range d.Identities(t.Context(), certstore.Email(address)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestDir(t *testing.T) {
	alice, bob, carol, dave := newKey(t), newKey(t), newKey(t), newKey(t)
	ca := selfSigned(t, alice, 1, "alice@example.org")
	cb := selfSigned(t, bob, 2, "bob@example.org")
	cc := selfSigned(t, carol, 3, "carol@example.org")
	cd := selfSigned(t, dave, 4, "dave@example.org")
	ce := selfSigned(t, newKey(t), 5, "erin@example.org")
	p12, err := gopkcs12.Modern2023.Encode(bob, cb, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := gopkcs12.Modern2023.Encode(dave, cd, nil, "other")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(carol)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	card := "BEGIN:VCARD\r\nVERSION:3.0\r\nEMAIL;TYPE=work:erin@alias.example\r\nKEY;TYPE=X509;ENCODING=b:" +
		foldLine(base64.StdEncoding.EncodeToString(ce.Raw)) + "\r\nEND:VCARD\r\n"
	d, path := folder(t, map[string][]byte{
		"alice.pem": certPEM(ca), "bob.p12": p12, "carol.crt": cc.Raw, "carol.key": keyPEM,
		"dave.pfx": locked, "erin.vcf": []byte(card),
		"broken.cer": []byte("nothing"), "half.pem": append(certPEM(ca)[:200], certPEM(cc)...),
		"README": []byte("not a certificate"), ".hidden.pem": certPEM(cd),
	})
	d.Password = func(string) (string, error) { return "secret", nil }
	if err := os.Mkdir(filepath.Join(path, "sub.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := serials(t, d.All(t.Context())); !slices.Equal(slices.Sorted(slices.Values(got)), []int64{1, 2, 3, 5}) {
		t.Errorf("folder holds %v", got)
	}
	for address, want := range map[string]int{"alice@example.org": 0, "bob@example.org": 1, "carol@example.org": 1, "dave@example.org": 0} {
		if got := identitiesOf(t, d, address); got != want {
			t.Errorf("%d identities of %s, want %d", got, address, want)
		}
	}
	if got := serials(t, d.Certificates(t.Context(), certstore.Email("erin@alias.example"))); !slices.Equal(got, []int64{5}) {
		t.Errorf("vCard filed under its address: %v", got)
	}
	var names []string
	for _, err := range d.Errors() {
		var p *fs.PathError
		if !errors.As(err, &p) {
			t.Fatalf("error does not name its file: %v", err)
		}
		names = append(names, p.Path)
	}
	if want := []string{"broken.cer", "dave.pfx", "half.pem"}; !slices.Equal(names, want) {
		t.Errorf("errors about %v, want %v: %v", names, want, d.Errors())
	}
}

// foldLine folds a vCard line.
func foldLine(s string) string {
	var b strings.Builder
	for len(s) > 70 {
		b.WriteString(s[:70] + "\r\n ")
		s = s[70:]
	}
	return b.String() + s
}

func TestDirReload(t *testing.T) {
	key := newKey(t)
	a, b, c := selfSigned(t, key, 1, "x@example.org"), selfSigned(t, key, 2, "x@example.org"), selfSigned(t, key, 3, "x@example.org")
	d, path := folder(t, map[string][]byte{"a.pem": certPEM(a)})
	look := func(want ...int64) {
		t.Helper()
		if got := serials(t, d.Certificates(t.Context(), certstore.Email("x@example.org"))); !slices.Equal(got, want) {
			t.Errorf("found %v, want %v", got, want)
		}
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(path, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look(1)
	write("b.pem", certPEM(b))
	look(1, 2)
	write("a.pem", certPEM(c)) // the same size, within the resolution of file times
	look(3, 2)
	if err := os.Remove(filepath.Join(path, "a.pem")); err != nil {
		t.Fatal(err)
	}
	look(2)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(path, "b.pem"), old, old); err != nil {
		t.Fatal(err)
	}
	look(2)
	look(2)
	write("b.pem", []byte("broken"))
	look()
	if errs := d.Errors(); len(errs) != 1 {
		t.Errorf("errors: %v", errs)
	}
	d.Interval = time.Hour
	write("b.pem", certPEM(b))
	look()
	d.Interval = 0
	look(2)
	gone := func(what string) {
		t.Helper()
		for e, err := range d.Certificates(t.Context(), certstore.Email("x@example.org")) {
			if err == nil {
				t.Errorf("%s folder yields %v", what, e)
			}
		}
		if len(d.Errors()) != 1 {
			t.Errorf("%s folder: %v", what, d.Errors())
		}
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	gone("removed")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	gone("closed")
	if _, err := certstore.OpenDir(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Attack row H08: what stands in a folder is not always a file, or its own.
func TestDirLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs symbolic links and pipes")
	}
	key := newKey(t)
	inside, outside := selfSigned(t, key, 1, "x@example.org"), selfSigned(t, key, 2, "x@example.org")
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "out.pem"), certPEM(outside), 0o600); err != nil {
		t.Fatal(err)
	}
	d, path := folder(t, map[string][]byte{"real.pem": certPEM(inside)})
	for name, target := range map[string]string{
		"alias.pem": "real.pem", "absolute.pem": filepath.Join(other, "out.pem"),
		"relative.pem": filepath.Join("..", filepath.Base(other), "out.pem"), "loop.pem": "loop.pem",
		"nowhere.pem": "missing.pem", "folder.pem": other, "device.pem": "/dev/zero",
	} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	makePipe(t, filepath.Join(path, "pipe.pem"))
	done := make(chan []int64)
	go func() { done <- serials(t, d.All(t.Context())) }()
	select {
	case got := <-done:
		if !slices.Equal(got, []int64{1}) {
			t.Errorf("folder yields %v", got)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a pipe in the folder stops the reader")
	}
	if errs := d.Errors(); len(errs) != 7 {
		t.Errorf("%d errors, want 7: %v", len(errs), errs)
	}
}

// Attack row H08: a private key that everybody can read is told.
func TestDirKeyMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes mean nothing here")
	}
	k := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	data := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), certPEM(selfSigned(t, k, 1, "x@example.org")))
	d, path := folder(t, map[string][]byte{"x.pem": data})
	if errs := d.Errors(); len(errs) != 0 {
		t.Errorf("mode 0600: %v", errs)
	}
	if err := os.Chmod(filepath.Join(path, "x.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if errs := d.Errors(); len(errs) != 1 || identitiesOf(t, d, "x@example.org") != 1 {
		t.Errorf("mode 0644: %v", errs)
	}
}

// Attack row H08: nothing of an entry becomes part of a file name.
func TestDirWriter(t *testing.T) {
	ctx := t.Context()
	c := selfSigned(t, newKey(t), 1, "x@example.org")
	d, path := folder(t, nil)
	for _, address := range []string{"", "../x@example.org", "/etc/passwd", "CON", "a\x00b@example.org", strings.Repeat("x", 4096), "two\nlines@example.org\nPostseal-Default: yes"} {
		e := &certstore.Entry{Certificate: c, Address: address, Source: "ldap://dc1\n-----BEGIN CERTIFICATE-----",
			Published: true, Capabilities: []byte{0x30, 0}, Seen: epoch}
		if err := d.Put(ctx, e, e); err != nil {
			t.Fatalf("address %q: %v", address, err)
		}
		n := 0
		for got, err := range d.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if got.Address != address || got.Source != e.Source || got.Default || !got.Published ||
				!bytes.Equal(got.Capabilities, e.Capabilities) || !got.Seen.Equal(epoch) || !bytes.Equal(got.Certificate.Raw, c.Raw) {
				t.Errorf("address %q comes back as %+v", address, got)
			}
			n++
		}
		list, err := os.ReadDir(path)
		if err != nil || n != 1 || len(list) != 1 || len(list[0].Name()) > 100 {
			t.Errorf("address %q: %d entries, files %v", address, n, list)
		}
		if info, err := list[0].Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("file mode %v", info.Mode())
		}
		if err := d.Remove(ctx, e, e); err != nil {
			t.Fatal(err)
		}
	}
	if got := serials(t, d.All(ctx)); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
	if len(d.Errors()) != 0 {
		t.Errorf("errors: %v", d.Errors())
	}
}

// What cannot be read any more is not written: the folder keeps what it has.
// What Put wrote counts, also where somebody else's file holds the same certificate.
func TestDirPutBesideFile(t *testing.T) {
	c := selfSigned(t, newKey(t), 1, "alice@example.org")
	for _, name := range []string{"!.pem", "~.pem"} { // before and after the digits of a digest
		d, _ := folder(t, map[string][]byte{name: certPEM(c)})
		if err := d.Put(t.Context(), &certstore.Entry{Certificate: c, Source: "put", Default: true}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for e, err := range d.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(e.Source, " ", e.Default))
		}
		if !slices.Equal(got, []string{"put true"}) {
			t.Errorf("%q", got)
		}
	}
}

func TestDirFull(t *testing.T) {
	key := newKey(t)
	d, path := folder(t, nil)
	d.Interval = time.Hour
	for i := range 19_999 {
		if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%d.txt", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, two := &certstore.Entry{Certificate: selfSigned(t, key, 1)}, &certstore.Entry{Certificate: selfSigned(t, key, 2)}
	var limit *limits.Exceeded
	if err := d.Put(t.Context(), one, two); !errors.As(err, &limit) {
		t.Errorf("two more: %v", err)
	}
	if err := d.Put(t.Context(), one); err != nil {
		t.Errorf("one more: %v", err)
	}
	if err := d.Put(t.Context(), one); err != nil {
		t.Errorf("the same: %v", err)
	}
	if got := serials(t, d.All(t.Context())); !slices.Equal(got, []int64{1}) {
		t.Errorf("the folder holds %v", got)
	}
}

// Attack row H10: writing, removing and reading at once. Run with -race.
func TestDirRaces(t *testing.T) {
	ctx := t.Context()
	key := newKey(t)
	d, _ := folder(t, nil)
	var wg sync.WaitGroup
	for i := range 4 {
		e := &certstore.Entry{Certificate: selfSigned(t, key, int64(i+1), fmt.Sprintf("u%d@example.org", i))}
		wg.Go(func() {
			for range 20 {
				if err := d.Put(ctx, e); err != nil {
					t.Error(err)
				}
				if got := serials(t, d.Certificates(ctx, certstore.Email(fmt.Sprintf("u%d@example.org", i)))); len(got) != 1 {
					t.Errorf("entry %d not found after Put", i)
				}
				if err := d.Remove(ctx, e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Nobody is asked for a password twice because a file was looked at twice.
func TestDirAsksOnce(t *testing.T) {
	key := newKey(t)
	file, err := gopkcs12.Modern2023.Encode(key, selfSigned(t, key, 1, "x@example.org"), nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	d, path := folder(t, map[string][]byte{"x.p12": file})
	asked := 0
	d.Password = func(name string) (string, error) {
		asked++
		return "secret", nil
	}
	for range 3 {
		if identitiesOf(t, d, "x@example.org") != 1 {
			t.Error("identity not found")
		}
	}
	if err := os.WriteFile(filepath.Join(path, "y.pem"), certPEM(selfSigned(t, key, 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	if identitiesOf(t, d, "x@example.org") != 1 || asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// BenchmarkDir prints what a query of a folder costs beside the same query of memory.
func BenchmarkDir(b *testing.B) {
	key := newKey(b)
	files := map[string][]byte{}
	var m certstore.Memory
	for i := range 200 {
		c := selfSigned(b, key, int64(i), fmt.Sprintf("u%d@example.org", i))
		files[fmt.Sprintf("u%d.pem", i)] = certPEM(c)
		m.Add(c)
	}
	d, path := folder(b, files)
	old := time.Now().Add(-time.Hour)
	for name := range files {
		if err := os.Chtimes(filepath.Join(path, name), old, old); err != nil {
			b.Fatal(err)
		}
	}
	measure := func(s certstore.Store, n int) time.Duration {
		begin := time.Now()
		for range n {
			serials(b, s.Certificates(b.Context(), certstore.Email("u7@example.org")))
		}
		return time.Since(begin) / time.Duration(n)
	}
	measure(d, 1)
	memory := measure(&m, 1000)
	for b.Loop() {
		measure(d, 1)
	}
	b.ReportMetric(float64(measure(d, 20))/float64(memory), "x-memory")
	d.Interval = time.Hour
	b.ReportMetric(float64(measure(d, 1000))/float64(memory), "x-memory-with-interval")
}

// BenchmarkMemory prints how much longer a query takes among a hundred times the entries.
func BenchmarkMemory(b *testing.B) {
	key := newKey(b)
	cert := selfSigned(b, key, 1, "u@example.org")
	fill := func(n int) *certstore.Memory {
		m := &certstore.Memory{}
		for i := range n {
			if err := m.Put(b.Context(), &certstore.Entry{Certificate: cert, Address: fmt.Sprintf("u%d@example.org", i)}); err != nil {
				b.Fatal(err)
			}
		}
		return m
	}
	measure := func(m *certstore.Memory) time.Duration {
		begin := time.Now()
		for range 2000 {
			serials(b, m.Certificates(b.Context(), certstore.Email("u7@example.org")))
		}
		return time.Since(begin)
	}
	few, many := fill(20), fill(2000)
	for b.Loop() {
		measure(many)
	}
	b.ReportMetric(float64(measure(many))/float64(measure(few)), "x-few")
}
