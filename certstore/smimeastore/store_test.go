package smimeastore_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/smimeastore"
	"github.com/postseal/postseal/internal/certtest"
)

func collect[T any](seq iter.Seq2[T, error]) (list []T, err error) {
	for v, e := range seq {
		if e != nil {
			return list, e
		}
		list = append(list, v)
	}
	return list, nil
}

// fake starts a resolver on loopback that answers by TCP as a test wants it to, and returns
// a store that asks it.
func fake(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) *smimeastore.Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(handle)}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return ask(t, l.Addr().String())
}

func ask(t *testing.T, resolver string) *smimeastore.Store {
	t.Helper()
	s, err := smimeastore.New(resolver)
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout = 500 * time.Millisecond
	return s
}

func record(name string, usage, selector, matching uint8, data []byte) *dns.SMIMEA {
	return &dns.SMIMEA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSMIMEA, Class: dns.ClassINET, Ttl: 300},
		Usage: usage, Selector: selector, MatchingType: matching, Certificate: hex.EncodeToString(data)}
}

// The example of RFC 8162, Section 3, and what its rules ask for.
func TestName(t *testing.T) {
	for _, test := range []struct{ address, same string }{
		{`"hugh"@example.com`, "hugh@example.com"},
		{`hugh@EXAMPLE.com`, "hugh@example.com"},
		{"ju\u0308rgen@example.com", "j\u00fcrgen@example.com"}, // normalization form C
		{`"a\.b"@example.com`, "a.b@example.com"},
		{"x@b\u00fccher.example", "x@xn--bcher-kva.example"},
	} {
		got, ok := smimeastore.Name(test.address)
		want, _ := smimeastore.Name(test.same)
		if !ok || got != want {
			t.Errorf("%s: got %s, want %s", test.address, got, want)
		}
	}
	got, _ := smimeastore.Name("hugh@example.com")
	if want := "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	upper, _ := smimeastore.Name("Hugh@example.com")
	if upper == got {
		t.Error("the local part was mapped to lower case")
	}
	// An umlaut is hashed as UTF-8.
	h := sha256.Sum256([]byte("j\xc3\xbcrgen"))
	if got, _ := smimeastore.Name("j\u00fcrgen@example.com"); !strings.HasPrefix(got, hex.EncodeToString(h[:28])+".") {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{"", "hugh", "@example.com", "hugh@", "hugh@" + strings.Repeat("a.", 200) + "com", "hugh@exa mple.com", "a\x00@example.com"} {
		if name, ok := smimeastore.Name(bad); ok {
			t.Errorf("%q: %s", bad, name)
		}
	}
}

// Attack row H07: a resolver whose word could be forged on the way is not asked.
func TestResolvers(t *testing.T) {
	for _, good := range []string{"127.0.0.1", "127.0.0.1:5353", "127.1.2.3", "::1", "[::1]:53", "tls://dns.example", "tls://192.0.2.1:8853"} {
		if _, err := smimeastore.New(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"192.0.2.1", "192.0.2.1:53", "dns.example", "localhost.example:53", "udp://127.0.0.1", "[2001:db8::1]:53", "::ffff:192.0.2.1"} {
		if _, err := smimeastore.New(bad); err == nil {
			t.Errorf("%q was accepted: nobody protects what it says", bad)
		}
	}
}

// Attack row H07: what a resolver may answer, right and wrong.
func TestAnswers(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, _ := ca.Issue(t, "alice@example.test")
	other, _ := ca.Issue(t, "other@example.test")
	q := certstore.Email("alice@example.test")
	name, _ := smimeastore.Name(string(q))
	good := func(a *dns.Msg) {
		a.AuthenticatedData = true
		a.Answer = append(a.Answer, record(name, 3, 0, 0, alice.Raw))
	}
	for _, test := range []struct {
		what   string
		change func(*dns.Msg)
		want   int
		err    string
	}{
		{"proof", good, 1, ""},
		{"no proof", func(a *dns.Msg) { good(a); a.AuthenticatedData = false }, 0, "without DNSSEC proof"},
		{"nobody, with proof", func(a *dns.Msg) { a.AuthenticatedData, a.Rcode = true, dns.RcodeNameError }, 0, ""},
		{"nobody, without proof", func(a *dns.Msg) { a.Rcode = dns.RcodeNameError }, 0, ""},
		{"nothing", func(a *dns.Msg) { a.AuthenticatedData = true }, 0, ""},
		{"broken DNSSEC", func(a *dns.Msg) { good(a); a.Rcode = dns.RcodeServerFailure }, 0, "SERVFAIL"},
		{"refused", func(a *dns.Msg) { a.Rcode = dns.RcodeRefused }, 0, "REFUSED"},
		{"truncated", func(a *dns.Msg) { good(a); a.Truncated = true }, 0, "truncated"},
		{"another question", func(a *dns.Msg) { good(a); a.Question[0].Name = "x." }, 0, "none to our question"},
		{"another number", func(a *dns.Msg) { good(a); a.Id++ }, 0, "none to our question"},
		{"a question back", func(a *dns.Msg) { good(a); a.Response = false }, 0, "none to our question"},
		{"another name", func(a *dns.Msg) {
			a.AuthenticatedData = true
			a.Answer = []dns.RR{record("x.example.test.", 3, 0, 0, alice.Raw)}
		}, 0, ""},
		{"alias", func(a *dns.Msg) {
			a.AuthenticatedData = true
			a.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "keys.example.test."}, record("keys.example.test.", 3, 0, 0, alice.Raw)}
		}, 1, ""},
		{"alias without proof", func(a *dns.Msg) {
			a.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "keys.example.test."}, record("keys.example.test.", 3, 0, 0, alice.Raw)}
		}, 0, "without DNSSEC proof"},
		{"alias of itself", func(a *dns.Msg) {
			good(a)
			a.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: name}}
		}, 0, ""},
		{"several", func(a *dns.Msg) { good(a); good(a); a.Answer = append(a.Answer, record(name, 1, 0, 0, other.Raw)) }, 2, ""},
		{"authorities and hashes", func(a *dns.Msg) {
			a.AuthenticatedData = true
			h := sha256.Sum256(alice.Raw)
			a.Answer = []dns.RR{record(name, 0, 0, 0, ca.Certificate.Raw), record(name, 2, 0, 0, ca.Certificate.Raw), record(name, 3, 0, 1, h[:]), record(name, 3, 1, 0, alice.RawSubjectPublicKeyInfo)}
		}, 0, ""},
		{"unknown kinds and junk", func(a *dns.Msg) {
			good(a)
			a.Answer = append(a.Answer, record(name, 4, 0, 0, alice.Raw), record(name, 255, 0, 0, alice.Raw), record(name, 3, 2, 0, alice.Raw), record(name, 3, 0, 3, alice.Raw), record(name, 3, 0, 0, []byte("junk")))
		}, 1, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			s := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
				a := new(dns.Msg)
				a.SetReply(q)
				test.change(a)
				w.WriteMsg(a)
			})
			found, err := collect(s.Certificates(t.Context(), q))
			if len(found) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%d certificates, %v; want %d, %q", len(found), err, test.want, test.err)
			}
			if test.err == "without DNSSEC proof" && !errors.Is(err, smimeastore.ErrInsecure) {
				t.Errorf("%v is not ErrInsecure", err)
			}
		})
	}
}

