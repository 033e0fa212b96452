package mailbox_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/mailbox"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ in, local, domain string }{
		{"alice@example.com", "alice", "example.com"},
		{"Alice@EXAMPLE.com", "Alice", "example.com"},
		{`"alice"@example.com`, "alice", "example.com"},
		{`"victim@evil"@bank.example`, "victim@evil", "bank.example"},
		{`"a\"b"@example.com`, `a"b`, "example.com"},
		{"*@example.com", "*", "example.com"},
		{"δοκιμή@example.com", "δοκιμή", "example.com"},
		{"a@bücher.example", "a", "xn--bcher-kva.example"},
		{"a@BÜCHER.example", "a", "xn--bcher-kva.example"},
		{"a@XN--bcher-kva.example", "a", "xn--bcher-kva.example"},
		{"a@intranet", "a", "intranet"},
		{"a@dc_1.corp.example", "a", "dc_1.corp.example"},
	} {
		local, domain, ok := mailbox.Split(c.in)
		if !ok || local != c.local || domain != c.domain {
			t.Errorf("Split(%q) = %q, %q, %v; want %q, %q", c.in, local, domain, ok, c.local, c.domain)
		}
	}
	for _, in := range []string{
		"", "@", "a@", "@example.com", "example.com", "a@b@example.com", "a b@example.com", "a@exa mple.com",
		"a@example.com.", "a@.example.com", "a@example..com", "a@[192.0.2.1]", "a\x00@example.com", "a@example.com\x00.evil.example",
		"a\n@example.com", "Alice <a@example.com>", `"a@example.com`, `""@example.com`, `"a"b"@example.com`, "\"a\nb\"@example.com",
		"a@-example.com", "a@example-.com", "a@" + strings.Repeat("x", 64) + ".example", "a@\xff.example", "a@example。com", "a@xn--\u00e9.example",
		strings.Repeat("a", 400) + "@example.com", "a@" + strings.Repeat("a.", 130) + "example",
	} {
		if local, domain, ok := mailbox.Split(in); ok {
			t.Errorf("Split(%q) = %q, %q; want it refused", in, local, domain)
		}
	}
}

func TestCompare(t *testing.T) {
	const utf8 = true
	for _, c := range []struct {
		asked, have string
		utf8        bool
		want        mailbox.Match
	}{
		{"alice@example.com", "alice@example.com", false, mailbox.Equal},
		{"alice@example.com", "alice@EXAMPLE.COM", false, mailbox.Equal},
		{"alice@example.com", "Alice@example.com", false, mailbox.Folded},
		{"alice@example.com", "bob@example.com", false, mailbox.Different},
		{"alice@example.com", "alice@sub.example.com", false, mailbox.Different},
		{"alice@example.com", "*@example.com", false, mailbox.Different},
		{"alice@example.com", "alice@example.com.", false, mailbox.Different},
		{"alice@example.com", "alice@example.com\x00.evil.example", false, mailbox.Different},
		{"alice@bücher.example", "alice@xn--bcher-kva.example", false, mailbox.Equal},
		{"alice@xn--bcher-kva.example", "alice@bücher.example", utf8, mailbox.Equal},
		{"δοκιμή@example.com", "δοκιμή@example.com", utf8, mailbox.Equal},
		{"Δοκιμή@example.com", "δοκιμή@example.com", utf8, mailbox.Different},
		{"Aé@example.com", "aé@example.com", utf8, mailbox.Different},
		{"e\u0301@example.com", "\u00e9@example.com", utf8, mailbox.Different},
		// Turkish dotless i: only A-Z fold.
		{"İ@example.com", "i@example.com", false, mailbox.Different},
		{"K@example.com", "\u212a@example.com", false, mailbox.Different},
	} {
		if got := mailbox.Compare(c.asked, mailbox.Mailbox{Address: c.have, UTF8: c.utf8}); got != c.want {
			t.Errorf("Compare(%q, %q) = %v, want %v", c.asked, c.have, got, c.want)
		}
	}
}

// TestOf checks which fields of a certificate count as a mailbox, and which never do.
func TestOf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := func(id asn1.ObjectIdentifier, value string) asn1.RawValue {
		text, _ := asn1.MarshalWithParams(value, "utf8,explicit,tag:0")
		o, _ := asn1.Marshal(id)
		return asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: append(o, text...)}
	}
	long := other(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}, "more@example.com")
	long.Bytes = append(long.Bytes, 5, 0) // no otherName has a third field
	san, err := asn1.Marshal([]asn1.RawValue{
		{Class: 2, Tag: 1, Bytes: []byte("alice@example.com")},
		{Class: 2, Tag: 1, Bytes: []byte("alice@example.com\x00.evil.example")},
		{Class: 2, Tag: 2, Bytes: []byte("host@example.com")},
		other(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}, "δοκιμή@example.com"),
		other(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "upn@corp.example"),
		long,
	})
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0),
		Subject: pkix.Name{CommonName: "cn@example.com", ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("old@example.com")}},
		}},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var c x509.Certificate
	if p, err := x509.ParseCertificate(der); err == nil {
		c = *p
	} else {
		t.Fatal(err)
	}
	want := []mailbox.Mailbox{
		{Address: "alice@example.com"},
		{Address: "δοκιμή@example.com", UTF8: true},
		{Address: "old@example.com", Subject: true},
	}
	if got := mailbox.Of(&c); !slices.Equal(got, want) {
		t.Errorf("Of = %+v, want %+v", got, want)
	}
	if got := mailbox.OfRaw(san, c.RawSubject); len(got) != 4 {
		t.Errorf("OfRaw = %+v, want the malformed one too", got)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"alice@example.com", `"a@b"@c.example`, "a@bücher.example", "a@xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, domain, ok := mailbox.Split(s)
		if !ok {
			return
		}
		if again, ok := mailbox.Domain(domain); !ok || again != domain {
			t.Errorf("domain %q of %q is not stable: %q, %v", domain, s, again, ok)
		}
		if mailbox.Compare(s, mailbox.Mailbox{Address: s}) != mailbox.Equal {
			t.Errorf("%q does not equal itself", s)
		}
	})
}

func FuzzOfRaw(f *testing.F) {
	f.Add([]byte{0x30, 0x00}, []byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, san, subject []byte) {
		for _, m := range mailbox.OfRaw(san, subject) {
			mailbox.Compare("a@example.com", m)
		}
	})
}

// An Index finds what Compare finds.
func TestIndex(t *testing.T) {
	addresses := []string{
		"alice@example.com", "Alice@EXAMPLE.com", `"alice"@example.com`, "δοκιμή@example.com", "δοκιμήA@example.com", "δοκιμήa@example.com",
		"a@bücher.example", "a@xn--bcher-kva.example", "bob@example.com", "no address", "",
	}
	x := mailbox.NewIndex(addresses)
	for _, address := range addresses {
		for _, utf8 := range []bool{false, true} {
			m := mailbox.Mailbox{Address: address, UTF8: utf8}
			var want []string
			for _, a := range addresses {
				if mailbox.Compare(a, m) != mailbox.Different {
					want = append(want, a)
				}
			}
			if got := x.Find(m, m); !slices.Equal(got, want) {
				t.Errorf("%q, %v: found %q, want %q", address, utf8, got, want)
			}
		}
	}
	if got := x.Find(mailbox.Mailbox{Address: "bob@example.com"}, mailbox.Mailbox{Address: "a@bücher.example"}); !slices.Equal(got, []string{"a@bücher.example", "a@xn--bcher-kva.example", "bob@example.com"}) {
		t.Errorf("found %q", got)
	}
}
