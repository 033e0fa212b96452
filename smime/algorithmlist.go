package smime

import (
	"fmt"
	"strconv"
	"strings"
)

// An Exchange algorithm list is
//
//	list  = item *( ";" item )
//	item  = algid [ ":" keylen ] / algid "," oid
//	algid = 4HEXDIG
//
// with the identifiers of the Windows cryptographic API, either case. The order is the
// priority. Beyond the grammar, blanks around an item, "RC2" for 6602 and a length that
// is the algorithm's own are taken, each with a remark.

// A listError is a fault that spoils a whole algorithm list.
type listError struct{ detail string }

func (e *listError) Error() string { return e.detail }

// An algorithmID is one identifier of a list.
type algorithmID struct {
	name    string // as in Policy; empty if it needs a length to have one
	bits    int    // the key length of the algorithm; 0 if it has none or several
	lengths []int  // those it may be given with; nil if none
}

func encryptionID(id string) (algorithmID, bool) {
	switch id {
	case "6601":
		return algorithmID{name: "des-cbc", bits: 56}, true
	case "6602", "RC2":
		return algorithmID{lengths: []int{40, 56, 64, 128}}, true
	case "6603":
		return algorithmID{name: "3des-cbc", bits: 168}, true
	case "660E":
		return algorithmID{name: "aes128-cbc", bits: 128}, true
	case "660F":
		return algorithmID{name: "aes192-cbc", bits: 192}, true
	case "6610":
		return algorithmID{name: "aes256-cbc", bits: 256}, true
	}
	return algorithmID{}, false
}

func signingID(id string) (algorithmID, bool) {
	switch id {
	case "8003":
		return algorithmID{name: "md5", bits: 128}, true
	case "8004":
		return algorithmID{name: "sha1", bits: 160}, true
	case "800C":
		return algorithmID{name: "sha256", bits: 256}, true
	case "800D":
		return algorithmID{name: "sha384", bits: 384}, true
	case "800E":
		return algorithmID{name: "sha512", bits: 512}, true
	}
	return algorithmID{}, false
}

// parseAlgorithms reads a list into the names that Policy uses, in order. A list with any
// fault is malformed as a whole: a part of it would be another policy. remarks say what
// was taken beyond the grammar.
func parseAlgorithms(list string, known func(string) (algorithmID, bool)) (names, remarks []string, err error) {
	for item := range strings.SplitSeq(list, ";") {
		trimmed := strings.TrimSpace(item)
		if trimmed != item {
			remarks = append(remarks, "blanks around "+trimmed)
		}
		name, remark, err := parseAlgorithm(trimmed, known)
		if err != nil {
			return nil, nil, err
		}
		if remark != "" {
			remarks = append(remarks, remark)
		}
		names = append(names, name)
	}
	return names, remarks, nil
}

func parseAlgorithm(item string, known func(string) (algorithmID, bool)) (name, remark string, err error) {
	id, own, hasOID := strings.Cut(item, ",")
	id, length, hasLength := strings.Cut(id, ":")
	id = strings.ToUpper(id)
	a, ok := known(id)
	switch {
	case !ok && id == "8804":
		return "", "", &listError{"8804 is no algorithm identifier; SHA-1 is 8004, and 8804 in the published syntax a misprint"}
	case !ok:
		return "", "", &listError{fmt.Sprintf("%q is no algorithm identifier", item)}
	case hasOID && hasLength:
		return "", "", &listError{fmt.Sprintf("%q has a length and an object identifier", item)}
	case hasOID && !dotted(own):
		return "", "", &listError{fmt.Sprintf("%q is no object identifier", own)}
	}
	if id == "RC2" {
		remark = "RC2 stands for 6602"
	}
	name = a.name
	bits := a.bits
	if hasLength {
		if bits, err = strconv.Atoi(length); err != nil || strconv.Itoa(bits) != length || !allowedLength(a, bits) {
			return "", "", &listError{fmt.Sprintf("%q is no key length of %s", length, id)}
		}
		if a.lengths == nil {
			remark = fmt.Sprintf("%s has one key length and needs none", id)
		}
	} else if a.lengths != nil {
		bits = a.lengths[len(a.lengths)-1]
		if !hasOID {
			remark = fmt.Sprintf("%s without a key length: %d assumed", id, bits)
		}
	}
	if name == "" {
		name = fmt.Sprintf("rc2-%d-cbc", bits)
	}
	if hasOID {
		name += "," + own
	}
	return name, remark, nil
}

func allowedLength(a algorithmID, bits int) bool {
	if a.lengths == nil {
		return bits == a.bits
	}
	for _, n := range a.lengths {
		if n == bits {
			return true
		}
	}
	return false
}

// cutOID parts a name such as "3des-cbc,1.2.3.4".
func cutOID(name string) (class, oid string, found bool) {
	class, oid, found = strings.Cut(name, ",")
	if found && !dotted(oid) {
		oid = ""
	}
	return class, oid, found
}

// dotted reports whether s is an object identifier in dotted form: at least two arcs of
// decimal digits, none with a leading zero.
func dotted(s string) bool {
	if len(s) > 256 {
		return false
	}
	arcs := 0
	for arc := range strings.SplitSeq(s, ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' {
			return false
		}
		for i := range len(arc) {
			if arc[i] < '0' || arc[i] > '9' {
				return false
			}
		}
		arcs++
	}
	return arcs >= 2 && s[0] <= '2' && s[1] == '.'
}
