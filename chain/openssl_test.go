package chain_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/chain/fetch"
)

// An opensslCA is a CA whose data base, CRLs and OCSP responder are OpenSSL's. Its
// certificates are valid around the real present, which is the only one OpenSSL knows.
type opensslCA struct {
	t    testing.TB
	dir  string
	root *entity
	url  string // of the CRL server
}

func newOpenSSLCA(t testing.TB) *opensslCA {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("POSTSEAL_PEERS") == "required" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	a := &opensslCA{t: t, dir: t.TempDir()}
	a.root = issue(t, nil, "OpenSSL root", ca, present)
	a.write("ca.pem", "CERTIFICATE", a.root.Raw)
	a.key("ca.key", a.root)
	conf := "[ca]\ndefault_ca=d\n[d]\ndatabase=" + a.path("index.txt") + "\ncertificate=" + a.path("ca.pem") + "\nprivate_key=" + a.path("ca.key") +
		"\ncrlnumber=" + a.path("crlnumber") + "\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=x\n[x]\nauthorityKeyIdentifier=keyid\n"
	for name, text := range map[string]string{"ca.cnf": conf, "index.txt": "", "crlnumber": "01\n", "index.txt.attr": "unique_subject = no\n"} {
		if err := os.WriteFile(a.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.FileServer(http.Dir(a.dir)))
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// present is an edit that makes a certificate valid now, whenever the test runs.
func present(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
}

func (a *opensslCA) path(name string) string { return filepath.Join(a.dir, name) }

func (a *opensslCA) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *opensslCA) key(name string, e *entity) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(e.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name, "PRIVATE KEY", der)
}

func (a *opensslCA) openssl(args ...string) []byte {
	a.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", args[0], err, stderr.String())
	}
	return out
}

