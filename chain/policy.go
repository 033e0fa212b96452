package chain

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// maxPolicyNodes bounds the policy graph of one path.
const maxPolicyNodes = 1000

// policyInput holds the three inputs of RFC 5280, Section 6.1.1 (c), (e), (f) and (g).
type policyInput struct {
	initial                                     []oid.OID // nil: any policy
	explicit, inhibitMapping, inhibitAnyInitial bool
}

// A policyNode is a node of the valid_policy_graph of RFC 9618: one per policy and
// depth, with as many parents as expect it, so that the graph cannot explode.
type policyNode struct {
	policy   oid.OID
	expected []oid.OID // nil: {policy}
	parents  []*policyNode
}

func (n *policyNode) expects(p oid.OID) bool {
	if n.expected == nil {
		return n.policy == p
	}
	return slices.Contains(n.expected, p)
}

// policyState runs the policy part of RFC 5280, Section 6.1 from the anchor down.
// Nodes that lose all children need not be deleted: only those with a descendant in the
// last level are ever looked at again.
type policyState struct {
	in                            *policyInput
	level                         []*policyNode // nodes of the current depth; empty: the graph is NULL
	explicit, mapping, anyAllowed int
	nodes                         int
	work                          *int  // comparisons made for the whole question, see maxComparisons
	last                          *node // certificate in which the graph became NULL
}

func newPolicyState(in *policyInput, n int, work *int) *policyState {
	s := &policyState{in: in, work: work, explicit: n + 1, mapping: n + 1, anyAllowed: n + 1}
	if in.explicit {
		s.explicit = 0
	}
	if in.inhibitMapping {
		s.mapping = 0
	}
	if in.inhibitAnyInitial {
		s.anyAllowed = 0
	}
	s.level = []*policyNode{{policy: oid.AnyPolicy}}
	return s
}

func (s *policyState) find(p oid.OID) *policyNode {
	for _, n := range s.level {
		if n.policy == p {
			return n
		}
	}
	return nil
}

// certificate is RFC 5280, Section 6.1.3 (d) to (f), as RFC 9618 rewrites (d).
func (s *policyState) certificate(c *node, final bool) (code, detail string) {
	if len(s.level) > 0 {
		if c.Has(pkix.ExtPolicies) {
			if !s.spend(c) {
				return "path.budget", tooManyPolicies
			}
			s.level = s.descend(c, final)
		} else {
			s.level = nil
		}
		if len(s.level) == 0 {
			s.last = c
		}
		if s.nodes += len(s.level); s.nodes > maxPolicyNodes {
			return "path.budget", tooManyPolicies
		}
	}
	if s.explicit == 0 && len(s.level) == 0 {
		return "policy.none", "a policy is required and the path has none left"
	}
	return "", ""
}

const tooManyPolicies = "the certificate policies of the path take too much work"

// spend charges for comparing the policies of c with those that the level above expects, each
// with each, and reports whether that may be done.
func (s *policyState) spend(c *node) bool {
	policies, above := 0, 0
	for _, n := range s.level {
		above += max(1, len(n.expected))
	}
	for id := range c.PolicyIDs {
		if policies++; oid.OID(id) == oid.AnyPolicy {
			policies += above // it stands for each of them
		}
	}
	*s.work += policies * above
	return *s.work <= maxComparisons
}

func (s *policyState) descend(c *node, final bool) []*policyNode {
	var next []*policyNode
	add := func(p oid.OID, parents []*policyNode) {
		for _, n := range next {
			if n.policy == p {
				return
			}
		}
		if len(next) <= maxPolicyNodes {
			next = append(next, &policyNode{policy: p, parents: parents})
		}
	}
	expecting := func(p oid.OID) (list []*policyNode) {
		for _, n := range s.level {
			if n.expects(p) {
				list = append(list, n)
			}
		}
		return list
	}
	hasAny := false
	parent := s.find(oid.AnyPolicy)
	for id := range c.PolicyIDs {
		p := oid.OID(id)
		if p == oid.AnyPolicy {
			hasAny = true
		} else if list := expecting(p); len(list) > 0 {
			add(p, list)
		} else if parent != nil {
			add(p, []*policyNode{parent})
		}
	}
	if hasAny && (s.anyAllowed > 0 || !final && c.SelfIssued()) {
		for _, n := range s.level {
			expected := n.expected
			if expected == nil {
				expected = []oid.OID{n.policy}
			}
			for _, p := range expected {
				add(p, expecting(p))
			}
		}
	}
	return next
}

