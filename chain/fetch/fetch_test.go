package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/chain/fetch"
)

var _ chain.Fetcher = (*fetch.Client)(nil)

// loopback is the exception that lets a client reach a server of this test.
func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// newCRL makes a list with a lifetime.
func newCRL(t testing.TB, this, next time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: this, NextUpdate: next}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// serve starts a server and counts what it is asked.
func serve(t testing.TB, h http.HandlerFunc) (address string, count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		h(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL, count
}

func client() *fetch.Client {
	return &fetch.Client{Allow: loopback(), Time: func() time.Time { return now }}
}

func TestFetch(t *testing.T) {
	list := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour))
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" || r.Header.Get("Accept-Encoding") == "gzip" {
			t.Error("the request says more than it should")
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Write(list)
	})
	c := client()
	for range 3 {
		got, err := c.Fetch(context.Background(), "crl", address+"/a.crl", nil)
		if err != nil || string(got) != string(list) {
			t.Fatalf("%d octets, %v", len(got), err)
		}
	}
	if count.Load() != 1 {
		t.Errorf("%d requests: the answer was not remembered", count.Load())
	}
}

// Attack row G05: addresses that must not be contacted, each with a reason.
func TestRefused(t *testing.T) {
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	for _, u := range []string{
		address, "http://localhost:" + port + "/", "http://[::1]:" + port + "/", "http://[::ffff:127.0.0.1]:" + port + "/", "http://0.0.0.0:" + port + "/", "http://2130706433:" + port + "/",
		"http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/", "http://100.64.0.1/", "http://[fe80::1]/", "http://[fd00::1]/", "http://224.0.0.1/", "http://[64:ff9b::7f00:1]/",
		"https://example.com/", "ldap://example.com/cn=a", "file:///etc/passwd", "gopher://example.com/", "http://user:secret@example.com/", "http:///a.crl", "http:a.crl", "a.crl", "",
		"http://example.com/" + strings.Repeat("a", 3000),
	} {
		_, err := new(fetch.Client).Fetch(context.Background(), "crl", u, nil)
		var e *fetch.Error
		if !errors.As(err, &e) || e.URL != u {
			t.Errorf("%q: %v", u, err)
		}
	}
	if count.Load() != 0 {
		t.Errorf("the server was reached %d times", count.Load())
	}
	if _, err := new(fetch.Client).Fetch(context.Background(), "page", "http://example.com/", nil); err == nil {
		t.Error("an unknown kind was fetched")
	}
	vetoed := client()
	vetoed.Before = func(string) error { return errors.New("not today") }
	if _, err := vetoed.Fetch(context.Background(), "crl", address, nil); err == nil || count.Load() != 0 {
		t.Errorf("a veto was not heeded: %v", err)
	}
}

func TestServersThatMisbehave(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/other" {
				http.Redirect(w, r, "/other", http.StatusFound)
			}
		}},
		{"not found", http.NotFound},
		{"giant", func(w http.ResponseWriter, r *http.Request) {
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}},
		{"no CRL", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) }},
		{"empty", func(w http.ResponseWriter, r *http.Request) {}},
		{"hanging", func(w http.ResponseWriter, r *http.Request) { <-release }},
		{"trickling", func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write([]byte{0x30}); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-release:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address, count := serve(t, tt.h)
			c := client()
			c.Timeout = 300 * time.Millisecond
			start := time.Now()
			_, err := c.Fetch(context.Background(), "crl", address, nil)
			var e *fetch.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			before := count.Load()
			if _, err := c.Fetch(context.Background(), "crl", address, nil); err == nil || count.Load() != before {
				t.Error("a failure was not remembered")
			}
		})
	}
}

// A caller's context ends his waiting, not the fetch that others wait for.
func TestSingleFlight(t *testing.T) {
	list := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour))
	release := make(chan struct{})
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		w.Write(list)
	})
	c := client()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Fetch(ctx, "crl", address, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
	})
	for range 8 {
		wg.Go(func() {
			if _, err := c.Fetch(context.Background(), "crl", address, nil); err != nil {
				t.Error(err)
			}
		})
	}
	for count.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(release)
	wg.Wait()
	if count.Load() != 1 {
		t.Errorf("%d requests for one thing", count.Load())
	}
}

func TestOCSPMethods(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ocsp.CreateResponse(ca, ca, ocsp.Response{SerialNumber: ca.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, key)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var method string
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if method = r.Method; method == http.MethodGet {
			// Servers differ in what they make of a plus sign.
			if strings.Contains(r.URL.EscapedPath(), "+") {
				t.Errorf("%s has an octet that is not encoded", r.URL.EscapedPath())
			}
			text, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/ocsp/"))
			if err != nil {
				t.Error(err)
			}
			if got, err = base64.StdEncoding.DecodeString(text); err != nil {
				t.Error(err)
			}
		} else {
			got = make([]byte, r.ContentLength)
			r.Body.Read(got)
		}
		w.Write(answer)
	})
	for _, n := range []int{80, 400} {
		request := make([]byte, n)
		rand.Read(request)
		copy(request, "\xfb\xef\xbe") // four plus signs
		if _, err := client().Fetch(context.Background(), "ocsp", address+"/ocsp", request); err != nil {
			t.Fatal(err)
		}
		want := http.MethodGet
		if n > 191 {
			want = http.MethodPost
		}
		if method != want || string(got) != string(request) {
			t.Errorf("%d octets went by %s", n, method)
		}
	}
}

func ExampleClient() {
	// A verifier that asks the network, but reaches into the company's own for its CRLs.
	client := &fetch.Client{Allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	v := chain.NewVerifier(new(chain.Collection), chain.Revocation{Fetcher: client})
	_ = v // judge certificates with it

	_, err := client.Fetch(context.Background(), "crl", "http://127.0.0.1/ca.crl", nil)
	fmt.Println(err)
	// Output: fetch: http://127.0.0.1/ca.crl: dial tcp 127.0.0.1:80: the host is not on the public network
}
