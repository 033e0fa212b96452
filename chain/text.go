package chain

import (
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"net/netip"
	"strings"
	"unicode"
)

// ipText prints the content of an iPAddress, with its mask if it is a constraint.
func ipText(v []byte) string {
	if a, ok := netip.AddrFromSlice(v); ok && len(v) == 4 {
		return a.String()
	}
	half := v[:len(v)/2]
	if a, ok := netip.AddrFromSlice(half); ok && (len(v) == 8 || len(v) == 32) {
		ones := 0
		for _, b := range v[len(v)/2:] {
			for ; b&0x80 != 0; b <<= 1 {
				ones++
			}
		}
		return netip.PrefixFrom(a, ones).String()
	}
	if a, ok := netip.AddrFromSlice(v); ok {
		return a.String()
	}
	return "an address of odd length"
}

// printable returns s fit for one line: controls and marks that reorder text are
// replaced, and what is too long is cut.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	if s == "" {
		return `""`
	}
	return s
}

func oidText(content []byte) string { return oid.OID(content).String() }

func pkixOID(content []byte) oid.OID { return oid.OID(content) }

// lowest returns the first extension of a set.
func lowest(x pkix.Ext) pkix.Ext { return x & -x }

func nameText(raw []byte) string {
	if s := pkix.NameString(raw); s != "" {
		return printable(s)
	}
	return "with an empty name"
}

func subjectText(n *node) string { return nameText(n.RawSubject) }
