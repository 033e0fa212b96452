package chain

import (
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// complete judges a path that reached an anchor: what is left of RFC 5280, Section 6.1
// once every certificate and every link has been looked at on the way up.
func (t *task) complete(s *step) {
	for b := s; b != nil; b = b.below {
		if b.n.weighty() && b.below != nil && !b.weighed {
			b.weighed = true
			t.constrain(b)
		}
	}
	path := s.path()
	o := t.outcome(outcome{top: s, path: path, complete: true, notes: s.collect()})
	t.checkInherited(path, o)
	if o.notes.worst() < fault {
		t.checkPolicies(path, o)
	}
	if o.notes.worst() < fault {
		t.remember(o, path)
		t.revocation(path, o)
	}
	t.finish(o)
}

// checkPolicies runs the policy state machine from the anchor's child down to the leaf.
// The anchor's own policies are not looked at.
func (t *task) checkPolicies(path []*node, o *outcome) {
	n := len(path) - 1
	if t.withoutPolicies(path[:n]) {
		return
	}
	s := newPolicyState(&t.policies, n, &t.comparisons)
	if n == 0 {
		o.policies = s.userSet()
		return
	}
	for i := n - 1; i >= 0; i-- {
		c := path[i]
		code, detail := s.certificate(c, i == 0)
		if code == "" && i > 0 {
			code, detail = s.issuer(c)
		}
		if code != "" {
			o.notes.fault(c, code, detail)
			return
		}
	}
	set, code, detail := s.finish(path[0])
	if code != "" {
		at := s.last
		if at == nil {
			at = path[0]
		}
		o.notes.fault(at, code, detail)
		return
	}
	o.policies = set
}

// withoutPolicies reports whether the outcome of policy processing is plain to see: some
// certificate has no policies, so none are left, and nothing asks for one.
func (t *task) withoutPolicies(certs []*node) bool {
	none := false
	for _, c := range certs {
		if c.RequireExplicit >= 0 || c.Has(pkix.ExtMappings) {
			return false
		}
		none = none || !c.Has(pkix.ExtPolicies)
	}
	return none && !t.policies.explicit
}

// checkInherited checks the signatures made with DSA keys that take their parameters from
// above, which is known only now (RFC 5280, Section 6.1.4 (e) and (f)).
func (t *task) checkInherited(path []*node, o *outcome) {
	var working []byte
	for i := len(path) - 1; i > 0; i-- {
		n, child := path[i], path[i-1]
		params, ok := sigalg.DSAParameters(n.SPKI)
		if !ok || len(params) > 0 {
			working = params
			continue
		}
		key := newPublicKey(sigalg.InheritDSA(n.SPKI, working))
		if key.inherits {
			o.notes.fault(n, "sig.unsupported", "its key has no parameters and inherits none")
			return
		}
		if !t.purse.spend(key.cost) {
			o.notes.fault(nil, "path.budget", "too many signatures to check")
			return
		}
		err := key.verify(child.Algorithm, child.RawTBS, child.Signature)
		code, detail := signatureCode(err, n)
		o.notes.fault(child, code, detail)
	}
}
