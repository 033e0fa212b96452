package oid

import (
	"math"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	for _, s := range []string{"0.0", "1.39", "2.5.29.17", "2.999.3", "1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.311.25.2.1", "2.23.140.1.5.1.3",
		"1.2.9223372036854775807", "1.2.9223372036854775808.1", "2.25.340282366920938463463374607431768211455", "2.25.329800735698586629295641978511506172918.7"} {
		o, err := Parse(s)
		if err != nil {
			t.Fatal(s, err)
		}
		if o.String() != s || !o.Valid() {
			t.Errorf("%s became %s (valid %v)", s, o, o.Valid())
		}
	}
	for _, s := range []string{"", "1", "3.1", "1.40", "1.2.", "1..2", "1.02", "1.-2", "1.2.340282366920938463463374607431768211456", "1.2.99999999999999999999x",
		"1.2.09999999999999999999", "1.2." + strings.Repeat("9", 1000), "a.b"} {
		if o, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", s, o)
		}
	}
}

// An arc of 2^32+x must not alias x (threats.md, D05).
func TestNoAlias(t *testing.T) {
	big, err := Parse("1.2.840.113549.1.7.4294967298")
	if err != nil {
		t.Fatal(err)
	}
	if big == SignedData {
		t.Error("an overflowing arc equals signedData")
	}
	if SignedData.String() != "1.2.840.113549.1.7.2" {
		t.Error(SignedData.String())
	}
}

func TestMalformed(t *testing.T) {
	for _, o := range []OID{"", "\x80\x01", "\x2a\x86", "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", OID("\x2a" + strings.Repeat("\xff", 18) + "\x7f")} {
		if s := o.String(); len(s) < 4 || s[:4] != "oid:" {
			t.Errorf("%x prints as %s", string(o), s)
		}
	}
}

// FuzzOID: what is read from text prints as that text, and what prints as an identifier is
// the only one that does.
func FuzzOID(f *testing.F) {
	f.Add("1.2.840.113549.1.7.2", []byte(SignedData))
	f.Add("2.999.9223372036854775807", []byte("\x88\x37\x03"))
	f.Add("0.39", []byte("\x80\x01"))
	f.Add("2.25.340282366920938463463374607431768211455", []byte("\x69\x83"+strings.Repeat("\xff", 17)+"\x7f"))
	f.Fuzz(func(t *testing.T, text string, octets []byte) {
		if o, err := Parse(text); err == nil && (o.String() != text || !o.Valid()) {
			t.Fatalf("%q became %q", text, o.String())
		}
		o := OID(octets)
		if again, err := Parse(o.String()); err == nil && again != o {
			t.Fatalf("%x prints as %s, which is %x", octets, o, string(again))
		}
		if len(o.String()) > math.MaxInt16 && len(octets) < 1000 {
			t.Fatal("a very long text")
		}
	})
}
