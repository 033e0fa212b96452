package mailbox

import "slices"

// An Index finds those of many addresses that a mailbox is, as [Compare] tells, without
// holding it against each of them: who writes both a directory entry's addresses and its
// certificates must not make their product the work.
type Index struct {
	addresses []string
	by        map[string][]int // folded
}

// NewIndex makes an index of addresses.
func NewIndex(addresses []string) *Index {
	x := &Index{addresses, make(map[string][]int, len(addresses))}
	for i, a := range addresses {
		if key, ok := fold(a); ok {
			x.by[key] = append(x.by[key], i)
		}
	}
	return x
}

// Find returns the addresses that any of mailboxes is, in their order.
func (x *Index) Find(mailboxes ...Mailbox) []string {
	var places []int
	for _, m := range mailboxes {
		key, ok := fold(m.Address)
		if !ok {
			continue
		}
		for _, i := range x.by[key] {
			if Compare(x.addresses[i], m) != Different {
				places = append(places, i)
			}
		}
	}
	slices.Sort(places)
	var found []string
	for _, i := range slices.Compact(places) {
		found = append(found, x.addresses[i])
	}
	return found
}

// fold returns one string for all addresses that Compare may find alike.
func fold(address string) (string, bool) {
	local, domain, ok := Split(address)
	return foldASCII(local) + "@" + domain, ok
}