func TestHostileResolvers(t *testing.T) {
	for what, serve := range map[string]func(net.Conn){
		"never answers": func(c net.Conn) { time.Sleep(3 * time.Second) },
		"closes":        func(c net.Conn) {},
		"answers garbage": func(c net.Conn) {
			c.Write([]byte("\x00\x40HTTP/1.1 400 Bad Request\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
		},
		"half an answer": func(c net.Conn) { c.Write([]byte{0xff, 0xff, 1, 2, 3}); time.Sleep(3 * time.Second) },
		"drips": func(c net.Conn) {
			for range 100 {
				c.Write([]byte{0})
				time.Sleep(30 * time.Millisecond)
			}
		},
		"an empty message": func(c net.Conn) { c.Write([]byte{0, 0}) },
	} {
		t.Run(what, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { defer c.Close(); serve(c) }()
				}
			}()
			start := time.Now()
			if found, err := collect(ask(t, l.Addr().String()).Certificates(t.Context(), certstore.Email("alice@example.test"))); err == nil || len(found) != 0 {
				t.Errorf("%d certificates, %v", len(found), err)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := fake(t, func(dns.ResponseWriter, *dns.Msg) {})
	if _, err := collect(s.Certificates(ctx, certstore.Email("alice@example.test"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMatches(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, _ := ca.Issue(t, "alice@example.test")
	bob, _ := ca.Issue(t, "bob@example.test")
	name, _ := smimeastore.Name("alice@example.test")
	var all []dns.RR
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			r := &dns.SMIMEA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSMIMEA, Class: dns.ClassINET, Ttl: 60}}
			// An independent implementation of the record.
			if err := r.Sign(3, int(selector), int(matching), alice); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	s := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		a.AuthenticatedData, a.Answer = true, all
		w.WriteMsg(a)
	})
	list, err := s.Associations(t.Context(), "alice@example.test")
	if err != nil || len(list) != 6 {
		t.Fatalf("%d associations, %v", len(list), err)
	}
	for _, a := range list {
		if !a.Matches(alice) || a.Matches(bob) || a.Usage != smimeastore.DANEEE || a.TTL != time.Minute {
			t.Errorf("%+v", a)
		}
	}
}

func TestRecord(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, _ := ca.Issue(t, "alice@example.test")
	line, err := smimeastore.Record("alice@example.test", alice, smimeastore.DANEEE, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	rr, err := dns.NewRR(line)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := rr.(*dns.SMIMEA)
	if !ok || r.Verify(alice) != nil || r.Usage != 3 || r.Hdr.Ttl != 3600 {
		t.Errorf("got %v", rr)
	}
	for _, f := range []func() (string, error){
		func() (string, error) { return smimeastore.Record("alice", alice, smimeastore.DANEEE, 0) },
		func() (string, error) { return smimeastore.Record("alice@example.test", alice, 4, 0) },
		func() (string, error) {
			return smimeastore.Record("alice@example.test", alice, smimeastore.DANEEE, -time.Second)
		},
		func() (string, error) {
			return smimeastore.Record("alice@example.test", alice, smimeastore.DANEEE, 1<<31*time.Second)
		},
	} {
		if line, err := f(); err == nil {
			t.Errorf("got %q", line)
		}
	}
}

// fakeZone returns a store on a resolver that has a record for every address the
// certificates name, in every case of letters a test asks for.
func fakeZone(t testing.TB, entries []*certstore.Entry) certstore.Store {
	t.Helper()
	records := map[string][]dns.RR{}
	for _, e := range entries {
		for _, a := range e.Certificate.EmailAddresses {
			local, domain, _ := strings.Cut(a, "@")
			for _, l := range []string{local, strings.ToLower(local), "aLICE"} {
				if !strings.EqualFold(l, local) {
					continue
				}
				if name, ok := smimeastore.Name(l + "@" + domain); ok {
					records[name] = append(records[name], record(name, 3, 0, 0, e.Certificate.Raw))
				}
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		a.AuthenticatedData = true
		if a.Answer = records[q.Question[0].Name]; a.Answer == nil {
			a.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(a)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	store, err := smimeastore.New(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return store
}
