package ldapstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/limits"
)

// fake starts an LDAP server that answers every connection with serve, and returns a
// store for it that gives up after half a second.
func fake(t *testing.T, serve func(net.Conn)) *ldapstore.Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	s, err := ldapstore.New("ldap://" + l.Addr().String() + "/dc=example,dc=test")
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout, s.AllowCleartext = 500*time.Millisecond, true
	t.Cleanup(func() { s.Close() })
	return s
}

// answering reads requests and lets answer write what comes back.
func answering(answer func(w io.Writer, id int64, request *ber.Packet)) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			p, err := ber.ReadPacket(r)
			if err != nil || len(p.Children) < 2 {
				return
			}
			id, _ := p.Children[0].Value.(int64)
			answer(c, id, p.Children[1])
		}
	}
}

func message(id int64, op *ber.Packet) []byte {
	m := ber.NewSequence("LDAPMessage")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	m.AppendChild(op)
	return m.Bytes()
}

func done(id int64, code int64) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultDone, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	return message(id, op)
}

type attribute struct {
	name   string
	values []string
}

func entry(id int64, dn string, attributes ...attribute) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.NewSequence("")
	for _, a := range attributes {
		one := ber.NewSequence("")
		one.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, a.name, ""))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.values {
			set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		one.AppendChild(set)
		list.AppendChild(one)
	}
	op.AppendChild(list)
	return message(id, op)
}

func referral(id int64, url string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, url, ""))
	return message(id, op)
}

// The time limit is for a query, however many searches it takes.
func TestSlowSearches(t *testing.T) {
	for _, pause := range []time.Duration{0, 300 * time.Millisecond} {
		s := fake(t, answering(func(w io.Writer, id int64, _ *ber.Packet) {
			time.Sleep(pause)
			w.Write(done(id, 0))
		}))
		if pause == 0 {
			s.Timeout = time.Minute
		}
		var q certstore.AnyOf
		for i := range 100 {
			q = append(q, certstore.Email(fmt.Sprintf("user%d@example.test", i)))
		}
		var failed error
		for _, err := range s.Certificates(t.Context(), q) {
			failed = err
		}
		if errors.Is(failed, context.DeadlineExceeded) != (pause > 0) {
			t.Errorf("answers after %v: %v", pause, failed)
		}
	}
}

// doneWith ends an answer of Active Directory: with the cookies of DirSync and of paging.
func doneWith(id int64, more bool, cookie string) []byte {
	m := ber.DecodePacket(done(id, 0))
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	add := func(oid string, numbers []int64, cookie string) {
		value := ber.NewSequence("")
		for _, n := range numbers {
			value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, n, ""))
		}
		value.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, cookie, ""))
		c := ber.NewSequence("")
		c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, oid, ""))
		c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(value.Bytes()), ""))
		controls.AppendChild(c)
	}
	flags := int64(0)
	if more {
		flags = 1
	}
	add("1.2.840.113556.1.4.841", []int64{flags, 0}, cookie)
	add("1.2.840.113556.1.4.319", []int64{0}, "")
	m.AppendChild(controls)
	return m.Bytes()
}

// Revocation lists are passed on as they come, not held all at once; and until the end the
// cursor is the one of before.
func TestLargeLists(t *testing.T) {
	s := fake(t, answering(func(w io.Writer, id int64, request *ber.Packet) {
		filter, err := ldap.DecompileFilter(request.Children[6])
		if err != nil {
			t.Error(err)
		}
		if request.Children[0].Value == "" {
			w.Write(entry(id, "", attribute{"namingContexts", []string{"dc=example,dc=test"}}))
		}
		if strings.Contains(filter, "RevocationList") {
			for i := range 10 {
				w.Write(entry(id, fmt.Sprint("cn=", i), attribute{"certificateRevocationList;binary", []string{strings.Repeat("x", 3<<20)}}))
			}
		}
		w.Write(doneWith(id, false, ""))
	}))
	s.Timeout = time.Minute
	lists, batches := 0, 0
	for b, err := range s.FullPass().Changes(t.Context(), []byte("before")) {
		if err != nil {
			t.Fatal(err)
		}
		lists += len(b.CRLs)
		if batches++; len(b.CRLs) > 2 || !b.Complete && string(b.Cursor) != "before" || b.Reset != (batches == 1) {
			t.Errorf("%d lists with the cursor %q", len(b.CRLs), b.Cursor)
		}
	}
	if lists != 10 || batches < 5 {
		t.Errorf("%d lists in %d batches", lists, batches)
	}
}

