package chain

import (
	"bytes"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// nameConstraints is a decoded extension.
//
//	NameConstraints ::= SEQUENCE {
//	     permittedSubtrees [0] GeneralSubtrees OPTIONAL,
//	     excludedSubtrees  [1] GeneralSubtrees OPTIONAL }
//
//	GeneralSubtree ::= SEQUENCE {
//	     base        GeneralName,
//	     minimum [0] BaseDistance DEFAULT 0,
//	     maximum [1] BaseDistance OPTIONAL }
type nameConstraints struct {
	permitted, excluded [pkix.RegisteredID + 1][]subtree
	malformed           string // why the extension as a whole cannot be used, or ""
	none                bool   // the certificate has no such extension
}

// A subtree is one base, prepared for comparing: a canonical Name, an A-label host, a
// mailbox, an address with mask.
type subtree struct {
	text  string // as people read it
	value string // Name, host, octets
	local string // of a mailbox
	kind  subtreeKind
}

type subtreeKind uint8

const (
	exact     subtreeKind = iota // this host, this mailbox domain
	below                        // subdomains only
	oneMember                    // one mailbox
	unusable                     // malformed: nothing can be judged by it
)

// namesBelow returns the constraints that c puts on the names below it.
func (n *node) namesBelow() *nameConstraints {
	if nc := n.constraints.Load(); nc != nil {
		return nc
	}
	nc := parseConstraints(&n.Certificate)
	n.constraints.Store(nc)
	return nc
}

func parseConstraints(c *pkix.Certificate) *nameConstraints {
	nc := new(nameConstraints)
	if !c.Has(pkix.ExtNameConstraints) {
		nc.none = true
		return nc
	}
	whole, seq := cryptobyte.String(c.NameConstraints), cryptobyte.String(nil)
	if !whole.ReadASN1(&seq, asn1.SEQUENCE) || !whole.Empty() {
		nc.malformed = "it is not DER"
		return nc
	}
	if seq.Empty() {
		nc.malformed = "it is empty"
		return nc
	}
	for i, lists := range []*[pkix.RegisteredID + 1][]subtree{&nc.permitted, &nc.excluded} {
		var trees cryptobyte.String
		var has bool
		if !seq.ReadOptionalASN1(&trees, &has, asn1.Tag(i).ContextSpecific().Constructed()) {
			nc.malformed = "it is not DER"
			return nc
		}
		if has && trees.Empty() {
			nc.malformed = "a list of subtrees is empty"
			return nc
		}
		for !trees.Empty() {
			var tree cryptobyte.String
			if !trees.ReadASN1(&tree, asn1.SEQUENCE) || !readSubtree(tree, lists) {
				nc.malformed = "a subtree is not DER"
				return nc
			}
		}
	}
	if !seq.Empty() {
		nc.malformed = "it has trailing fields"
	}
	return nc
}

func readSubtree(tree cryptobyte.String, lists *[pkix.RegisteredID + 1][]subtree) bool {
	var base cryptobyte.String
	var tag asn1.Tag
	rest := tree
	if !rest.ReadAnyASN1Element(&base, &tag) {
		return false
	}
	form, value, ok := pkix.ReadGeneralName(base)
	if !ok {
		return false
	}
	s := newSubtree(form, value)
	// RFC 5280, Section 4.2.1.10: minimum must be zero and maximum absent.
	var distance cryptobyte.String
	var has bool
	if !rest.ReadOptionalASN1(&distance, &has, asn1.Tag(0).ContextSpecific()) {
		return false
	}
	if has && !bytes.Equal(distance, []byte{0}) || !rest.Empty() {
		s.kind = unusable
	}
	lists[form] = append(lists[form], s)
	return true
}

func newSubtree(form pkix.NameForm, v []byte) subtree {
	s := subtree{text: string(v), value: strings.ToLower(string(v))}
	bad := func() subtree { s.kind = unusable; return s }
	switch form {
	case pkix.DirectoryName:
		canonical, ok := pkix.Canonical(v)
		s.text, s.value = pkix.NameString(v), canonical
		if !ok {
			return bad()
		}
	case pkix.RFC822Name:
		switch {
		case s.value == "":
		case strings.Contains(s.value, "@"):
			local, domain, ok := mailbox.Split(s.text)
			if !ok {
				return bad()
			}
			s.local, s.value, s.kind = local, domain, oneMember
		default:
			return hostSubtree(s)
		}
	case pkix.URI:
		if s.value != "" {
			return hostSubtree(s)
		}
	case pkix.DNSName:
		if s.value != "" {
			// A leading period has a meaning for mail and URIs only.
			if s = hostSubtree(s); s.kind == below {
				return bad()
			}
		}
	case pkix.IPAddress:
		s.value, s.text = string(v), ipText(v)
		if len(v) != 8 && len(v) != 32 || !contiguous(v[len(v)/2:]) {
			return bad()
		}
	}
	return s
}

func hostSubtree(s subtree) subtree {
	host, sub := strings.CutPrefix(s.value, ".")
	domain, ok := mailbox.Domain(host)
	if !ok {
		s.kind = unusable
		return s
	}
	if s.value = domain; sub {
		s.kind = below
	}
	return s
}

// contiguous reports whether mask is ones followed by zeros.
func contiguous(mask []byte) bool {
	ended := false
	for _, b := range mask {
		if ended && b != 0 {
			return false
		}
		if b != 0xff {
			ended = true
			if inv := ^b; inv&(inv+1) != 0 {
				return false
			}
		}
	}
	return true
}

// An instance is one name of a certificate, prepared like a subtree.
type instance struct {
	form         pkix.NameForm
	text         string
	value, local string
	wildcard     bool // a DNS name whose first label is *
	bad          bool // cannot be compared with constraints of its form
	unsupported  bool // an otherName that is not a mailbox
}

// instances yields every name of c that constraints can concern: the subject, the
// members of subjectAltName and the mailboxes in the subject, the last always, not only
// where subjectAltName is missing (RFC 5280, Section 4.2.1.10; RFC 9598, Section 6).
func instances(c *pkix.Certificate, yield func(*instance) bool) {
	if c.Subject != "" && !yield(&instance{form: pkix.DirectoryName, text: pkix.NameString(c.RawSubject), value: c.Subject}) {
		return
	}
	for form, v := range pkix.GeneralNames(c.SAN) {
		if !yield(newInstance(form, v)) {
			return
		}
	}
	for _, m := range mailbox.OfRaw(nil, c.RawSubject) {
		if !yield(mailInstance(m.Address)) {
			return
		}
	}
}

func mailInstance(address string) *instance {
	in := &instance{form: pkix.RFC822Name, text: address}
	local, domain, ok := mailbox.Split(address)
	in.local, in.value, in.bad = local, domain, !ok
	return in
}

func newInstance(form pkix.NameForm, v []byte) *instance {
	in := &instance{form: form, text: string(v)}
	var ok bool
	switch form {
	case pkix.RFC822Name:
		return mailInstance(string(v))
	case pkix.OtherName:
		id, value, well := pkix.OtherNameValue(v)
		s, text := cryptobyte.String(value), cryptobyte.String(nil)
		if well && oid.OID(id) == oid.SmtpUTF8Mailbox && s.ReadASN1(&text, asn1.UTF8String) {
			in = mailInstance(string(text))
		}
		in.unsupported = true // a constraint on otherName itself cannot be processed
		if in.form == pkix.OtherName {
			in.text = "an otherName of type " + oid.OID(id).String()
		}
		return in
	case pkix.DNSName:
		host, wild := strings.CutPrefix(in.text, "*.")
		in.wildcard = wild
		in.value, ok = mailbox.Domain(host)
	case pkix.DirectoryName:
		in.text = pkix.NameString(v)
		in.value, ok = pkix.Canonical(v)
	case pkix.URI:
		in.value, ok = uriHost(in.text)
	case pkix.IPAddress:
		in.text, in.value = ipText(v), string(v)
		ok = len(v) == 4 || len(v) == 16
	default:
		in.unsupported = true
		return in
	}
	in.bad = !ok
	return in
}

// uriHost returns the host of a URI with an authority that is a domain name. RFC 5280,
// Section 4.2.1.10 wants every other URI refused once URI constraints exist.
func uriHost(uri string) (string, bool) {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return "", false
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.Contains(rest, "]") {
		rest = rest[:i]
	}
	host, ok := mailbox.Domain(rest)
	if !ok || strings.Trim(host, "0123456789.") == "" {
		return "", false
	}
	return host, true
}

// within reports whether a name lies in a subtree of its form.
func (s *subtree) within(in *instance) bool {
	switch in.form {
	case pkix.DirectoryName:
		return strings.HasPrefix(in.value, s.value)
	case pkix.RFC822Name, pkix.URI:
		switch {
		case s.kind == oneMember:
			return in.value == s.value && in.local == s.local
		case s.kind == below:
			return strings.HasSuffix(in.value, "."+s.value)
		}
		return s.value == "" || in.value == s.value
	case pkix.DNSName:
		return s.value == "" || in.value == s.value || strings.HasSuffix(in.value, "."+s.value)
	case pkix.IPAddress:
		n := len(in.value)
		if len(s.value) != 2*n {
			return false
		}
		for i := range n {
			if mask := s.value[n+i]; in.value[i]&mask != s.value[i]&mask {
				return false
			}
		}
		return true
	}
	return false
}

// touches is within for exclusion: a wildcard is excluded too when it could stand for
// an excluded host.
func (s *subtree) touches(in *instance) bool {
	if s.within(in) {
		return true
	}
	if !in.wildcard {
		return false
	}
	label, zone, ok := strings.Cut(s.value, ".")
	return ok && label != "" && zone == in.value
}

// maxComparisons bounds the work that names and constraints, and policies, of one question may
// ask for.
const maxComparisons = 1 << 20

// check applies the constraints of one CA to one certificate below it (RFC 5280,
// Section 6.1.3 (b) and (c)). It returns a code, or "" if nothing is wrong.
func (nc *nameConstraints) check(c *pkix.Certificate, work *int) (code, detail string) {
	if nc.none {
		return "", ""
	}
	if nc.malformed != "" {
		return "nc.malformed", "the constraints cannot be used: " + nc.malformed
	}
	instances(c, func(in *instance) bool {
		code, detail = nc.checkOne(in, work)
		return code == ""
	})
	return code, detail
}

func (nc *nameConstraints) checkOne(in *instance, work *int) (code, detail string) {
	if in.unsupported && len(nc.permitted[pkix.OtherName])+len(nc.excluded[pkix.OtherName]) > 0 {
		return "nc.unsupported", in.text + " falls under constraints on otherName, which cannot be evaluated"
	}
	permitted, excluded := nc.permitted[in.form], nc.excluded[in.form]
	if len(permitted)+len(excluded) == 0 {
		return "", ""
	}
	if in.unsupported && in.form != pkix.RFC822Name {
		return "nc.unsupported", "a name falls under constraints of a form that cannot be evaluated"
	}
	if in.bad {
		return "nc.malformed", printable(in.text) + " cannot be compared with the constraints on its form"
	}
	if *work += len(permitted) + len(excluded); *work > maxComparisons {
		return "path.budget", "comparing names with constraints takes too much work"
	}
	for i := range excluded {
		if excluded[i].kind == unusable {
			return "nc.malformed", "the constraint " + printable(excluded[i].text) + " is malformed"
		}
		if excluded[i].touches(in) {
			return "nc.excluded", printable(in.text) + " is among the names excluded by " + printable(excluded[i].text)
		}
	}
	if len(permitted) == 0 {
		return "", ""
	}
	inside := false
	for i := range permitted {
		if permitted[i].kind == unusable {
			return "nc.malformed", "the constraint " + printable(permitted[i].text) + " is malformed"
		}
		inside = inside || permitted[i].within(in)
	}
	if !inside {
		return "nc.not_permitted", printable(in.text) + " is outside the permitted names"
	}
	return "", ""
}
