package chain

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
)

// A level says what a note does to the verdict.
type level uint8

const (
	info    level = iota
	warning       // seen, without effect
	unknown       // the answer hangs on it: indeterminate
	fault         // invalid
)

// A note is a finding while the search is on.
type note struct {
	code, detail string
	at           *node // nil: about the request as a whole
	level        level
}

// notes collects what is wrong. Nothing is allocated while nothing is.
type notes []note

func (l *notes) fault(at *node, code, detail string) {
	if code != "" {
		lv := fault
		if code == "path.budget" {
			lv = unknown
		}
		*l = append(*l, note{code, detail, at, lv})
	}
}

func (l *notes) add(lv level, at *node, code, detail string) {
	*l = append(*l, note{code, detail, at, lv})
}

func (l notes) worst() (w level) {
	for i := range l {
		w = max(w, l[i].level)
	}
	return w
}

// A role is the place of a certificate in a path.
type role uint8

const (
	leafRole role = iota
	issuerRole
	anchorRole // an issuer listed as an anchor
)

// judge checks what does not depend on the rest of the path: RFC 5280, Sections 6.1.3
// (a) (2) and 6.1.4 (k), (n) and (o), and the policy on algorithms.
func (t *task) judge(n *node, r role) (list notes) {
	t.judgeForm(n, r, &list)
	ageless := r == anchorRole && t.v.AllowExpiredAnchors
	if !ageless {
		t.within(n.NotBefore, n.NotAfter)
	}
	switch {
	case ageless:
	case t.now < n.NotBefore:
		list.fault(n, "time.not_yet_valid", "it is valid only from "+day(n.NotBefore))
	case t.now > n.NotAfter:
		list.fault(n, "time.expired", "it expired on "+day(n.NotAfter))
	}
	trusted := r == anchorRole || r == leafRole && t.leafIsAnchor
	if !trusted {
		switch code, detail := t.algorithms.signature(n.Algorithm); code {
		case "":
		case "alg.legacy":
			list.add(warning, n, code, detail)
		default:
			list.fault(n, code, detail)
		}
	}
	code, detail := t.algorithms.size(n.rsaBits)
	list.fault(n, code, detail)
	if r != leafRole {
		if key := n.publicKey(); key.err != nil && code == "" {
			list.fault(n, "sig.unsupported", "its key cannot be used: "+key.err.Error())
		}
		t.judgeIssuer(n, r, &list)
	}
	return list
}

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05Z") }

// must are the extensions whose malformation is fatal for every purpose; the others only
// help to find things.
const must = pkix.ExtBasicConstraints | pkix.ExtKeyUsage | pkix.ExtSAN | pkix.ExtNameConstraints |
	pkix.ExtPolicies | pkix.ExtMappings | pkix.ExtPolicyConstraints | pkix.ExtInhibitAny

// judgeForm checks how the certificate is made.
func (t *task) judgeForm(n *node, r role, list *notes) {
	if n.UnknownCritical != nil {
		list.fault(n, "ext.unknown_critical", "the critical extension "+oidText(n.UnknownCritical)+" is not known")
	}
	if n.Twice != 0 {
		list.fault(n, "ext.duplicate", "it has the extension "+lowest(n.Twice).Name()+" twice")
	}
	if n.UnknownTwice != nil {
		list.fault(n, "ext.duplicate", "it has the extension "+oidText(n.UnknownTwice)+" twice")
	}
	if n.Bad != 0 {
		t.judgeBad(n, r, list)
	}
	if !bytes.Equal(n.InnerAlgorithm, n.Algorithm) {
		list.fault(n, "cert.sigalg_mismatch", "its two signature algorithm fields differ")
	}
	if n.Issuer == "" {
		list.fault(n, "name.empty_issuer", "its issuer field is empty")
	}
	if s := n.Serial; len(s) > 20 || s[0]&0x80 != 0 || len(s) == 1 && s[0] == 0 {
		const detail = "its serial number is zero, negative or longer than 20 octets"
		if t.purpose.web() && r != anchorRole {
			list.fault(n, "cert.serial", detail)
		} else {
			list.add(warning, n, "cert.serial", detail)
		}
	}
	if n.Version != 3 && n.Present != 0 {
		list.add(warning, n, "cert.version", fmt.Sprintf("it is of version %d and has extensions", n.Version))
	}
	if !n.IsCA && n.Has(pkix.ExtNameConstraints) {
		list.fault(n, "nc.malformed", "it has name constraints and is no CA")
	}
	t.judgeDuties(n, r, list)
}