// A server that lies, hangs or babbles costs its time limit and nothing else; the store
// next to it answers all the same.
func TestHostileServers(t *testing.T) {
	ca := certtest.NewCA(t, "Test CA")
	alice := named(t, ca, "alice", "alice@example.test")
	var good certstore.Memory
	good.Add(alice)
	for _, test := range []struct {
		name  string
		serve func(net.Conn)
	}{
		{"never answers", func(c net.Conn) { io.Copy(io.Discard, c) }},
		{"never reads", func(c net.Conn) { time.Sleep(3 * time.Second) }},
		{"closes at once", func(c net.Conn) {}},
		{"answers half a message", answering(func(w io.Writer, id int64, _ *ber.Packet) { w.Write(entry(id, "cn=x")[:9]) })},
		{"drips", func(c net.Conn) {
			for range 100 {
				if _, err := c.Write([]byte{0x30}); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}},
		{"drips a message", answering(func(w io.Writer, id int64, _ *ber.Packet) {
			for _, b := range entry(id, "cn="+strings.Repeat("x", 100)) {
				if _, err := w.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		})},
		{"speaks another protocol", func(c net.Conn) { io.WriteString(c, "220 mail.example.test ESMTP\r\n"); io.Copy(io.Discard, c) }},
		{"claims 2 GiB", answering(func(w io.Writer, _ int64, _ *ber.Packet) {
			w.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 2})
		})},
		{"claims 2^63", answering(func(w io.Writer, _ int64, _ *ber.Packet) {
			w.Write([]byte{0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		})},
		{"indefinite length", answering(func(w io.Writer, _ int64, _ *ber.Packet) { w.Write([]byte{0x30, 0x80, 2, 1, 2}) })},
		{"deep nesting", answering(func(w io.Writer, _ int64, _ *ber.Packet) {
			n := 200_000
			w.Write([]byte{0x30, 0x83, byte(n * 2 >> 16), byte(n * 2 >> 8), byte(n * 2)})
			w.Write(bytes.Repeat([]byte{0x30, 0x7e}, n))
		})},
		{"an entry without anything", answering(func(w io.Writer, id int64, _ *ber.Packet) {
			w.Write(message(id, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")))
		})},
		{"a result without anything", answering(func(w io.Writer, id int64, _ *ber.Packet) {
			w.Write(message(id, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultDone, nil, "")))
		})},
		{"answers another question", answering(func(w io.Writer, id int64, _ *ber.Packet) { w.Write(done(id+7, 0)) })},
		{"entries without end", answering(func(w io.Writer, id int64, _ *ber.Packet) {
			e := entry(id, "cn=x", attribute{"mail", []string{"alice@example.test"}})
			for {
				if _, err := w.Write(e); err != nil {
					return
				}
			}
		})},
		{"says busy", answering(func(w io.Writer, id int64, _ *ber.Packet) { w.Write(done(id, ldap.LDAPResultBusy)) })},
		{"ends amid the answer", func(c net.Conn) {
			answering(func(w io.Writer, id int64, _ *ber.Packet) {
				w.Write(entry(id, "cn=x", attribute{"mail", []string{"alice@example.test"}}))
				c.Close()
			})(c)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fake(t, test.serve)
			start := time.Now()
			var errs, found int
			for e, err := range certstore.Multi(s, &good).Certificates(t.Context(), certstore.Email("alice@example.test")) {
				if err != nil {
					errs++
				} else if e.Certificate.Equal(alice) {
					found++
				}
			}
			if errs != 1 || found != 1 {
				t.Errorf("%d errors and %d certificates, want one of each", errs, found)
			}
			// The same of a server that is read from end to end.
			errs = 0
			for _, err := range fake(t, test.serve).All(t.Context()) {
				if err != nil {
					errs++
				}
			}
			if errs != 1 {
				t.Errorf("%d errors from reading everything, want one", errs)
			}
			if d := time.Since(start); d > 4*time.Second {
				t.Errorf("it cost %v, want half a second each", d)
			}
		})
	}
}

// What a server sends for one address is held only up to a bound.
func TestAnswerIsBounded(t *testing.T) {
	s := fake(t, answering(func(w io.Writer, id int64, _ *ber.Packet) {
		e := entry(id, "cn=x", attribute{"mail", []string{"alice@example.test"}}, attribute{"userCertificate", []string{strings.Repeat("x", 1<<20)}})
		for {
			if _, err := w.Write(e); err != nil {
				return
			}
		}
	}))
	s.Timeout = time.Minute
	for _, err := range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
		var limit *limits.Exceeded
		if !errors.As(err, &limit) || limit.What != "octets of one answer" {
			t.Errorf("got %v", err)
		}
	}
}

// A message within its bound may still claim millions of elements, of which each would be
// an object of its own. One with many values is read.
func TestElementsAreBounded(t *testing.T) {
	ca := certtest.NewCA(t, "Test CA")
	junk := bytes.Repeat([]byte{4, 0}, 7<<20)
	long := func(tag byte, content ...[]byte) []byte {
		b := bytes.Join(content, nil)
		return append([]byte{tag, 0x84, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	}
	values := long(0x31, junk)
	hostile := func(id int64) []byte {
		return long(0x30, []byte{2, 1, byte(id)}, long(0x64, []byte("\x04\x04cn=x"), long(0x30, long(0x30, []byte("\x04\x04mail"), values))))
	}
	addresses := []string{"alice@example.test"}
	for i := range 20_000 {
		addresses = append(addresses, fmt.Sprintf("alice%d@example.test", i))
	}
	for _, test := range []struct {
		name   string
		answer func(id int64) []byte
		good   bool
	}{
		{"millions", hostile, false},
		{"thousands", func(id int64) []byte {
			return append(entry(id, "cn=x", attribute{"mail", addresses}, attribute{"userCertificate", []string{string(ca.Certificate.Raw)}}, attribute{"cACertificate", []string{string(ca.Certificate.Raw)}}), done(id, 0)...)
		}, true},
	} {
		s := fake(t, answering(func(w io.Writer, id int64, _ *ber.Packet) { w.Write(test.answer(id)) }))
		s.Timeout = time.Minute
		for name, q := range map[string]certstore.Query{"look-up": certstore.Email("alice@example.test"), "authorities": certstore.RawSubject(ca.Certificate.RawSubject)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var failure error
			begin := time.Now()
			for _, err := range s.Certificates(t.Context(), q) {
				failure = err
			}
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("%s, %s: it took %v", test.name, name, d)
			}
			runtime.ReadMemStats(&after)
			if !test.good && (failure == nil || !strings.Contains(failure.Error(), "elements of one LDAP message")) {
				t.Errorf("%s, %s: got %v", test.name, name, failure)
			}
			if d := (after.TotalAlloc - before.TotalAlloc) >> 20; d > 300 {
				t.Errorf("%s, %s: %d MiB allocated", test.name, name, d)
			}
			if test.good && name == "look-up" && failure != nil {
				t.Errorf("%s, %s: got %v", test.name, name, failure)
			}
		}
	}
}

func TestCancel(t *testing.T) {
	s := fake(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	s.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	for _, err := range s.Certificates(ctx, certstore.Email("alice@example.test")) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestTimeoutIsNamed(t *testing.T) {
	s := fake(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for _, err := range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 500ms") {
			t.Errorf("got %v", err)
		}
	}
}

// No goroutine and no connection stays behind when servers do not answer.
func TestNothingLeaks(t *testing.T) {
	s := fake(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	s.Timeout = 20 * time.Millisecond
	before := runtime.NumGoroutine()
	for range 20 {
		for range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+4 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// Attack row H06: a directory that returns somebody else's certificate: it is yielded as filed, and does
// not match what was asked for.
func TestOthersCertificates(t *testing.T) {
	ca := certtest.NewCA(t, "Test CA")
	mallory := named(t, ca, "mallory", "mallory@example.test")
	s := fake(t, answering(func(w io.Writer, id int64, _ *ber.Packet) {
		w.Write(entry(id, "cn=alice", attribute{"mail", []string{"alice@example.test"}}, attribute{"userCertificate", []string{string(mallory.Raw), "junk", ""}}))
		w.Write(entry(id, "cn=mallory", attribute{"mail", []string{"mallory@example.test"}}, attribute{"userCertificate", []string{string(mallory.Raw)}}))
		w.Write(referral(id, "ldap://127.0.0.1:1/"))
		w.Write(done(id, 0))
	}))
	q := certstore.Email("alice@example.test")
	found := collect(t, s.Certificates(t.Context(), q))
	if len(found) != 1 || q.Match(found[0].Certificate) || found[0].Address != "alice@example.test" {
		t.Errorf("got %s", describe(found))
	}
}

// Referrals are not followed: nobody connects to where they point.
func TestReferralsAreNotFollowed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var visits atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			c.Close()
		}
	}()
	for _, code := range []int64{0, ldap.LDAPResultReferral} {
		s := fake(t, answering(func(w io.Writer, id int64, _ *ber.Packet) {
			w.Write(referral(id, "ldap://"+l.Addr().String()+"/dc=example,dc=test"))
			w.Write(done(id, code))
		}))
		for range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d connections to where a referral pointed", n)
	}
}

// Active Directory splits attributes of many values into ranges.
func TestRanges(t *testing.T) {
	ca := certtest.NewCA(t, "Test CA")

	var values []string
	for i := range 10 {
		c := named(t, ca, fmt.Sprint("cert", i), "alice@example.test")
		values = append(values, string(c.Raw))
	}
	part := func(from, to int, last bool) attribute {
		end := fmt.Sprint(to - 1)
		if last {
			end = "*"
		}
		return attribute{fmt.Sprintf("userCertificate;range=%d-%s", from, end), values[from:to]}
	}
	mail := attribute{"mail", []string{"alice@example.test"}}
	for name, test := range map[string]struct {
		serve func(step int, wanted string) []attribute
		want  int
		ok    bool
	}{
		"three parts": {func(step int, wanted string) []attribute {
			switch step {
			case 0:
				return []attribute{mail, {"userCertificate", nil}, part(0, 4, false)}
			case 1:
				return []attribute{part(4, 8, false)}
			}
			return []attribute{part(8, 10, true)}
		}, 10, true},
		"the values vanish": {func(step int, _ string) []attribute {
			if step == 0 {
				return []attribute{mail, part(0, 4, false)}
			}
			return nil
		}, 4, true},
		"no progress": {func(step int, _ string) []attribute {
			if step == 0 {
				return []attribute{mail, part(0, 4, false)}
			}
			return []attribute{part(0, 4, false)}
		}, 0, false},
		"no end": {func(step int, _ string) []attribute {
			if step == 0 {
				return []attribute{mail, part(0, 4, false)}
			}
			return []attribute{{fmt.Sprintf("userCertificate;range=%d-%d", step*10, step*10+9), values}}
		}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var step atomic.Int32 // two connections may ask in turn
			s := fake(t, answering(func(w io.Writer, id int64, r *ber.Packet) {
				wanted := ""
				if n := len(r.Children); n > 0 && len(r.Children[n-1].Children) == 1 {
					wanted, _ = r.Children[n-1].Children[0].Value.(string)
				}
				w.Write(entry(id, "cn=alice", test.serve(int(step.Add(1))-1, wanted)...))
				w.Write(done(id, 0))
			}))
			n, failed := 0, false
			for _, err := range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
				if err != nil {
					failed = true
				} else {
					n++
				}
			}
			if failed == test.ok || n != test.want {
				t.Errorf("%d certificates, failed: %v; want %d", n, failed, test.want)
			}
		})
	}
}

func FuzzGuard(f *testing.F) {
	f.Add(done(1, 0))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add(append(entry(3, "cn=x", attribute{"mail", []string{"a@b"}}), done(3, 0)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		out, err := ldapstore.Guarded(stream)
		if err == nil && !bytes.Equal(out, stream) {
			t.Fatal("the guard changed what it let through")
		}
		var limit *limits.Exceeded
		if err != nil && !errors.As(err, &limit) && !strings.Contains(err.Error(), "not LDAP") {
			t.Fatalf("another error: %v", err)
		}
	})
}
