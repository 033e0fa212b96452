package chain

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// A crl is a parsed list with its digest.
type crl struct {
	*pkix.CRL
	sum    [32]byte
	origin string // "supplied", or the address it was fetched from
	jobs   []*job // what brought it, until the Fetcher is told that it is verified
}

// maxCRLs bounds the lists one question looks at.
const maxCRLs = 1024

// addCRL parses a list. Parsing and indexing a large one is remembered.
func (t *task) addCRL(der []byte, origin string) *crl {
	e := t.evidence
	sum := sha256.Sum256(der)
	for _, c := range e.crls {
		if c.sum == sum {
			return c
		}
	}
	parsed, err := t.v.crls.get(sum, der)
	switch {
	case err != nil:
		t.early.add(warning, nil, "parse.ignored", "a CRL cannot be read: "+err.Error())
		return nil
	case len(e.crls) == maxCRLs:
		t.early.add(warning, nil, "parse.ignored", "there are more CRLs than are looked at")
		return nil
	}
	c := &crl{CRL: parsed, sum: sum, origin: origin}
	e.crls = append(e.crls, c)
	// The newest first, whatever the order of arrival.
	slices.SortFunc(e.crls, func(a, b *crl) int {
		return cmp.Or(cmp.Compare(b.ThisUpdate, a.ThisUpdate), bytes.Compare(a.sum[:], b.sum[:]))
	})
	return c
}

// ended reports whether what was issued at a time can be silent about the revocation of c
// because c, which is judged for a time before its end, had expired by then (RFC 5280,
// Section 3.3; RFC 6960, Section 4.4.4).
func (t *task) ended(c *node, issued int64, keeps bool, since int64) bool {
	return t.now <= c.NotAfter && issued > c.NotAfter && !(keeps && since <= c.NotAfter)
}

// over reports whether c, which is judged for a time before its end, has ended since, so that
// nobody need answer for it at present.
func (t *task) over(c *node) bool { return t.now <= c.NotAfter && c.NotAfter < t.present }

// dated reports whether what was issued at a time, and may not be current any more, is too
// old to say that c is good: whoever sends it along picked it, and c may have been revoked
// between then and the time in question.
func (t *task) dated(c *node, issued int64, current bool) bool {
	return t.over(c) && !current && issued < t.now
}

const allReasons = 0x1fe // the eight of ReasonFlags; bit 0 is unused

// manyPoints is from where on every distribution point of one certificate costs work for each
// list; real certificates have two or three.
const manyPoints = 16

// askCRLs runs RFC 5280, Section 6.3.3 over every list for path[i].
func (t *task) askCRLs(s *status, path []*node, i int) {
	if len(t.evidence.crls) == 0 {
		return
	}
	c := path[i]
	mask := uint16(0) // reasons covered by lists that do not have c
	var source string
	points := slices.Collect(pkix.Points(c.DistributionPoints))
	// Lists of the issuer that no distribution point names count too (Section 6.3.3, end).
	points = append(points, pkix.Point{})
	for p := range points {
		if p >= manyPoints && !t.purse.spend(len(t.evidence.crls)) {
			break
		}
		for _, list := range t.evidence.crls {
			if list.BaseNumber != nil {
				continue
			}
			reasons, ok := t.scope(s, list, c, &points[p])
			if !ok || !t.usableCRL(s, list, path, i) {
				continue
			}
			st, revoked, by := t.lookup(s, list, path, i)
			switch {
			case st == stateHold && reasons&^mask == 0:
				// A newer list of the same scope has lifted the hold.
			case st != stateGood:
				t.take(s, st, revoked, by)
			case t.dated(c, list.ThisUpdate, list.HasNextUpdate && t.present <= list.NextUpdate):
				s.because("crl.stale", by+" is older than the time in question")
			case t.ended(c, list.ThisUpdate, list.KeepsExpired, list.KeptSince):
				s.because("crl.after_expiry", by+" is younger than the end of the certificate, and need not name it")
			case reasons&^mask != 0:
				mask |= reasons
				source = by
			}
		}
	}
	switch {
	case s.state >= stateHold:
	case mask == allReasons:
		t.take(s, stateGood, nil, source)
	case mask != 0:
		s.because("crl.partial_reasons", "the CRLs at hand cover only some reasons of revocation")
	}
	for _, list := range t.evidence.crls {
		if list.BaseNumber != nil && mask == 0 && list.Issuer == c.Issuer && s.state == stateUnknown {
			s.because("crl.delta", "there is a delta CRL without its base")
		}
	}
}