// enter puts a certificate into the data base.
func (a *opensslCA) enter(c *entity, revoked bool) {
	a.t.Helper()
	end := c.NotAfter.UTC().Format("060102150405Z")
	line := fmt.Sprintf("V\t%s\t\t%s\tunknown\t/CN=x\n", end, hexSerial(c))
	if revoked {
		line = fmt.Sprintf("R\t%s\t%s,keyCompromise\t%s\tunknown\t/CN=x\n", end, time.Now().Add(-time.Hour).UTC().Format("060102150405Z"), hexSerial(c))
	}
	f, err := os.OpenFile(a.path("index.txt"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line)
		f.Close()
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func hexSerial(c *entity) string {
	s := strings.ToUpper(c.SerialNumber.Text(16))
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// gencrl makes ca.crl, in DER.
func (a *opensslCA) gencrl(args ...string) {
	a.t.Helper()
	text := a.openssl(append([]string{"ca", "-config", a.path("ca.cnf"), "-gencrl"}, args...)...)
	b, _ := pem.Decode(text)
	if b == nil {
		a.t.Fatal("openssl made no CRL")
	}
	if err := os.WriteFile(a.path("ca.crl"), b.Bytes, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// respond starts a responder on the loopback interface and returns its address.
func (a *opensslCA) respond(signer *entity, args ...string) string {
	a.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	a.write("responder.pem", "CERTIFICATE", signer.Raw)
	a.key("responder.key", signer)
	cmd := exec.Command("openssl", append([]string{"ocsp", "-port", port, "-index", a.path("index.txt"), "-CA", a.path("ca.pem"), "-rsigner", a.path("responder.pem"), "-rkey", a.path("responder.key")}, args...)...)
	// It says when it listens. It must not be asked by connecting: OpenSSL 3.0 never
	// recovers from a connection without a request.
	out, err := cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	listening := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "waiting") {
				listening <- true
			}
		}
		close(listening)
	}()
	a.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	select {
	case ok := <-listening:
		if ok {
			return "http://127.0.0.1:" + port
		}
	case <-time.After(10 * time.Second):
	}
	a.t.Fatal("the OCSP responder did not start")
	return ""
}

// ask verifies a leaf over the network as it is now.
func (a *opensslCA) ask(leaf *entity, edit func(*chain.Revocation)) *chain.Report {
	rev := chain.Revocation{Fetcher: &fetch.Client{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, PerFetch: time.Second}
	if edit != nil {
		edit(&rev)
	}
	v := chain.NewVerifier(collection(a.root), rev)
	return v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate})
}

func TestOpenSSLCRLServer(t *testing.T) {
	a := newOpenSSLCA(t)
	good := issue(t, a.root, "good", mail, present, sources(a.url+"/ca.crl", ""))
	bad := issue(t, a.root, "bad", mail, present, sources(a.url+"/ca.crl", ""))
	a.enter(good, false)
	a.enter(bad, true)
	a.gencrl()
	expect(t, a.ask(good, nil), "valid")
	expect(t, a.ask(bad, nil), "rev.revoked")

	a.gencrl("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z")
	r := a.ask(good, nil)
	expect(t, r, "rev.unknown")
	if len(r.Codes) < 2 || r.Codes[1] != "crl.stale" {
		t.Errorf("codes %v", r.Codes)
	}
	// Signed with the key of another CA of the same name.
	mallory := issue(t, nil, "OpenSSL root", ca, present)
	a.write("ca.pem", "CERTIFICATE", mallory.Raw)
	a.key("ca.key", mallory)
	a.gencrl()
	if r := a.ask(good, nil); len(r.Codes) < 2 || r.Codes[0] != "rev.unknown" || r.Codes[1] != "crl.signature" {
		t.Errorf("a wrong signer: %v\n%s", r.Codes, r)
	}
	expect(t, a.ask(issue(t, a.root, "nowhere", mail, present, sources(a.url+"/missing.crl", "")), nil), "rev.unknown")
	expect(t, a.ask(issue(t, a.root, "directory", mail, present, sources("ldap:///CN=CA?certificateRevocationList", "")), nil), "rev.unknown")
}

func TestOpenSSLResponder(t *testing.T) {
	a := newOpenSSLCA(t)
	delegate := issue(t, a.root, "Responder", responder, present)
	mallory := issue(t, a.root, "mallory", mail, present)
	good, bad, unknown := issue(t, a.root, "good", mail, present), issue(t, a.root, "bad", mail, present), issue(t, a.root, "unknown", mail, present)
	at := func(e *entity, url string) *entity {
		return issue(t, a.root, e.Subject.CommonName, mail, present, sources("", url), func(c *x509.Certificate) { c.SerialNumber = e.SerialNumber })
	}
	a.enter(good, false)
	a.enter(bad, true)
	fresh := a.respond(delegate, "-ndays", "1")
	for _, tt := range []struct {
		leaf *entity
		want string
	}{{good, "valid"}, {bad, "rev.revoked"}, {unknown, "rev.unknown"}} {
		r := a.ask(at(tt.leaf, fresh), nil)
		expect(t, r, tt.want)
		r = a.ask(at(tt.leaf, fresh), func(rev *chain.Revocation) { rev.Nonce = true })
		expect(t, r, tt.want)
	}
	if r := a.ask(at(unknown, fresh), nil); len(r.Codes) < 2 || r.Codes[1] != "ocsp.unknown" {
		t.Errorf("codes %v", r.Codes)
	}
	wrong := a.respond(mallory, "-ndays", "1")
	if r := a.ask(at(good, wrong), nil); len(r.Codes) < 2 || r.Codes[1] != "ocsp.unauthorized_responder" {
		t.Errorf("a wrong signer: %v\n%s", r.Codes, r)
	}
	// An answer that was good once: asked for now, judged for later.
	v := chain.NewVerifier(collection(a.root), chain.Revocation{Fetcher: &fetch.Client{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	soon := a.respond(delegate, "-nmin", "1")
	r := v.Explain(context.Background(), chain.Request{Leaf: at(good, soon).Certificate, Time: time.Now().Add(10 * time.Minute)})
	if len(r.Codes) < 2 || r.Codes[1] != "ocsp.stale" {
		t.Errorf("an expired answer: %v\n%s", r.Codes, r)
	}
}

// Attack row G05: OpenSSL's answers, on a line that is slow, hangs, never ends or points
// elsewhere, for lists and for responses.
func TestOpenSSLOnABadLine(t *testing.T) {
	a := newOpenSSLCA(t)
	good, bad := issue(t, a.root, "good", mail, present), issue(t, a.root, "bad", mail, present)
	a.enter(good, false)
	a.enter(bad, true)
	a.gencrl()
	responder := a.respond(issue(t, a.root, "Responder", responder, present), "-ndays", "1")
	for _, kind := range []struct{ name, address string }{{"crl", a.url + "/ca.crl"}, {"ocsp", responder}} {
		pass := func(w io.Writer, r *http.Request) {
			to, err := http.NewRequest(r.Method, kind.address, r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			if kind.name == "ocsp" {
				to.URL.Path, to.URL.RawPath = r.URL.Path, r.URL.RawPath
			}
			to.Header.Set("Content-Type", r.Header.Get("Content-Type"))
			resp, err := http.DefaultClient.Do(to)
			if err != nil {
				return // nobody waits any more
			}
			defer resp.Body.Close()
			io.Copy(w, resp.Body)
		}
		for _, line := range []struct {
			name string
			h    http.HandlerFunc
			ok   bool
		}{
			{"straight", func(w http.ResponseWriter, r *http.Request) { pass(w, r) }, true},
			{"slow", func(w http.ResponseWriter, r *http.Request) { time.Sleep(50 * time.Millisecond); pass(w, r) }, true},
			{"too slow", func(w http.ResponseWriter, r *http.Request) { pass(trickle{w}, r) }, false},
			{"hanging", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
			{"giant", func(w http.ResponseWriter, r *http.Request) { pass(w, r); io.CopyN(w, zeros{}, 1<<30) }, false},
			{"redirecting", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, kind.address, http.StatusFound) }, false},
		} {
			t.Run(kind.name+"/"+line.name, func(t *testing.T) {
				s := httptest.NewServer(line.h)
				t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
				ask := func(e *entity) *chain.Report {
					named := sources(s.URL+"/ca.crl", "")
					if kind.name == "ocsp" {
						named = sources("", s.URL)
					}
					leaf := issue(t, a.root, e.Subject.CommonName, mail, present, named, func(c *x509.Certificate) { c.SerialNumber = e.SerialNumber })
					return a.ask(leaf, func(rev *chain.Revocation) {
						if rev.PerFetch = 30 * time.Second; !line.ok {
							rev.PerFetch = 200 * time.Millisecond
						}
					})
				}
				if line.ok {
					expect(t, ask(good), "valid")
					expect(t, ask(bad), "rev.revoked")
					return
				}
				if r := ask(good); len(r.Codes) < 2 || r.Codes[0] != "rev.unknown" || r.Codes[1] != "rev.fetch_failed" {
					t.Errorf("codes %v\n%s", r.Codes, r)
				}
			})
		}
	}
}

// trickle writes an octet now and then.
type trickle struct{ w http.ResponseWriter }

func (s trickle) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.w.Write(b[i : i+1]); err != nil {
			return i, err
		}
		s.w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
	return len(b), nil
}

// Attack row G05: what answers in place of a responder.
func TestResponderMisbehaves(t *testing.T) {
	root := issue(t, nil, "Root", ca, present)
	release := make(chan struct{})
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"hanging", func(http.ResponseWriter, *http.Request) { <-release }},
		{"slow", func(w http.ResponseWriter, _ *http.Request) {
			for range 50 {
				w.Write([]byte{0x30})
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{"giant", func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, 1<<30) }},
		{"redirecting", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }},
		{"empty", func(w http.ResponseWriter, r *http.Request) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.h)
			defer s.Close()
			defer s.CloseClientConnections()
			if tt.name == "hanging" {
				defer close(release)
			}
			leaf := issue(t, root, "alice", mail, present, sources(s.URL+"/crl", s.URL))
			rev := chain.Revocation{
				Fetcher:  &fetch.Client{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: time.Second},
				PerFetch: 200 * time.Millisecond, PerVerification: 500 * time.Millisecond,
			}
			start := time.Now()
			r := chain.NewVerifier(collection(root), rev).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate})
			expect(t, r, "rev.unknown")
			if len(r.Codes) < 2 || r.Codes[1] != "rev.fetch_failed" {
				t.Errorf("codes %v", r.Codes)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			rev.AllowUnknown = true
			expect(t, chain.NewVerifier(collection(root), rev).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate}), "valid")
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// counting is a Fetcher that knows everything and remembers what it was asked.
type counting struct {
	data  map[string][]byte
	asked []string
}

