package ldapstore_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/internal/limits"
)

// What is written without the LDAP library is what the library would write.
func TestLeanRequest(t *testing.T) {
	for _, addresses := range [][]string{{"alice@example.test"}, {"a@example.test", "jürgen@bücher.example", "a@xn--bcher-kva.example"}, {"*)(mail=*@example.test", "a\\b@example.test", "a\x01(@example.test"}} {
		for _, own := range []string{"", "(objectClass=person)"} {
			s := &ldapstore.Store{Filter: own, Addresses: []string{"rfc822Mailbox"}}
			request, err := s.SearchRequest(addresses...)
			must(t, err)
			p := ber.DecodePacket(request)
			if len(p.Children) != 8 {
				t.Fatalf("%d elements", len(p.Children))
			}
			want, err := ldap.CompileFilter(s.AddressFilter(addresses...))
			must(t, err)
			if !bytes.Equal(p.Children[6].Bytes(), want.Bytes()) {
				got, _ := ldap.DecompileFilter(p.Children[6])
				t.Errorf("%q: filter %s, want %s", addresses, got, s.AddressFilter(addresses...))
			}
		}
	}
	if _, err := (&ldapstore.Store{Filter: "(broken"}).SearchRequest("alice@example.test"); err == nil {
		t.Error("a broken filter was taken")
	}
}

// A directory may write a domain with A-labels or with U-labels, whichever was asked for.
func TestSpellings(t *testing.T) {
	for _, asked := range []string{"a@bücher.example", "a@xn--bcher-kva.example"} {
		filter := (&ldapstore.Store{}).AddressFilter(asked)
		for _, form := range []string{"(mail=a@xn--bcher-kva.example)", `(proxyAddresses=smtp:a@b\c3\bccher.example)`} {
			if !strings.Contains(filter, form) {
				t.Errorf("%s: %s is not in %s", asked, form, filter)
			}
		}
	}
	if filter := (&ldapstore.Store{}).AddressFilter("a@example.test"); filter != "(|(mail=a@example.test)(proxyAddresses=smtp:a@example.test))" {
		t.Errorf("an ASCII domain: %s", filter)
	}
}

func TestFilterAttributes(t *testing.T) {
	for filter, want := range map[string]string{
		"(title=*)": "title",
		"(&(objectClass=person)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(|(cn=a*b)(CN>=c\\28d=e\\29)(memberOf=cn=x)))": "objectClass userAccountControl cn",
		"(:caseExactMatch:=x)": "",
	} {
		got, err := ldapstore.FilterAttributes(filter)
		if must(t, err); strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", filter, got, want)
		}
	}
}

// long rewrites the length of a message in four octets, as Active Directory does.
func long(message []byte) []byte {
	n := len(message) - 2
	return append([]byte{message[0], 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message[2:]...)
}

func TestLeanAnswer(t *testing.T) {
	one := entry(1, "cn=a", attribute{"mail", []string{"a@example.test"}}, attribute{"userCertificate", []string{"x", "y"}})
	for what, test := range map[string]struct {
		answer []byte
		want   int
		err    string
	}{
		"nobody":                   {done(1, 0), 0, ""},
		"one":                      {append(bytes.Clone(one), done(1, 0)...), 1, ""},
		"long lengths":             {append(long(one), long(done(1, 0))...), 1, ""},
		"referral":                 {bytes.Join([][]byte{referral(1, "ldap://x/"), one, done(1, 0)}, nil), 1, ""},
		"result":                   {done(1, ldap.LDAPResultBusy), 0, "Busy"},
		"limit of the server":      {append(bytes.Clone(one), done(1, ldap.LDAPResultSizeLimitExceeded)...), 1, "Size Limit"},
		"more than asked for":      {bytes.Repeat(one, 5), 0, "size limit"},
		"cut off":                  {one, 0, "unexpected EOF"},
		"cut amid":                 {one[:20], 0, "unexpected EOF"},
		"another question":         {entry(2, "cn=a"), 0, "another question"},
		"notice of disconnection":  {done(0, ldap.LDAPResultUnavailable), 0, "end the connection"},
		"bind response":            {message(1, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationBindResponse, nil, "")), 0, "not LDAP"},
		"an entry without content": {message(1, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")), 0, "not LDAP"},
	} {
		entries, err := ldapstore.ReadAnswer(test.answer, 3)
		if len(entries) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %d entries, %v; want %d, %q", what, len(entries), err, test.want, test.err)
		}
	}
}

func FuzzLeanAnswer(f *testing.F) {
	f.Add(done(1, 0))
	f.Add(append(entry(1, "cn=a", attribute{"mail", []string{"a@example.test"}}), done(1, 0)...))
	f.Add(long(done(1, 5)))
	f.Add(append(referral(1, "ldap://x/"), done(1, 10)...))
	f.Fuzz(func(t *testing.T, answer []byte) {
		entries, err := ldapstore.ReadAnswer(answer, 10)
		for _, e := range entries {
			if e == nil || len(e.Attributes) > limits.Attributes {
				t.Fatal("an entry beyond the limits")
			}
		}
		var limit *limits.Exceeded
		var result *ldap.Error
		if err != nil && !errors.As(err, &limit) && !errors.As(err, &result) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ldap.ErrSizeLimitExceeded) &&
			!strings.Contains(err.Error(), "not LDAP") && !strings.Contains(err.Error(), "another question") {
			t.Fatalf("another error: %v", err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