// scope decides whether a list covers c by a distribution point (RFC 5280, Section 6.3.3
// (b) and (d)) and for which reasons.
func (t *task) scope(s *status, list *crl, c *node, p *pkix.Point) (reasons uint16, ok bool) {
	issuer := c.Issuer
	if p.HasIssuer {
		named := false
		for form, v := range p.CRLIssuer {
			if name, ok := pkix.Canonical(v); ok && form == pkix.DirectoryName && name == list.Issuer {
				named = true
			}
		}
		if !named || list.Scope == nil || !list.Scope.Indirect {
			return 0, false
		}
		issuer = list.Issuer
	} else if list.Issuer != c.Issuer {
		return 0, false
	}
	reasons = allReasons
	if p.HasReasons {
		reasons &= p.Reasons
	}
	idp := list.Scope
	if idp == nil {
		return reasons, reasons != 0
	}
	if idp.Named && !samePoint(idp, list.Issuer, p, issuer, c) ||
		idp.OnlyUser && c.IsCA || idp.OnlyCA && !c.IsCA || idp.Attributes {
		s.because("crl.scope", "a CRL of "+nameText(list.RawIssuer)+" does not cover it")
		return 0, false
	}
	if idp.HasReasons {
		reasons &= idp.Reasons
	}
	if reasons == 0 {
		s.because("crl.partial_reasons", "a CRL of "+nameText(list.RawIssuer)+" covers no reason of revocation")
	}
	return reasons, reasons != 0
}

// samePoint reports whether the names of two distribution points have one in common
// (RFC 5280, Section 6.3.3 (b) (2) (i)). Relative names are completed first.
func samePoint(idp *pkix.IssuingPoint, crlIssuer string, p *pkix.Point, pointIssuer string, c *node) bool {
	type name struct {
		form  pkix.NameForm
		value string
	}
	collect := func(full func(func(pkix.NameForm, []byte) bool), relative []byte, base string) (list []name) {
		if relative != nil {
			if rdn, ok := pkix.CanonicalRDN(relative); ok {
				list = append(list, name{pkix.DirectoryName, base + rdn})
			}
			return list
		}
		for form, v := range full {
			value := string(v)
			switch {
			case form == pkix.DirectoryName:
				value, _ = pkix.Canonical(v)
			case form == pkix.URI && len(list) < manyPoints: // a list that nobody has verified may have a million
				value = plainURI(value)
			}
			list = append(list, name{form, value})
		}
		return list
	}
	theirs := collect(idp.FullName, idp.Relative, crlIssuer)
	var ours []name
	switch {
	case p.Named:
		ours = collect(p.FullName, p.Relative, pointIssuer)
	case p.HasIssuer:
		ours = collect(p.CRLIssuer, nil, "")
	default:
		// A distribution point without a name stands for the issuer itself.
		ours = []name{{pkix.DirectoryName, c.Issuer}}
	}
	return slices.ContainsFunc(ours, func(n name) bool { return slices.Contains(theirs, n) })
}

