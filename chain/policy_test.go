package chain_test

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// der encodes a value of a test.
func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// arc makes a policy identifier of a test; 0 is anyPolicy.
func arc(n int) asn1.ObjectIdentifier {
	if n == 0 {
		return asn1.ObjectIdentifier{2, 5, 29, 32, 0}
	}
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55738, 1, n}
}

// under adds certificatePolicies.
func under(t testing.TB, policies ...int) func(*x509.Certificate) {
	t.Helper()
	type information struct{ ID asn1.ObjectIdentifier }
	var list []information
	for _, p := range policies {
		list = append(list, information{arc(p)})
	}
	return extension(asn1.ObjectIdentifier{2, 5, 29, 32}, false, der(t, list))
}

// maps adds policyMappings, from and to in turn.
func maps(t testing.TB, pairs ...int) func(*x509.Certificate) {
	t.Helper()
	type mapping struct{ From, To asn1.ObjectIdentifier }
	var list []mapping
	for p := range slices.Chunk(pairs, 2) {
		list = append(list, mapping{arc(p[0]), arc(p[1])})
	}
	return extension(asn1.ObjectIdentifier{2, 5, 29, 33}, true, der(t, list))
}

// policyConstraints adds requireExplicitPolicy and inhibitPolicyMapping; -1 leaves one out.
func policyConstraints(t testing.TB, critical bool, explicit, mapping int) func(*x509.Certificate) {
	t.Helper()
	var body []byte
	for tag, n := range []int{explicit, mapping} {
		if n >= 0 {
			body = append(body, 0x80|byte(tag), 1, byte(n))
		}
	}
	return extension(asn1.ObjectIdentifier{2, 5, 29, 36}, critical, append([]byte{0x30, byte(len(body))}, body...))
}

// The rules on certificate policies: RFC 5280, Section 6.1 and RFC 9618. PKITS has the rest.
// Attack row G04: anyExtendedKeyUsage does not make policies superfluous.
func TestRulesOfPolicies(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	one, any := root, root
	sub := func(edits ...func(*x509.Certificate)) *entity {
		return issue(t, root, "Issuing", append([]func(*x509.Certificate){ca}, edits...)...)
	}
	below := func(s *entity, edits ...func(*x509.Certificate)) *entity {
		return issue(t, s, "alice", append([]func(*x509.Certificate){mail}, edits...)...)
	}
	one, any = sub(under(t, 1)), sub(under(t, 0))
	none, mapped := sub(), sub(under(t, 1), maps(t, 1, 2))
	toAny, fromAny := sub(under(t, 1), maps(t, 1, 0)), sub(under(t, 1), maps(t, 0, 1))
	demanding, lax := sub(under(t, 1), policyConstraints(t, true, 0, -1)), sub(under(t, 1), policyConstraints(t, false, 0, -1))
	inhibiting := sub(under(t, 0), extension(asn1.ObjectIdentifier{2, 5, 29, 54}, true, []byte{2, 1, 0}))
	rollover := issueWith(t, newKey(t), demanding, "Issuing", ca, under(t, 1))
	later := sub(under(t, 1), policyConstraints(t, true, 1, -1))
	self := issueWith(t, newKey(t), later, "Issuing", ca, under(t, 1))
	anyUse := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
	must := chain.Request{RequireExplicitPolicy: true}
	only := func(p int) chain.Request {
		return chain.Request{RequireExplicitPolicy: true, Policies: []string{arc(p).String()}}
	}
	runRules(t, root, []rule{
		{name: "explicit: one policy", want: "valid", leaf: below(one, under(t, 1)), others: []*entity{one}, q: must},
		{name: "explicit: none", want: "policy.none", leaf: below(none), others: []*entity{none}, q: must},
		{name: "explicit: another below", want: "policy.none", leaf: below(one, under(t, 2)), others: []*entity{one}, q: must},
		{name: "explicit: one policy, for any purpose", want: "valid", leaf: below(one, under(t, 1), anyUse), others: []*entity{one}, q: must},
		{name: "explicit: none, for any purpose", want: "policy.none", leaf: below(none, anyUse), others: []*entity{none}, q: must},
		{name: "not explicit: none", want: "valid", leaf: below(none), others: []*entity{none}},
		{name: "initial set: in it", want: "valid", leaf: below(one, under(t, 1)), others: []*entity{one}, q: only(1)},
		{name: "initial set: not in it", want: "policy.none", leaf: below(one, under(t, 1)), others: []*entity{one}, q: only(2)},
		{name: "any: stands for all", want: "valid", leaf: below(any, under(t, 7)), others: []*entity{any}, q: only(7)},
		{name: "any: inhibited by the caller", want: "policy.none", leaf: below(any, under(t, 7)), others: []*entity{any}, q: chain.Request{RequireExplicitPolicy: true, InhibitAnyPolicy: true}},
		{name: "any: inhibited by a CA", want: "policy.none", leaf: below(inhibiting, under(t, 0)), others: []*entity{inhibiting}, q: must},
		{name: "mapping: followed", want: "valid", leaf: below(mapped, under(t, 2)), others: []*entity{mapped}, q: only(1)},
		{name: "mapping: inhibited", want: "policy.none", leaf: below(mapped, under(t, 2)), others: []*entity{mapped}, q: chain.Request{RequireExplicitPolicy: true, InhibitPolicyMapping: true}},
		{name: "mapping: to any", want: "policy.mapping_any", leaf: below(toAny, under(t, 2)), others: []*entity{toAny}},
		{name: "mapping: from any", want: "policy.mapping_any", leaf: below(fromAny, under(t, 1)), others: []*entity{fromAny}},
		{name: "constraints: demanded and there", want: "valid", leaf: below(demanding, under(t, 1)), others: []*entity{demanding}},
		{name: "constraints: demanded and missing", want: "policy.none", leaf: below(demanding), others: []*entity{demanding}},
		{name: "constraints: not critical", want: "policy.none", leaf: below(lax), others: []*entity{lax}, warn: "parse.tolerated"},
		{name: "constraints: not critical, for TLS", want: "ext.criticality", leaf: issue(t, lax, "host", under(t, 1)), others: []*entity{lax}, q: chain.Request{Purpose: "server-auth"}},
		{name: "self-issued: counts nothing down", want: "valid", leaf: below(self, under(t, 1)), others: []*entity{later, self}},
		{name: "self-issued: demanded below it", want: "policy.none", leaf: below(rollover), others: []*entity{demanding, rollover}},
	})
	r := explain(t, root, below(mapped, under(t, 2)), chain.Request{}, mapped)
	expect(t, r, "valid")
	if !slices.Equal(r.Policies, []string{arc(1).String()}) {
		t.Errorf("the set is %v, not in the anchor's terms", r.Policies)
	}
}

