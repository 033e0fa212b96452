package certstore

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
)

// An index finds values by what a Query can ask for. Values keep the order in which they
// were added.
type index[T any] struct {
	next  int
	items map[*item[T]]struct{}
	by    map[string][]*item[T]
}

type item[T any] struct {
	seq     int
	cert    *x509.Certificate
	address string // what the value is filed under besides the certificate's names, folded
	value   T
	keys    []string
}

// Keys carry a letter for their kind, so that no value of one kind equals another's.
func emailKey(folded string) string           { return "e" + folded }
func issuerKey(raw []byte, ser string) string { return "i" + ser + "/" + string(raw) }
func serialKey(ser string) string             { return "n" + ser }
func keyIDKey(id []byte) string               { return "k" + string(id) }
func subjectKey(raw []byte) string            { return "s" + string(raw) }
func thumbKey(t [32]byte) string              { return "t" + string(t[:]) }

// add files value under everything c can be found by, and under address if there is one.
func (x *index[T]) add(c *x509.Certificate, address string, value T) {
	it := &item[T]{seq: x.next, cert: c, value: value}
	x.next++
	it.address, _ = foldMailbox(address)
	it.keys = append(it.keys, thumbKey(sha256.Sum256(c.Raw)), subjectKey(c.RawSubject))
	if c.SerialNumber != nil {
		serial := c.SerialNumber.Text(16)
		it.keys = append(it.keys, issuerKey(c.RawIssuer, serial), serialKey(serial))
	}
	for _, id := range keyIDs(c) {
		it.keys = append(it.keys, keyIDKey(id))
	}
	if it.address != "" {
		it.keys = append(it.keys, emailKey(it.address))
	}
	for _, m := range mailbox.Of(c) {
		if f, ok := foldMailbox(m.Address); ok {
			it.keys = append(it.keys, emailKey(f))
		}
	}
	slices.Sort(it.keys)
	it.keys = slices.Compact(it.keys)
	if x.by == nil {
		x.by, x.items = map[string][]*item[T]{}, map[*item[T]]struct{}{}
	}
	x.items[it] = struct{}{}
	for _, k := range it.keys {
		x.by[k] = append(x.by[k], it)
	}
}

func (x *index[T]) remove(it *item[T]) {
	delete(x.items, it)
	for _, k := range it.keys {
		rest := slices.DeleteFunc(slices.Clone(x.by[k]), func(o *item[T]) bool { return o == it })
		if len(rest) == 0 {
			delete(x.by, k)
		} else {
			x.by[k] = rest
		}
	}
}

// find returns the items that match q, in the order they were added, each once.
func (x *index[T]) find(q Query) []*item[T] {
	names := limits.NameComparisons
	return x.findAtMost(q, &names)
}

// findAtMost compares no more than names that are not the same octets.
func (x *index[T]) findAtMost(q Query, names *int) []*item[T] {
	var found []*item[T]
	switch q := q.(type) {
	case nil:
		return nil
	case AnyOf:
		seen := map[*item[T]]bool{}
		for _, m := range q {
			for _, it := range x.findAtMost(m, names) {
				if !seen[it] {
					seen[it] = true
					found = append(found, it)
				}
			}
		}
		slices.SortFunc(found, func(a, b *item[T]) int { return cmp.Compare(a.seq, b.seq) })
		return found
	case Email:
		folded, ok := foldMailbox(string(q))
		if !ok {
			return nil
		}
		for _, it := range x.by[emailKey(folded)] {
			if it.address == folded || q.Match(it.cert) {
				found = append(found, it)
			}
		}
		return found
	case IssuerSerial:
		if q.Serial == nil {
			return nil
		}
		serial := q.Serial.Text(16)
		if found = slices.Clone(x.by[issuerKey(q.RawIssuer, serial)]); found != nil {
			return found
		}
		for _, it := range x.by[serialKey(serial)] {
			if q.match(it.cert, names) {
				found = append(found, it)
			}
		}
		return found
	case SubjectKeyID:
		return slices.Clone(x.by[keyIDKey(q)])
	case RawSubject:
		return slices.Clone(x.by[subjectKey(q)])
	case Thumbprint:
		return slices.Clone(x.by[thumbKey(q)])
	}
	return slices.DeleteFunc(x.all(), func(it *item[T]) bool { return !q.Match(it.cert) })
}

// all returns every item in the order they were added.
func (x *index[T]) all() []*item[T] {
	list := make([]*item[T], 0, len(x.items))
	for it := range x.items {
		list = append(list, it)
	}
	slices.SortFunc(list, func(a, b *item[T]) int { return cmp.Compare(a.seq, b.seq) })
	return list
}