// plainURI returns a URI in the form in which RFC 5280, Section 7.4 compares it: scheme and
// host in lower case, no escape that need not be one, no dot segments, nothing spelled out
// that the scheme has anyway.
func plainURI(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, err := byte(0), error(strconv.ErrSyntax)
		if s[i] == '%' && i+2 < len(s) {
			var x uint64
			x, err = strconv.ParseUint(s[i+1:i+3], 16, 8)
			c = byte(x)
		}
		switch {
		case err != nil:
			b.WriteByte(s[i])
			continue
		case strings.IndexByte(unreserved, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	u, err := url.Parse(b.String())
	if err != nil || u.Host == "" {
		return s
	}
	u = new(url.URL).ResolveReference(u) // without dot segments
	port := map[string]string{"ldap": ":389", "http": ":80", "https": ":443", "ftp": ":21"}[u.Scheme]
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), port)
	if port != "" && u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// usableCRL checks form, time and signature of a list that is in scope.
func (t *task) usableCRL(s *status, list *crl, path []*node, i int) bool {
	name := "the CRL of " + nameText(list.RawIssuer)
	switch {
	case list.UnknownCritical != nil:
		s.because("crl.unknown_critical", name+" has the unknown critical extension "+oidText(list.UnknownCritical))
	case !bytes.Equal(list.InnerAlgorithm, list.Algorithm):
		s.because("crl.malformed", name+" has two signature algorithms")
	case t.purpose.web() && list.Version == 2 && (list.Number == nil || list.NumberCritical):
		s.because("crl.malformed", name+" has no CRL number, or a critical one")
	case t.ahead(list.ThisUpdate, list.origin):
		s.because("crl.not_yet_valid", name+" is issued only on "+day(list.ThisUpdate))
	case list.HasNextUpdate && t.present > list.NextUpdate && !t.over(path[i]):
		s.because("crl.stale", name+" ended on "+day(list.NextUpdate))
	default:
		return t.signedCRL(s, list, path, i)
	}
	return false
}

// lookup looks c up in a base list and the newest delta that fits it (RFC 5280, Section
// 5.2.4 and 6.3.3 (c), (i) to (k)).
func (t *task) lookup(s *status, base *crl, path []*node, i int) (state, *pkix.Revoked, string) {
	c := path[i]
	source := "the CRL of " + nameText(base.RawIssuer) + t.fromTo(base.ThisUpdate, base.NextUpdate, base.HasNextUpdate)
	if base.origin != "supplied" {
		source += ", from " + printable(base.origin)
	}
	found, ok := base.Lookup(c.Serial, c.Issuer)
	if delta := t.delta(s, base, path, i); delta != nil {
		later, in := delta.Lookup(c.Serial, c.Issuer)
		// That its end took it off the list says nothing (RFC 5280, Section 5.3.1).
		if in && !(later.Reason == pkix.RemoveFromCRL && t.ended(c, delta.ThisUpdate, delta.KeepsExpired, delta.KeptSince)) {
			found, ok = later, later.Reason != pkix.RemoveFromCRL
			source += " with the delta of " + day(delta.ThisUpdate)
		}
	}
	switch {
	case !ok:
		return stateGood, nil, source
	case found.Reason == pkix.CertificateHold:
		return stateHold, found, source
	case found.Reason == pkix.RemoveFromCRL:
		return stateGood, nil, source
	}
	return stateRevoked, found, source
}

// delta returns the newest usable delta of a base list.
func (t *task) delta(s *status, base *crl, path []*node, i int) *crl {
	if base.Number == nil {
		return nil
	}
	for _, d := range t.evidence.crls {
		if d.BaseNumber == nil || d.Number == nil || d.Issuer != base.Issuer || !bytes.Equal(d.RawScope, base.RawScope) || !bytes.Equal(d.AKI, base.AKI) {
			continue
		}
		if compareNumbers(d.BaseNumber, base.Number) > 0 || compareNumbers(base.Number, d.Number) >= 0 {
			continue
		}
		if t.usableCRL(s, d, path, i) {
			return d
		}
	}
	return nil
}

// compareNumbers compares the contents of two non-negative INTEGERs.
func compareNumbers(a, b []byte) int {
	a, b = pkix.TrimSerial(a), pkix.TrimSerial(b)
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

// signedCRL finds who signed a list: the issuer of path[i], or another certificate of the
// name in the list that leads to the same anchor (RFC 5280, Section 6.3.3 (f) and (g)).
func (t *task) signedCRL(s *status, list *crl, path []*node, i int) bool {
	name := "the CRL of " + nameText(list.RawIssuer)
	if code, detail := t.algorithms.signature(list.Algorithm); code != "" && code != "alg.legacy" {
		s.because(code, name+": "+detail)
		return false
	}
	anchor := path[len(path)-1]
	at := t.present
	if t.over(path[i]) {
		at = t.now // nobody need sign a list about it at present
	}
	failed := "crl.signature"
	for _, c := range t.crlSigners(list, path, i) {
		if code, _ := t.algorithms.size(c.rsaBits); code != "" || !t.signs(c, path, list.sum, list.Algorithm, list.RawTBS, list.Signature) {
			continue
		}
		if c.Has(pkix.ExtKeyUsage) && c.KeyUsage&x509.KeyUsageCRLSign == 0 {
			failed = "crl.key_usage"
			continue
		}
		if slices.Contains(path[i+1:], c) || t.leads(c, anchor, at) {
			if !t.evidence.pending[c] { // it may yet turn out to be revoked
				t.verified(&list.jobs)
			}
			return true
		}
		failed = "crl.issuer_path"
	}
	detail := map[string]string{
		"crl.signature":   " has a signature that does not verify",
		"crl.key_usage":   " is signed by a certificate that may not sign CRLs",
		"crl.issuer_path": " is signed by a certificate without a path to the same anchor",
	}
	s.because(failed, name+detail[failed])
	return false
}

// crlSigners lists the certificates whose subject is the issuer of a list: those of the
// path first, then all that are at hand.
func (t *task) crlSigners(list *crl, path []*node, i int) []*node {
	var out []*node
	for _, c := range path[i+1:] {
		if c.Subject == list.Issuer {
			out = append(out, c)
		}
	}
	for _, set := range [][]*node{t.ix.bySubject[list.Issuer], t.bag[list.Issuer]} {
		for _, c := range set {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	if t.leaf.Subject == list.Issuer && !slices.Contains(out, t.leaf) {
		out = append(out, t.leaf)
	}
	return out
}

// signs checks a signature by c over a list or response, and remembers the answer. A key
// that takes its parameters from above takes them from path alone: those of another
// certificate of the same name are whatever its maker wanted.
func (t *task) signs(c *node, path []*node, sum [32]byte, algID, message, sig []byte) bool {
	key := c.publicKey()
	if key.inherits {
		params := inheritedParams(c, path)
		if params == nil {
			return false
		}
		key = newPublicKey(sigalg.InheritDSA(c.SPKI, params))
	}
	e := edge{sum, key.sum}
	if !t.purse.pay(e, key.cost) {
		return false
	}
	err, known := t.v.edges.get(e)
	if !known {
		err = key.verify(algID, message, sig)
		t.v.edges.put(e, err)
	}
	return err == nil
}

// inheritedParams finds the DSA parameters that c takes from above it in path; nil if it is
// not in path.
func inheritedParams(c *node, path []*node) []byte {
	i := slices.Index(path, c)
	if i < 0 {
		return nil
	}
	for _, up := range path[i+1:] {
		if params, ok := sigalg.DSAParameters(up.SPKI); !ok || len(params) > 0 {
			return params
		}
	}
	return nil
}

type signerKey struct {
	signer, anchor *node
	at             int64
}

// verdictOf remembers whether a CRL signer has a path to an anchor.
type verdictOf struct{ ok, gaveUp bool }

// leads reports whether a CRL signer has a valid path of its own to the same anchor at the
// time of the list, which need not be that of the certificate in question. Its own revocation
// is part of the question.
func (t *task) leads(signer, anchor *node, at int64) bool {
	key := signerKey{signer, anchor, at}
	if v := t.evidence.signers[key]; v != nil {
		return t.led(v)
	}
	if signer == anchor {
		return true
	}
	if t.evidence.pending[signer] {
		// A list may tell the status of its own signer: the issuer has put that in its
		// hands (PKITS 4.14.30). Everything else about the signer is being checked.
		return true
	}
	sub := &task{
		v: t.v, ctx: t.ctx, req: &Request{Revocation: t.rev()}, ix: t.ix, bag: t.bag, purpose: crlSigning, algorithms: t.algorithms,
		now: at, present: t.present, maxDepth: -1, leaf: signer, only: anchor, evidence: t.evidence, purse: t.purse,
	}
	sub.run()
	v := &verdictOf{ok: sub.best != nil && sub.best.complete && sub.best.worst() < unknown}
	v.gaveUp = !v.ok && (sub.gaveUp != "" || sub.best != nil && slices.ContainsFunc(sub.best.notes, func(n note) bool { return n.code == "path.budget" }))
	t.evidence.signers[key] = v
	return t.led(v)
}

// led returns a verdict, and sees to it that one for lack of work is known for that.
func (t *task) led(v *verdictOf) bool {
	if v.gaveUp {
		t.purse.refused++
	}
	return v.ok
}