func (c *counting) Fetch(_ context.Context, kind, url string, _ []byte) ([]byte, error) {
	c.asked = append(c.asked, kind+" "+url)
	if d, ok := c.data[url]; ok {
		return d, nil
	}
	return nil, fmt.Errorf("nothing there")
}

// Nothing is fetched for a certificate that has not been verified up to an anchor: its
// addresses are the choice of whoever wrote the message.
func TestFetchOnlyForVerified(t *testing.T) {
	root, stranger := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	forged := issue(t, stranger, "alice", mail, sources("http://tracker.example/a.crl", "http://tracker.example/"))
	f := &counting{}
	v := chain.NewVerifier(collection(root), chain.Revocation{Fetcher: f})
	v.Time = func() time.Time { return now }
	if r := v.Explain(context.Background(), chain.Request{Leaf: forged.Certificate, Untrusted: certs(stranger)}); r.Verdict != "invalid" || len(f.asked) > 0 {
		t.Errorf("verdict %s, asked %v", r.Verdict, f.asked)
	}
}

// Issuers are fetched only when that is asked for, and are no more trusted than a message.
func TestFetchIssuers(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/root.cer"} })
	leaf := issue(t, sub, "alice", mail, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/sub.cer"} })
	fake := issue(t, nil, "Root", ca)
	for _, tt := range []struct {
		name    string
		anchors *entity
		follow  bool
		want    string
		asked   int
	}{
		{"not asked for", root, false, "path.no_issuer", 0},
		{"found", root, true, "valid", 1},
		{"not there", root, true, "path.no_issuer", 1},
		{"a root that was fetched is no anchor", fake, true, "sig.invalid", 2},
	} {
		f := &counting{data: map[string][]byte{"http://ca.example/sub.cer": sub.Raw, "http://ca.example/root.cer": root.Raw}}
		if tt.name == "not there" {
			f.data = nil
		}
		v := chain.NewVerifier(collection(tt.anchors), chain.Revocation{Fetcher: f, FetchIssuers: tt.follow, AllowUnknown: true})
		v.Time = func() time.Time { return now }
		r := v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate})
		expect(t, r, tt.want)
		if warned(r, "path.fetch_failed") != (tt.name == "not there") {
			t.Errorf("%s: warnings %v", tt.name, r.Warnings)
		}
		if len(f.asked) != tt.asked {
			t.Errorf("%s: asked %v", tt.name, f.asked)
		}
	}
}