func (t *task) judgeBad(n *node, r role, list *notes) {
	name := lowest(n.Bad).Name()
	switch {
	case n.Bad&pkix.ExtExtKeyUsage != 0 && t.purpose.eku() != "":
		// Empty is malformed, not absent: nothing is allowed by it.
		code := "eku.issuer"
		if r == leafRole {
			code = "eku.leaf"
		}
		list.fault(n, code, "its extension extKeyUsage is empty or malformed")
	case n.Bad&(must|pkix.ExtExtKeyUsage) != 0 || n.Bad&n.Critical != 0:
		list.fault(n, "ext.malformed", "its extension "+name+" is malformed")
	default:
		t.duty(list, n, "ext.malformed", "its extension "+name+" is malformed")
	}
}

// duty notes a breach of what RFC 5280 asks of issuers and not of those who rely on
// certificates: refused for TLS, tolerated and told for everything else.
func (t *task) duty(list *notes, n *node, code, detail string) {
	if t.purpose.web() {
		list.fault(n, code, detail)
	} else {
		list.add(warning, n, "parse.tolerated", detail)
	}
}

// judgeDuties checks the duties of conforming CAs (RFC 5280, Sections 4.1 and 4.2).
func (t *task) judgeDuties(n *node, r role, list *notes) {
	const never = pkix.ExtAKI | pkix.ExtSKI | pkix.ExtAIA | pkix.ExtSIA | pkix.ExtFreshest
	if x := n.Critical & never; x != 0 {
		t.duty(list, n, "ext.criticality", "its extension "+lowest(x).Name()+" is critical")
	}
	if n.Has(pkix.ExtPolicyConstraints) && n.Critical&pkix.ExtPolicyConstraints == 0 {
		t.duty(list, n, "ext.criticality", "its extension policyConstraints is not critical")
	}
	if n.Subject == "" && r == leafRole && n.Critical&pkix.ExtSAN == 0 {
		t.duty(list, n, "name.empty_subject", "its subject is empty and its subjectAltName not critical")
	}
	if n.KeyUsage&x509.KeyUsageCertSign != 0 && !n.IsCA && n.Version == 3 {
		t.duty(list, n, "ca.key_usage", "its keyUsage allows keyCertSign and it is no CA")
	}
	if n.IsCA && n.Critical&pkix.ExtBasicConstraints == 0 {
		t.duty(list, n, "ext.criticality", "its extension basicConstraints is not critical")
	}
	if !t.purpose.web() {
		return
	}
	if n.AKI == nil && r != anchorRole && !t.leafIsAnchor && !n.SelfIssued() {
		list.fault(n, "ext.missing", "it has no authorityKeyIdentifier")
	}
	if n.SKI == nil && n.IsCA {
		list.fault(n, "ext.missing", "it has no subjectKeyIdentifier")
	}
	for form, v := range pkix.GeneralNames(n.SAN) {
		if form == pkix.DNSName && !preferredName(string(v)) {
			list.fault(n, "ext.malformed", printable(string(v))+" is not a host name in preferred syntax")
		}
	}
}

// preferredName checks RFC 5280, Section 4.2.1.6: a dNSName has the preferred name
// syntax, with a wildcard for its first label at most, and is no address.
func preferredName(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	_, ok := mailbox.Domain(s)
	// RFC 5280, Section 7.2: other scripts stand there as A-labels.
	return ok && !strings.ContainsFunc(s, func(r rune) bool { return r == '_' || r >= utf8.RuneSelf })
}