// issuer is RFC 5280, Section 6.1.4 (a), (b) and (h) to (j).
func (s *policyState) issuer(c *node) (code, detail string) {
	if c.Has(pkix.ExtMappings) {
		if code, detail = s.mappings(c); code != "" {
			return code, detail
		}
	}
	if !c.SelfIssued() {
		s.explicit, s.mapping, s.anyAllowed = max(s.explicit-1, 0), max(s.mapping-1, 0), max(s.anyAllowed-1, 0)
	}
	lower(&s.explicit, c.RequireExplicit)
	lower(&s.mapping, c.InhibitMapping)
	lower(&s.anyAllowed, c.InhibitAny)
	return "", ""
}

func lower(counter *int, limit int) {
	if limit >= 0 && limit < *counter {
		*counter = limit
	}
}

// mappings reads
//
//	PolicyMappings ::= SEQUENCE SIZE (1..MAX) OF SEQUENCE {
//	     issuerDomainPolicy      CertPolicyId,
//	     subjectDomainPolicy     CertPolicyId }
func (s *policyState) mappings(c *node) (code, detail string) {
	type mapping struct{ from, to oid.OID }
	var list []mapping
	for rest := cryptobyte.String(c.Mappings); !rest.Empty(); {
		var m, from, to cryptobyte.String
		if !rest.ReadASN1(&m, asn1.SEQUENCE) || !m.ReadASN1(&from, asn1.OBJECT_IDENTIFIER) || !m.ReadASN1(&to, asn1.OBJECT_IDENTIFIER) {
			return "ext.malformed", "policyMappings is malformed"
		}
		if oid.OID(from) == oid.AnyPolicy || oid.OID(to) == oid.AnyPolicy {
			return "policy.mapping_any", "policyMappings maps anyPolicy"
		}
		if list = append(list, mapping{oid.OID(from), oid.OID(to)}); len(list) > maxPolicyNodes {
			return "path.budget", "the policy mappings of the path take too much work"
		}
	}
	if *s.work += len(list) * len(s.level); *s.work > maxComparisons {
		return "path.budget", tooManyPolicies
	}
	if s.mapping == 0 {
		s.level = slices.DeleteFunc(s.level, func(n *policyNode) bool {
			return slices.ContainsFunc(list, func(m mapping) bool { return m.from == n.policy })
		})
		if len(s.level) == 0 && s.last == nil {
			s.last = c
		}
		return "", ""
	}
	wildcard := s.find(oid.AnyPolicy)
	fresh := map[*policyNode]bool{}
	for _, m := range list {
		n := s.find(m.from)
		if n == nil {
			if wildcard == nil {
				continue
			}
			n = &policyNode{policy: m.from, parents: wildcard.parents}
			s.level = append(s.level, n)
		}
		if !fresh[n] {
			fresh[n], n.expected = true, []oid.OID{}
		}
		if !slices.Contains(n.expected, m.to) {
			n.expected = append(n.expected, m.to)
		}
	}
	return "", ""
}

// finish is RFC 5280, Section 6.1.5 (a), (b) and (g): it returns the user-constrained
// policy set.
func (s *policyState) finish(c *node) (set []oid.OID, code, detail string) {
	s.explicit = max(s.explicit-1, 0)
	if c.RequireExplicit == 0 {
		s.explicit = 0
	}
	set = s.userSet()
	if s.explicit == 0 && len(set) == 0 {
		return nil, "policy.none", "a policy is required and none of the path is acceptable"
	}
	return set, "", ""
}

// userSet intersects the authority-constrained set, the policies whose parent is
// anyPolicy, with the user's.
func (s *policyState) userSet() []oid.OID {
	seen := map[*policyNode]bool{}
	authority := map[oid.OID]bool{}
	work := slices.Clone(s.level)
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		if n.policy == oid.AnyPolicy {
			authority[n.policy] = authority[n.policy] || slices.Contains(s.level, n)
			continue
		}
		for _, p := range n.parents {
			if p.policy == oid.AnyPolicy {
				authority[n.policy] = true
			} else {
				work = append(work, p)
			}
		}
	}
	var set []oid.OID
	for p, ok := range authority {
		if ok && p != oid.AnyPolicy && (s.in.initial == nil || slices.Contains(s.in.initial, p)) {
			set = append(set, p)
		}
	}
	if authority[oid.AnyPolicy] {
		if s.in.initial == nil {
			set = append(set, oid.AnyPolicy)
		} else {
			for _, p := range s.in.initial {
				if !slices.Contains(set, p) {
					set = append(set, p)
				}
			}
		}
	}
	slices.Sort(set)
	return set
}