// Attack row G01: policies that multiply from CA to CA are counted, and given up.
func TestPolicyFanOut(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	fan := func(n int) *chain.Report {
		above, line := root, []*entity{}
		var policies, pairs []int
		for i := range n {
			policies = append(policies, i+1)
			for j := range n {
				pairs = append(pairs, i+1, j+1)
			}
		}
		for i := range 6 {
			above = issue(t, above, fmt.Sprintf("CA %d", i), ca, under(t, policies...), maps(t, pairs...))
			line = append(line, above)
		}
		return explain(t, root, issue(t, above, "alice", mail, under(t, policies...)), chain.Request{RequireExplicitPolicy: true}, line...)
	}
	expect(t, fan(5), "valid")
	expect(t, fan(40), "path.budget")
	// The work counts for all paths together.
	var many []int
	for i := range 4000 {
		many = append(many, i+1000)
	}
	key, bag := newKey(t), []*entity(nil)
	for range 100 {
		bag = append(bag, issueWith(t, key, root, "Issuing", ca, under(t, many[:900]...)))
	}
	few, lots := issue(t, bag[0], "alice", mail, under(t, 1)), issue(t, bag[0], "alice", mail, under(t, many[900:]...))
	for leaf, want := range map[*entity]string{few: "policy.none", lots: "path.budget"} {
		within(t, time.Second, func() {
			expect(t, explain(t, root, leaf, chain.Request{RequireExplicitPolicy: true}, bag...), want)
		})
	}
}

// What real certificates do and crypto/x509 refuses (X12): each is judged, each by itself.
func TestQuirks(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	curve := func(params []byte, point int) *entity {
		id := []byte{0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}
		bits := append([]byte{0, 4}, make([]byte, point)...)
		spki := der(t, struct {
			Algorithm struct{ ID, Params asn1.RawValue }
			Key       asn1.BitString
		}{struct{ ID, Params asn1.RawValue }{asn1.RawValue{FullBytes: id}, asn1.RawValue{FullBytes: params}}, asn1.BitString{Bytes: bits[1:], BitLength: 8 * len(bits[1:])}})
		return altered(t, root, leaf, leaf.RawSubjectPublicKeyInfo, spki)
	}
	relative := issue(t, root, "alice", mail, extension(asn1.ObjectIdentifier{2, 5, 29, 31}, false,
		append([]byte{0x30, 17, 0x30, 15, 0xa0, 13, 0xa1, 11, 0x30, 9, 6, 3, 0x55, 4, 3}, 0x0c, 2, 'c', 'd')))
	utf8 := issue(t, root, "alice", san(t, false, asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte("δ@example.com")}))
	negative := issue(t, root, "alice", mail, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x7a7b7c7d) })
	negative = altered(t, root, negative, []byte{2, 4, 0x7a, 0x7b, 0x7c, 0x7d}, []byte{2, 4, 0xfa, 0x7b, 0x7c, 0x7d})
	aia := issue(t, root, "alice", mail, extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}, true, []byte{0x30, 0}))
	indefinite := append(append([]byte{0x30, 0x80}, leaf.Raw[4:]...), 0, 0)
	runRules(t, root, []rule{
		{name: "quirk: brainpoolP256r1", want: "valid", leaf: curve([]byte{6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7}, 64)},
		{name: "quirk: secp256k1", want: "valid", leaf: curve([]byte{6, 5, 0x2b, 0x81, 4, 0, 10}, 64)},
		{name: "quirk: a curve nobody knows", want: "parse.unsupported", leaf: curve([]byte{6, 5, 0x2b, 0x81, 4, 0, 99}, 64)},
		{name: "quirk: nameRelativeToCRLIssuer", want: "valid", leaf: relative},
		{name: "quirk: UTF-8 in an rfc822Name", want: "valid", leaf: utf8},
		{name: "quirk: negative serial number", want: "valid", leaf: negative, warn: "cert.serial"},
		{name: "quirk: critical authorityInfoAccess", want: "valid", leaf: aia, warn: "parse.tolerated"},
		{name: "quirk: the same certificate in DER", want: "valid", leaf: leaf},
		{name: "quirk: BER around a certificate is told", want: "parse.malformed", leaf: &entity{raw(indefinite), nil}},
	})
	for _, der := range [][]byte{indefinite, append([]byte{0x30, 0x83, 0}, leaf.Raw[2:]...)} {
		if r := explain(t, root, &entity{raw(der), nil}, chain.Request{}); !strings.Contains(r.Detail, "BER, not DER") {
			t.Errorf("%s", r)
		}
	}
}
