package chain_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/postseal/postseal/chain"
)

// The name constraints of RFC 5280, Section 4.2.1.10, form by form; X1 to X5 and X18 of
// the defects of crypto/x509. Attack row G02: names that look as if they were inside.
func TestRulesOfNameConstraints(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	type names = []asn1.RawValue
	var rules []rule
	add := func(name, want string, critical bool, permitted, excluded names, edits ...func(*x509.Certificate)) {
		t.Helper()
		sub := issue(t, root, "Issuing", ca, constraints(t, critical, permitted, excluded))
		leaf := issue(t, sub, "alice", append([]func(*x509.Certificate){mail}, edits...)...)
		rules = append(rules, rule{name: name, want: want, leaf: leaf, others: []*entity{sub}, q: chain.Request{Purpose: chain.EmailSigning}})
	}
	has := func(n ...asn1.RawValue) func(*x509.Certificate) { return san(t, false, n...) }
	one := func(n asn1.RawValue) names { return names{n} }
	org := func(o string) pkix.Name { return pkix.Name{Organization: []string{o}} }
	subject := func(n pkix.Name) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = n }
	}
	in := pkix.Name{Organization: []string{"Example"}, CommonName: "alice"}
	for _, critical := range []bool{true, false} {
		c := map[bool]string{true: ", critical", false: ", not critical"}[critical]
		add("mail: host, same host"+c, "valid", critical, one(rfc822("example.com")), nil, has(rfc822("a@example.com")))
		add("mail: host, subdomain"+c+" (X1)", "nc.not_permitted", critical, one(rfc822("example.com")), nil, has(rfc822("a@sub.example.com")))
		add("directoryName: inside"+c+" (X4)", "valid", critical, one(dirName(t, org("EXAMPLE"))), nil, subject(in))
		add("directoryName: outside"+c+" (X4)", "nc.not_permitted", critical, one(dirName(t, org("Other"))), nil, subject(in))
	}
	add("mail: domain, subdomain", "valid", true, one(rfc822(".example.com")), nil, has(rfc822("a@sub.example.com")))
	add("mail: domain, the host itself", "nc.not_permitted", true, one(rfc822(".example.com")), nil, has(rfc822("a@example.com")))
	add("mail: excluded host", "nc.excluded", true, nil, one(rfc822("example.com")), has(rfc822("a@example.com")))
	add("mail: excluded host, subdomain (X1)", "valid", true, nil, one(rfc822("example.com")), has(rfc822("a@sub.example.com")))
	add("mail: mailbox", "valid", true, one(rfc822("alice@example.com")), nil, has(rfc822("alice@EXAMPLE.com")))
	add("mail: mailbox, local part in other case", "nc.not_permitted", true, one(rfc822("alice@example.com")), nil, has(rfc822("Alice@example.com")))
	add("mail: mailbox in quotes is the same", "nc.excluded", true, nil, one(rfc822("alice@example.com")), has(rfc822(`"alice"@example.com`)))
	add("mail: two mailboxes of one local part, first (X18)", "valid", true, names{rfc822("a@example.com"), rfc822("a@example.org")}, nil, has(rfc822("a@example.com")))
	add("mail: two mailboxes of one local part, second (X18)", "valid", true, names{rfc822("a@example.com"), rfc822("a@example.org")}, nil, has(rfc822("a@example.org")))
	add("mail: two mailboxes of one local part, neither (X18)", "nc.not_permitted", true, names{rfc822("a@example.com"), rfc822("a@example.org")}, nil, has(rfc822("a@example.net")))
	add("mail: one name inside and one outside", "nc.not_permitted", true, one(rfc822("example.com")), nil, has(rfc822("a@example.com"), rfc822("a@example.org")))
	add("mail: malformed constraint", "nc.malformed", true, one(rfc822("@example.com")), nil, has(rfc822("a@example.com")))
	add("mail: constraint with two @", "nc.malformed", true, one(rfc822("a@b@example.com")), nil, has(rfc822("a@example.com")))
	add("mail: malformed name", "nc.malformed", true, one(rfc822("example.com")), nil, has(rfc822("a@example.com.")))
	add("mail: quoted @ in the name", "nc.not_permitted", true, one(rfc822("evil.example")), nil, has(rfc822(`"x@evil.example"@bank.example`)))
	add("mail: nothing excluded but mail", "valid", true, nil, one(rfc822("")), has(dns("example.com")))
	add("mail: all excluded", "nc.excluded", true, nil, one(rfc822("")), has(rfc822("a@example.com")))
	add("SmtpUTF8Mailbox: inside (X2)", "valid", true, one(rfc822("example.com")), nil, has(utf8Mailbox(t, "δ@example.com")))
	add("SmtpUTF8Mailbox: outside (X2)", "nc.not_permitted", true, one(rfc822("example.com")), nil, has(utf8Mailbox(t, "δ@example.org")))
	add("SmtpUTF8Mailbox: excluded (X2)", "nc.excluded", true, nil, one(rfc822("example.com")), has(utf8Mailbox(t, "δ@example.com")))
	add("SmtpUTF8Mailbox: A-label and U-label", "valid", true, one(rfc822("xn--bcher-kva.example")), nil, has(utf8Mailbox(t, "δ@bücher.example")))
	// Whoever matches the address and whoever constrains it must read the same one.
	more := utf8Mailbox(t, "alice@bank.example")
	more.Bytes = append(more.Bytes, 5, 0)
	for _, m := range []struct {
		name, want string
		mailbox    asn1.RawValue
	}{{"", "valid", utf8Mailbox(t, "alice@example.com")}, {" with something after it", "address.absent", more}} {
		sub := issue(t, root, "Issuing", ca, constraints(t, true, one(rfc822("example.com")), nil))
		q := chain.Request{Purpose: chain.EmailSigning, Address: "alice@example.com"}
		if m.want != "valid" {
			q.Address = "alice@bank.example"
		}
		rules = append(rules, rule{name: "SmtpUTF8Mailbox" + m.name + ": asked for", want: m.want, leaf: issue(t, sub, "alice", mail, has(m.mailbox)), others: []*entity{sub}, q: q})
	}
	add("subject: address inside, no subjectAltName (X3)", "valid", true, one(rfc822("example.com")), nil, inSubject("a@example.com"))
	add("subject: address outside, no subjectAltName (X3)", "nc.not_permitted", true, one(rfc822("example.com")), nil, inSubject("a@example.org"))
	add("subject: address outside beside one inside (X3)", "nc.not_permitted", true, one(rfc822("example.com")), nil, inSubject("a@example.org"), has(rfc822("a@example.com")))
	add("mail constraints leave other forms alone (X5)", "valid", true, one(rfc822("example.com")), nil, has(rfc822("a@example.com"), uri("urn:a:b"), dns("other.example"), ip(10, 0, 0, 1)))
	add("other forms' constraints leave mail alone", "valid", true, names{dns(".bad.example"), uri("example.org"), ip(10, 0, 0, 0, 255, 0, 0, 0)}, nil, has(rfc822("a@example.com")))
	add("directoryName: excluded", "nc.excluded", true, nil, one(dirName(t, org("example"))), subject(in))
	add("directoryName: only the beginning of a value", "nc.not_permitted", true, one(dirName(t, org("Exam"))), nil, subject(in))
	add("directoryName: in subjectAltName", "nc.excluded", true, nil, one(dirName(t, org("Bad"))), has(dirName(t, org("bad"))))
	add("DNS: subdomain", "valid", true, one(dns("example.com")), nil, has(dns("a.b.example.com")))
	add("DNS: outside", "nc.not_permitted", true, one(dns("example.com")), nil, has(dns("badexample.com")))
	add("DNS: wildcard that may be an excluded host (X18)", "nc.excluded", true, nil, one(dns("bad.example.com")), has(dns("*.example.com")))
	add("DNS: wildcard beside an excluded host", "valid", true, nil, one(dns("bad.example.org")), has(dns("*.example.com")))
	add("DNS: leading period", "nc.malformed", true, one(dns(".example.com")), nil, has(dns("a.example.com")))
	add("URI: host", "valid", true, one(uri("example.com")), nil, has(uri("https://user@example.com:8443/path")))
	add("URI: subdomain of a host (X5)", "nc.not_permitted", true, one(uri("example.com")), nil, has(uri("https://a.example.com/")))
	add("URI: excluded host, subdomain (X5)", "valid", true, nil, one(uri("example.com")), has(uri("https://a.example.com/")))
	add("URI: domain", "valid", true, one(uri(".example.com")), nil, has(uri("https://a.example.com/")))
	add("URI: domain, the host itself", "nc.not_permitted", true, one(uri(".example.com")), nil, has(uri("https://example.com/")))
	add("URI: without host under URI constraints", "nc.malformed", true, one(uri("example.com")), nil, has(uri("urn:a:b")))
	add("URI: address for host under URI constraints", "nc.malformed", true, nil, one(uri("example.com")), has(uri("https://192.0.2.1/")))
	add("address: inside", "valid", true, one(ip(10, 0, 0, 0, 255, 0, 0, 0)), nil, has(ip(10, 1, 2, 3)))
	add("address: outside", "nc.not_permitted", true, one(ip(10, 0, 0, 0, 255, 0, 0, 0)), nil, has(ip(11, 1, 2, 3)))
	add("address: mask with holes", "nc.malformed", true, one(ip(10, 0, 0, 0, 255, 0, 255, 0)), nil, has(ip(10, 1, 2, 3)))
	add("otherName: constrained and present", "nc.unsupported", true, nil, one(otherName(t, asn1.ObjectIdentifier{1, 2, 3}, "x")), has(otherName(t, asn1.ObjectIdentifier{1, 2, 4}, "y")))
	add("otherName: constrained and absent", "valid", true, nil, one(otherName(t, asn1.ObjectIdentifier{1, 2, 3}, "x")), has(rfc822("a@example.com")))

	malformed := func(name string, value []byte) {
		sub := issue(t, root, "Issuing", ca, extension(asn1.ObjectIdentifier{2, 5, 29, 30}, true, value))
		rules = append(rules, rule{name: name, want: "nc.malformed", leaf: issue(t, sub, "alice", mail), others: []*entity{sub}})
	}
	malformed("extension: empty", []byte{0x30, 0})
	malformed("extension: list of subtrees empty", []byte{0x30, 2, 0xa0, 0})
	malformed("extension: minimum is used", append([]byte{0x30, 20, 0xa0, 18, 0x30, 16, 0x81, 11}, append([]byte("example.com"), 0x80, 1, 1)...))
	rules = append(rules, rule{name: "extension: in an end entity", want: "nc.malformed", leaf: issue(t, root, "alice", mail, constraints(t, false, one(rfc822("example.com")), nil))})

	// Constraints of every CA count, and self-issued certificates are exempt unless last.
	outer := issue(t, root, "Outer", ca, constraints(t, true, one(rfc822("example.com")), nil))
	inner := issue(t, outer, "Inner", ca, constraints(t, true, one(rfc822(".example.com")), nil))
	rules = append(rules, rule{name: "nested: outside the outer", want: "nc.not_permitted", leaf: issue(t, inner, "alice", mail, has(rfc822("a@sub.example.com"))), others: []*entity{outer, inner}})
	dirs := issue(t, root, "Dirs", ca, constraints(t, true, one(dirName(t, org("Example"))), nil))
	again := issueWith(t, newKey(t), dirs, "Dirs", ca)
	rules = append(rules,
		rule{name: "self-issued: exempt (X7)", want: "valid", leaf: issue(t, again, "x", mail, subject(in)), others: []*entity{dirs, again}},
		rule{name: "self-issued: not exempt as the last", want: "nc.not_permitted", leaf: issueWith(t, newKey(t), dirs, "Dirs", mail), others: []*entity{dirs}},
	)
	runRules(t, root, rules)
}

// Comparing many names with many constraints is given up, not finished (limbo nc-dos).
func TestNameConstraintWork(t *testing.T) {
	var permitted, sans []asn1.RawValue
	for i := range 1200 {
		permitted = append(permitted, rfc822(string(rune('a'+i%26))+".example"))
		sans = append(sans, rfc822("x@"+string(rune('a'+i%26))+".example"))
	}
	root := issue(t, nil, "Root", ca, constraints(t, true, permitted, nil))
	r := explain(t, root, issue(t, root, "alice", mail, san(t, false, sans...)), chain.Request{})
	expect(t, r, "path.budget")
	if r.Verdict != "indeterminate" {
		t.Errorf("verdict %s", r.Verdict)
	}
}
