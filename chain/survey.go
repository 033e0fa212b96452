package chain

import "slices"

// A group is every certificate that has one subject.
type group struct {
	name    string
	list    []*node
	parents []int32 // groups of the issuers of its members
	level   int     // fewest CAs, self-issued ones apart, between the leaf and a member
	dist    int     // certificates to an anchor by names, 0 if none is reached
	clean   int     // the same over certificates without fault
}

// distance returns how many certificates follow n up to an anchor by names; 0 for an
// anchor and for what leads nowhere.
func (t *task) distance(n *node) int {
	if n.origin == fromAnchors {
		return 0
	}
	if g := t.group(n.Issuer); g != nil {
		return g.dist
	}
	return 0
}

// survey finds every name that can be reached from the leaf and its distance to an anchor.
func (t *task) survey() {
	t.groups = t.firstGroups[:0]
	t.open(t.leaf.Issuer, 0)
	for i := 0; i < len(t.groups); i++ {
		list := t.groups[i].list
		var parents []int32
		for _, c := range list {
			if c.origin == fromAnchors {
				continue
			}
			if p := t.open(c.Issuer, t.groups[i].level+1); p >= 0 && !slices.Contains(parents, p) {
				parents = append(parents, p)
			}
		}
		t.groups[i].parents = parents
	}
	t.measure(false)
}

// open returns the group of a name, making it if certificates have it; -1 if none has.
func (t *task) open(name string, level int) int32 {
	if i := t.find(name); i >= 0 {
		return i
	}
	g := group{name: name, list: t.ix.bySubject[name], level: level}
	if more := t.bag[name]; len(more) > 0 {
		g.list = append(slices.Clone(g.list), more...)
	}
	switch {
	case len(g.list) == 0:
		return -1
	case len(t.groups) >= maxGroups:
		t.gaveUp = "too many issuers"
		return -1
	}
	t.groups = append(t.groups, g)
	i := int32(len(t.groups) - 1)
	if t.byName != nil {
		t.byName[name] = i
	} else if i == 8 {
		t.byName = make(map[string]int32, 64)
		for j := range t.groups {
			t.byName[t.groups[j].name] = int32(j)
		}
	}
	return i
}

func (t *task) find(name string) int32 {
	if t.byName != nil {
		if i, ok := t.byName[name]; ok {
			return i
		}
		return -1
	}
	for i := range t.groups {
		if t.groups[i].name == name {
			return int32(i)
		}
	}
	return -1
}

func (t *task) group(name string) *group {
	if i := t.find(name); i >= 0 {
		return &t.groups[i]
	}
	return nil
}

// measure computes distances from the groups that hold an anchor, over all certificates
// or over those without known fault. Each round settles one more distance.
func (t *task) measure(clean bool) {
	if clean {
		t.cleanParents()
	}
	found := false
	for i := range t.groups {
		g := &t.groups[i]
		d := 0
		for _, c := range g.list {
			if c.origin == fromAnchors && !t.broken[c] {
				d, found = 1, true
				break
			}
		}
		g.clean = d
	}
	for d := 2; found; d++ {
		found = false
		for i := range t.groups {
			g := &t.groups[i]
			if g.clean != 0 {
				continue
			}
			for _, p := range g.parents {
				if t.groups[p].clean == d-1 {
					g.clean, found = d, true
					break
				}
			}
		}
	}
	if !clean {
		for i := range t.groups {
			t.groups[i].dist = t.groups[i].clean
		}
	}
}

// cleanParents recomputes the parents of every group without the broken members.
func (t *task) cleanParents() {
	for i := range t.groups {
		g := &t.groups[i]
		g.parents = g.parents[:0]
		for _, c := range g.list {
			if c.origin == fromAnchors || t.broken[c] {
				continue
			}
			if p := t.find(c.Issuer); p >= 0 && !slices.Contains(g.parents, p) {
				g.parents = append(g.parents, p)
			}
		}
	}
}
