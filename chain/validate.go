package chain

// complete judges a path that reached an anchor: what is left of RFC 5280, Section 6.1
// once every certificate and every link has been looked at on the way up.
func (t *task) complete(s *step) {
	o := &outcome{top: s, complete: true, notes: s.collect()}
	path := s.path()
	if o.notes.worst() < fault {
		t.checkPolicies(path, o)
	}
	if o.notes.worst() < fault {
		t.revocation(path, o)
	}
	t.finish(o)
}

// checkPolicies runs the policy state machine from the anchor's child down to the leaf.
// The anchor's own policies are not looked at.
func (t *task) checkPolicies(path []*node, o *outcome) {
	n := len(path) - 1
	s := newPolicyState(&t.policies, n)
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
