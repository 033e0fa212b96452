package oid

import "testing"

func TestRoundTrip(t *testing.T) {
	for _, s := range []string{"0.0", "1.39", "2.5.29.17", "2.999.3", "1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.311.25.2.1", "2.23.140.1.5.1.3"} {
		o, err := Parse(s)
		if err != nil {
			t.Fatal(s, err)
		}
		if o.String() != s || !o.Valid() {
			t.Errorf("%s became %s (valid %v)", s, o, o.Valid())
		}
	}
	for _, s := range []string{"", "1", "3.1", "1.40", "1.2.", "1..2", "1.02", "1.-2", "1.2.18446744073709551616", "a.b"} {
		if o, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", s, o)
		}
	}
}

// An arc of 2^32+x must not alias x (attacks.md, D05).
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
	for _, o := range []OID{"", "\x80\x01", "\x2a\x86", "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"} {
		if s := o.String(); len(s) < 4 || s[:4] != "oid:" {
			t.Errorf("%x prints as %s", string(o), s)
		}
	}
}