// judgeIssuer checks what makes a certificate an issuer.
func (t *task) judgeIssuer(n *node, r role, list *notes) {
	switch {
	case n.Version == 3 && !n.IsCA:
		list.fault(n, "ca.not_ca", "it is no CA by its basicConstraints")
	case n.Version != 3 && r != anchorRole:
		list.fault(n, "ca.not_ca", fmt.Sprintf("it is of version %d, which cannot say that it is a CA", n.Version))
	}
	if n.Has(pkix.ExtKeyUsage) && n.KeyUsage&x509.KeyUsageCertSign == 0 {
		list.fault(n, "ca.key_usage", "its keyUsage does not allow keyCertSign")
	}
	if n.Subject == "" {
		list.fault(n, "name.empty_subject", "it is a CA with an empty subject")
	}
	if n.Bad&pkix.ExtExtKeyUsage == 0 && !t.purpose.allowsEKU(&n.Certificate, false) {
		list.fault(n, "eku.issuer", "its extKeyUsage does not allow "+string(t.purpose)+" below it")
	}
}

// judgeLeaf checks purpose and names of the certificate in question.
func (t *task) judgeLeaf(list *notes) {
	n := t.leaf
	if !knownKey(&n.Certificate, n.rsaBits) {
		list.fault(n, "parse.unsupported", "its key is of an unknown type or on an unknown curve")
	}
	code, detail := t.purpose.keyUsage(&n.Certificate)
	list.fault(n, code, detail)
	if t.purpose == EmailEncryption && signingOnly(pkixOID(n.KeyAlgorithm)) {
		list.fault(n, "ku.encrypt", "its key can only sign")
	}
	if n.Bad&pkix.ExtExtKeyUsage == 0 && !t.purpose.allowsEKU(&n.Certificate, true) {
		list.fault(n, "eku.leaf", "its extKeyUsage does not allow "+string(t.purpose))
	}
	if n.IsCA && (t.purpose == EmailSigning || t.purpose == EmailEncryption) {
		list.add(warning, n, "ca.as_leaf", "it is a CA certificate")
	}
	if t.req.Address != "" {
		t.judgeAddress(list)
	}
	if t.req.DNSName != "" && !namesHost(&n.Certificate, t.req.DNSName) {
		list.fault(n, "host.mismatch", "it does not name the host "+printable(t.req.DNSName))
	}
	if t.req.IPAddress != "" && !namesIP(&n.Certificate, t.req.IPAddress) {
		list.fault(n, "host.mismatch", "it does not name the address "+printable(t.req.IPAddress))
	}
}

// judgeAddress is RFC 8550, Section 3.
func (t *task) judgeAddress(list *notes) {
	n := t.leaf
	all := mailbox.OfRaw(n.SAN, n.RawSubject)
	if len(all) == 0 {
		list.fault(n, "address.absent", "it names no mail address")
		return
	}
	best, subject := mailbox.Different, false
	for _, m := range all {
		if got := mailbox.Compare(t.req.Address, m); got > best {
			best, subject = got, m.Subject
		}
	}
	switch best {
	case mailbox.Different:
		names := make([]string, 0, 3)
		for _, m := range all[:min(len(all), 3)] {
			names = append(names, printable(m.Address))
		}
		list.fault(n, "address.mismatch", "it names "+strings.Join(names, ", ")+", not "+printable(t.req.Address))
	case mailbox.Folded:
		list.add(warning, n, "address.case_folded", "the address equals the one asked for only without regard to case")
	}
	if best != mailbox.Different && subject {
		list.add(warning, n, "address.subject_only", "the address stands in the subject, not in subjectAltName")
	}
}

// namesHost is RFC 9525, Section 6.3: a wildcard stands for the whole left-most label.
func namesHost(c *pkix.Certificate, asked string) bool {
	host, ok := mailbox.Domain(strings.TrimSuffix(asked, "."))
	if !ok {
		return false
	}
	for form, v := range pkix.GeneralNames(c.SAN) {
		if form != pkix.DNSName {
			continue
		}
		name, wild := strings.CutPrefix(string(v), "*.")
		domain, ok := mailbox.Domain(name)
		if !ok {
			continue
		}
		if wild {
			label, zone, _ := strings.Cut(host, ".")
			if label != "" && zone == domain && strings.Contains(domain, ".") {
				return true
			}
		} else if domain == host {
			return true
		}
	}
	return false
}

func namesIP(c *pkix.Certificate, asked string) bool {
	a, err := netip.ParseAddr(asked)
	if err != nil {
		return false
	}
	for form, v := range pkix.GeneralNames(c.SAN) {
		if form == pkix.IPAddress && bytes.Equal(v, a.AsSlice()) {
			return true
		}
	}
	return false
}
