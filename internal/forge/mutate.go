package forge

import (
	"fmt"
	"iter"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Node is an element within a DER structure: where its tag stands, where its content
// begins, and where it ends.
type Node struct{ At, Body, End int }

// Nodes lists all elements of a structure with short tags, the outermost first.
func Nodes(der []byte) (nodes []Node) {
	open := []Node{{0, 0, len(der)}}
	for len(open) > 0 {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		for at := n.Body; at < n.End; {
			s := cryptobyte.String(der[at:n.End])
			var e, body cryptobyte.String
			var tag casn1.Tag
			if !s.ReadAnyASN1Element(&e, &tag) {
				break
			}
			inner := e
			inner.ReadAnyASN1(&body, &tag)
			child := Node{at, at + len(e) - len(body), at + len(e)}
			nodes = append(nodes, child)
			if tag&0x20 != 0 {
				open = append(open, child)
			}
			at = child.End
		}
	}
	return nodes
}

// Splice returns der with the element n replaced and the lengths around it put right.
func Splice(der []byte, n Node, element []byte) []byte {
	out := slices.Concat(der[:n.At], element, der[n.End:])
	var around []Node
	for _, p := range Nodes(der) {
		if p.At < n.At && p.End >= n.End {
			around = append(around, p)
		}
	}
	slices.SortFunc(around, func(a, b Node) int { return b.At - a.At }) // innermost first
	grown := len(element) - (n.End - n.At)
	for _, p := range around {
		body := out[p.Body : p.End+grown]
		fresh := Element(casn1.Tag(der[p.At]), body)
		out = slices.Concat(out[:p.At], fresh, out[p.End+grown:])
		grown = len(fresh) - (p.End - p.At)
	}
	return out
}

// Mutants yields der with each of its elements left out, doubled, preceded and followed by
// another, made NULL or empty, and given other tags, each with a name; always in the same
// order.
func Mutants(der []byte) iter.Seq2[string, []byte] {
	type change struct {
		name    string
		element []byte
	}
	return func(yield func(string, []byte) bool) {
		for i, n := range Nodes(der) {
			e := der[n.At:n.End]
			changes := []change{
				{"missing", nil}, {"doubled", slices.Concat(e, e)}, {"NULL", Null()}, {"empty", []byte{e[0], 0}},
				{"preceded", slices.Concat(Null(), e)}, {"followed", slices.Concat(e, []byte{0xa7, 0})},
			}
			for _, tag := range []byte{e[0] ^ 0x20, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x24, 0x30, 0x31, 0x80, 0xa0, 0xa1} {
				if tag != e[0] {
					changes = append(changes, change{fmt.Sprintf("tag %02x", tag), append([]byte{tag}, e[1:]...)})
				}
			}
			for _, c := range changes {
				if !yield(fmt.Sprintf("element %d at %d %s", i, n.At, c.name), Splice(der, n, c.element)) {
					return
				}
			}
		}
	}
}
