package chain_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
)

func TestReportText(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing\u202e\n", ca, constraints(t, false, []asn1.RawValue{rfc822("example.org")}, nil))
	leaf := issue(t, sub, "alice", mail)
	r := explain(t, root, leaf, chain.Request{}, sub)
	text := r.String()
	for _, want := range []string{"INVALID for email-signing at 2026-06-01T00:00:00Z, now\n", "nc.not_permitted  CN=alice: alice@example.com is outside", "(RFC 5280, Section 4.2.1.10)", "leaf    CN=alice", `Issuing\e2\80\ae\0a`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.ContainsAny(text, "\u202e") {
		t.Error("a name turns the text around")
	}
	good := explain(t, root, issue(t, root, "alice", mail), chain.Request{Address: "alice@example.com"})
	if !strings.HasPrefix(good.String(), "VALID for") || good.Detail != "valid for email-signing as alice@example.com" {
		t.Errorf("%s: %s", good.Detail, good)
	}
}

func TestReportJSON(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	for _, r := range []*chain.Report{
		explain(t, root, leaf, chain.Request{}),
		explain(t, root, leaf, chain.Request{Address: "bob@example.com"}),
		explain(t, root, &entity{raw([]byte{1}), nil}, chain.Request{}),
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Verdict  string
			Codes    []string
			Path     []struct{ Subject, SHA256 string }
			Policies []string `json:"valid_policies"`
			Findings []struct{ Code, Severity, Cert, Reference, Detail string }
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.Verdict != string(r.Verdict) || got.Codes == nil || got.Path == nil || (got.Policies != nil) != (r.Verdict == "valid") || len(got.Path) != len(r.Certificates) || len(got.Findings) != len(r.Findings) {
			t.Errorf("%s", b)
		}
	}
}

func TestReportDrawing(t *testing.T) {
	root, other := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing \"1\"\\", ca, between(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))
	twin := issueWith(t, sub.key, other, "Issuing \"1\"\\", ca)
	leaf := issue(t, sub, "alice", mail)
	dot := explain(t, root, leaf, chain.Request{}, sub, twin).DOT()
	for _, want := range []string{"INVALID for email-signing", "time.expired", "color=red", "->"} {
		if !strings.Contains(dot, want) {
			t.Errorf("no %q in\n%s", want, dot)
		}
	}
	if _, err := exec.LookPath("dot"); err == nil {
		cmd := exec.Command("dot", "-Tsvg")
		cmd.Stdin = strings.NewReader(dot)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	// Where it broke is seen: at a certificate, at a signature, at an issuer nobody has.
	good := explain(t, root, issue(t, root, "alice", mail), chain.Request{}).DOT()
	if !strings.Contains(good, "peripheries=2") || strings.Contains(good, "red") || !strings.Contains(good, "penwidth=2.5") {
		t.Errorf("a good path\n%s", good)
	}
	fresh := issue(t, root, "Fresh", ca)
	altered := bytes.Clone(issue(t, fresh, "bob", mail).Raw)
	altered[len(altered)-1] ^= 1
	for _, tt := range []struct {
		leaf *entity
		want string
	}{
		{leaf, `until 2025-06-01\ntime.expired", color=red`},
		{&entity{raw(altered), nil}, `[penwidth=2.5, color=red, fontcolor=red, label="sig.invalid"]`},
		{issue(t, issue(t, nil, "Stranger", ca), "carol", mail), `"CN=Stranger\nnot at hand\npath.no_issuer", color=red`},
	} {
		if dot := explain(t, root, tt.leaf, chain.Request{}, sub, fresh).DOT(); !strings.Contains(dot, tt.want) || !strings.Contains(dot, "style=dashed") == strings.Contains(tt.want, "not at hand") {
			t.Errorf("no %s in\n%s", tt.want, dot)
		}
	}
}

// The signer's own idea of the time decides nothing, and is told where it would have.
func TestClaimedTime(t *testing.T) {
	root := issue(t, nil, "Root", ca, between(now.AddDate(-9, 0, 0), now.AddDate(9, 0, 0)))
	old := issue(t, root, "alice", mail, between(now.AddDate(-3, 0, 0), now.AddDate(-1, 0, 0)))
	young := issue(t, root, "alice", mail)
	then := now.AddDate(-2, 0, 0)
	r := explain(t, root, old, chain.Request{ClaimedTime: then})
	expect(t, r, "time.expired")
	if !warned(r, "time.expired_after_signing") {
		t.Errorf("%s", r)
	}
	r = explain(t, root, young, chain.Request{ClaimedTime: then})
	expect(t, r, "valid")
	if !warned(r, "time.claim_outside_validity") {
		t.Errorf("%s", r)
	}
	expect(t, explain(t, root, old, chain.Request{Time: then, Basis: "timestamp"}), "valid")
	if r := explain(t, root, young, chain.Request{ClaimedTime: now}); len(r.Warnings) != 1 {
		t.Errorf("warnings %v", r.Warnings)
	}
}

// With a trusted time before the revocation and evidence of the present, what was signed
// before stands, unless the key had been compromised by then.
func TestRevokedAfterTrustedTime(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	signed, revoked := now.AddDate(0, 0, -10), now.AddDate(0, 0, -5)
	list := func(invalid time.Time) []byte {
		return listing(t, root, func(l *x509.RevocationList) {
			e := x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: revoked, ReasonCode: 1}
			if !invalid.IsZero() {
				der, err := asn1.MarshalWithParams(invalid, "generalized")
				if err != nil {
					t.Fatal(err)
				}
				e.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: der}}
			}
			l.RevokedCertificateEntries = []x509.RevocationListEntry{e}
		})
	}
	for _, tt := range []struct {
		name string
		q    chain.Request
		crl  []byte
		want string
	}{
		{"judged now", chain.Request{}, list(time.Time{}), "rev.revoked"},
		{"signed before", chain.Request{Time: signed, EvidenceTime: now}, list(time.Time{}), "valid"},
		{"signed before, key compromised after", chain.Request{Time: signed, EvidenceTime: now}, list(now.AddDate(0, 0, -7)), "valid"},
		{"signed before, key compromised earlier still", chain.Request{Time: signed, EvidenceTime: now}, list(now.AddDate(0, 0, -20)), "rev.revoked"},
		{"signed after", chain.Request{Time: now.AddDate(0, 0, -1), EvidenceTime: now}, list(time.Time{}), "rev.revoked"},
		{"evidence of that time only", chain.Request{Time: signed}, list(time.Time{}), "rev.unknown"},
	} {
		tt.q.Revocation = &chain.Revocation{RequireAll: true, CRLs: [][]byte{tt.crl}}
		r := explain(t, root, leaf, tt.q)
		if r.Verdict != "valid" && tt.want != r.Codes[0] || (r.Verdict == "valid") != (tt.want == "valid") {
			t.Errorf("%s: want %s\n%s", tt.name, tt.want, r)
		}
	}
}

// A time-stamping authority is certified for that and nothing else (RFC 3161, Section 2.3).
func TestTimeStamping(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	eku := func(critical bool, der ...byte) *entity {
		return issue(t, root, "TSA", extension(asn1.ObjectIdentifier{2, 5, 29, 37}, critical, der))
	}
	stamping := []byte{6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8}
	runRules(t, root, []rule{
		{name: "critical and alone", want: "valid", leaf: eku(true, append([]byte{0x30, 10}, stamping...)...), q: chain.Request{Purpose: "time-stamping"}},
		{name: "not critical", want: "eku.leaf", leaf: eku(false, append([]byte{0x30, 10}, stamping...)...), q: chain.Request{Purpose: "time-stamping"}},
		{name: "with another", want: "eku.leaf", leaf: eku(true, append(append([]byte{0x30, 20}, stamping...), 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 4)...), q: chain.Request{Purpose: "time-stamping"}},
		{name: "absent", want: "eku.leaf", leaf: issue(t, root, "TSA"), q: chain.Request{Purpose: "time-stamping"}},
	})
}

func ExampleVerifier_Explain() {
	// Who may sign as alice@example.com, and if not, why not?
	anchors := new(chain.Collection) // in real life from chain.ReadCollection
	v := chain.NewVerifier(anchors, chain.Revocation{})
	r := v.Explain(context.Background(), chain.Request{
		Leaf:    &x509.Certificate{Raw: []byte("not a certificate")},
		Address: "alice@example.com",
		Time:    time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	})
	fmt.Println(r.Verdict, r.Codes)
	fmt.Print(r)
	// Output:
	// invalid [parse.malformed]
	// INVALID for email-signing at 2026-06-01T00:00:00Z, vouched for by the caller
	//   parse.malformed  certificate: malformed outer SEQUENCE
}

// What AD CS writes is shown, and nothing of it is an address or a purpose.
func TestMicrosoftExtensions(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	ms := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311}
	arc := func(n ...int) asn1.ObjectIdentifier { return append(append(asn1.ObjectIdentifier{}, ms...), n...) }
	template, err := asn1.Marshal(struct {
		ID           asn1.ObjectIdentifier
		Major, Minor int
	}{arc(21, 8, 1, 2), 100, 3})
	if err != nil {
		t.Fatal(err)
	}
	sid, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: append([]byte{6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x19, 2, 1, 0xa0, 9, 4, 7}, "S-1-5-9"...)}})
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, root, "alice", mail, san(t, false, otherName(t, arc(20, 2, 3), "alice@corp.example"), rfc822("alice@example.com")),
		extension(arc(20, 2), false, []byte{0x1e, 8, 0, 'U', 0, 's', 0, 'e', 0, 'r'}), extension(arc(21, 7), false, template), extension(arc(25, 2), false, sid))
	r := explain(t, root, leaf, chain.Request{Address: "alice@example.com"})
	expect(t, r, "valid")
	for _, want := range []string{"template User", "template 1.3.6.1.4.1.311.21.8.1.2, version 100.3", "security identifier S-1-5-9", "user principal alice@corp.example"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("no %q in\n%s", want, r)
		}
	}
	if !slices.ContainsFunc(r.Findings, func(f chain.Finding) bool { return f.Code == "ext.microsoft" && f.Severity == "info" }) {
		t.Errorf("no finding in\n%s", r)
	}
	expect(t, explain(t, root, leaf, chain.Request{Address: "alice@corp.example"}), "address.mismatch")
}

// failing is a store that cannot be asked.
type failing struct{}

func (failing) Certificates(context.Context, certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) { yield(nil, errors.New("the store is away")) }
}

// However many paths are tried, the one of the answer is among those that are told and drawn.
func TestAnswerIsAmongTried(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	key := newKey(t)
	first := issueWith(t, key, root, "Issuing", ca, between(now.AddDate(-1, 0, -1), now.AddDate(1, 0, 0)))
	var revoked []*entity
	for range 40 {
		revoked = append(revoked, issueWith(t, key, root, "Issuing", ca))
	}
	leaf := issue(t, first, "alice", mail)
	r := explain(t, root, leaf, chain.Request{CRLs: [][]byte{listing(t, root, nil, revoked...)}, Revocation: &chain.Revocation{AllowUnknown: true}}, append(revoked, first)...)
	expect(t, r, "valid")
	n := 0
	for _, tried := range r.Tried {
		if len(tried.Certificates) == 3 && tried.Certificates[1].Equal(r.Certificates[1]) {
			n++
		}
	}
	if n != 1 || !r.Certificates[1].Equal(first.Certificate) || !strings.Contains(r.DOT(), "penwidth") {
		t.Errorf("the path of the answer is %d times among %d", n, len(r.Tried))
	}
}

// unreachable fails with errors that repeat the address, as package fetch does.
type unreachable struct{}

func (unreachable) Fetch(_ context.Context, _, url string, _ []byte) ([]byte, error) {
	return nil, fmt.Errorf("fetch: %s: not a plain address\r\x1b[2K", url)
}

// Attack row J06: an address in a certificate that anybody may have made writes no lines of its own into
// the report.
func TestAddressesWriteNoLines(t *testing.T) {
	const forged = "http://x.example/\nVALID for everything\x1b[31m"
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail, sources(forged, ""), func(c *x509.Certificate) { c.IssuingCertificateURL = []string{forged} })
	rev := chain.Revocation{Fetcher: unreachable{}, FetchIssuers: true}
	for code, others := range map[string][]*entity{"rev.fetch_failed": {sub}, "path.fetch_failed": nil} {
		text := explain(t, root, leaf, chain.Request{Revocation: &rev}, others...).String()
		if !strings.Contains(text, code) || !strings.Contains(text, "not a plain address") || strings.Contains(text, "\nVALID") || strings.ContainsAny(text, "\r\x1b") {
			t.Errorf("%s: %q", code, text)
		}
	}
}

// A store is asked for missing issuers; what it returns is no more trusted than a message.
func TestIntermediatesFromStore(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Sub", ca)
	issuing := issue(t, sub, "Issuing", ca)
	leaf := issue(t, issuing, "alice", mail)
	fake := issue(t, nil, "Root", ca)
	var store certstore.Memory
	store.Add(sub.Certificate, issuing.Certificate, fake.Certificate)
	v := verifier(collection(root))
	v.Intermediates = &store
	expect(t, v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate}), "valid")
	broken := verifier(collection(root))
	broken.Intermediates = failing{}
	if r := broken.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate}); r.Verdict != "invalid" || !warned(r, "path.store") {
		t.Errorf("a store that fails: %s", r)
	}
	other := verifier(collection(issue(t, nil, "Other", ca)))
	other.Intermediates = &store
	r := other.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate})
	if r.Verdict != "invalid" || len(r.Certificates) < 3 {
		t.Errorf("%s", r)
	}
}

// What is issued after the end of a certificate need not name it any more, unless it says
// that it does.
func TestEvidenceAfterTheEnd(t *testing.T) {
	root := issue(t, nil, "Root", ca, between(now.AddDate(-9, 0, 0), now.AddDate(9, 0, 0)))
	end := now.AddDate(0, 0, -5)
	leaf := issue(t, root, "alice", mail, between(now.AddDate(-1, 0, 0), end))
	list := func(since time.Time, revoked ...*entity) []byte {
		return listing(t, root, func(l *x509.RevocationList) {
			if since.IsZero() {
				return
			}
			der, err := asn1.MarshalWithParams(since, "generalized")
			if err != nil {
				t.Fatal(err)
			}
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 60}, Value: der}}
		}, revoked...)
	}
	response := func(cutoff time.Time) []byte {
		return answer(t, root, root, leaf, func(r *ocsp.Response) {
			if cutoff.IsZero() {
				return
			}
			der, err := asn1.MarshalWithParams(cutoff, "generalized")
			if err != nil {
				t.Fatal(err)
			}
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 6}, Value: der}}
		})
	}
	before, after := end.AddDate(0, 0, -1), end.AddDate(0, 0, 1)
	for _, tt := range []struct {
		name string
		rev  chain.Revocation
		want string
	}{
		{"a list that drops what has ended", chain.Revocation{CRLs: [][]byte{list(time.Time{})}}, "rev.unknown crl.after_expiry"},
		{"a list that keeps what ended later", chain.Revocation{CRLs: [][]byte{list(after)}}, "rev.unknown crl.after_expiry"},
		{"a list that keeps it", chain.Revocation{CRLs: [][]byte{list(before)}}, "valid"},
		{"a list that names it although it has ended", chain.Revocation{CRLs: [][]byte{list(time.Time{}, leaf)}}, "valid"}, // revoked after the time in question
		{"a response", chain.Revocation{OCSP: [][]byte{response(time.Time{})}}, "rev.unknown ocsp.after_expiry"},
		{"a response with an archive of less", chain.Revocation{OCSP: [][]byte{response(after)}}, "rev.unknown ocsp.after_expiry"},
		{"a response with an archive", chain.Revocation{OCSP: [][]byte{response(before)}}, "valid"},
	} {
		tt.rev.RequireAll = true
		r := explain(t, root, leaf, chain.Request{Time: now.AddDate(0, 0, -10), EvidenceTime: now, Revocation: &tt.rev})
		got := strings.Join(r.Codes, " ")
		if r.Verdict == "valid" {
			got = "valid"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s\n%s", tt.name, got, tt.want, r)
		}
	}
}

// What is not current any more says of a certificate that has ended since what it said then:
// "good" only from the time in question on, for whoever sends it along picked it.
func TestEvidenceBeforeTheEnd(t *testing.T) {
	root := issue(t, nil, "Root", ca, between(now.AddDate(-9, 0, 0), now.AddDate(9, 0, 0)))
	ended := issue(t, root, "alice", mail, between(now.AddDate(-1, 0, 0), now.AddDate(0, 0, -5)))
	going := issue(t, root, "alice", mail)
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	list := func(from, to, reason int) []byte {
		return listing(t, root, func(l *x509.RevocationList) {
			if l.ThisUpdate, l.NextUpdate = day(from), day(to); reason >= 0 {
				l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: ended.SerialNumber, RevocationTime: day(-12), ReasonCode: reason}}
			}
		})
	}
	lifting := func(from, to int) []byte {
		return listing(t, root, func(l *x509.RevocationList) {
			deltaOf(9)(l)
			l.ThisUpdate, l.NextUpdate = day(from), day(to)
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: ended.SerialNumber, RevocationTime: day(-12), ReasonCode: 8}}
		})
	}
	response := func(from, to int) []byte {
		return answer(t, root, root, ended, func(r *ocsp.Response) {
			if r.ThisUpdate, r.NextUpdate = day(from), day(to); to == 0 {
				r.NextUpdate = time.Time{}
			}
		})
	}
	delegated := func(end, at int) []byte {
		delegate := issue(t, root, "Responder", responder, between(day(-100), day(end)))
		return produced(t, answer(t, root, delegate, ended, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = day(-8), day(-7) }), delegate.key, day(at))
	}
	const good, hold, compromised = -1, 6, 1
	for _, tt := range []struct {
		name string
		leaf *entity
		crls [][]byte
		ocsp []byte
		want string
	}{
		{"a list from then on", ended, [][]byte{list(-8, -7, good)}, nil, "valid"},
		{"a list from before", ended, [][]byte{list(-11, -9, good)}, nil, "rev.unknown crl.stale"},
		{"a list from before that is current", ended, [][]byte{list(-11, 1, good)}, nil, "valid"},
		{"a list from before that names it", ended, [][]byte{list(-11, -9, compromised), list(-8, -7, good)}, nil, "rev.revoked"},
		{"of a certificate that goes on", going, [][]byte{list(-8, -7, good)}, nil, "rev.unknown crl.stale"},
		{"a hold", ended, [][]byte{list(-8, -7, hold)}, nil, "rev.on_hold"},
		{"a hold that was lifted", ended, [][]byte{list(-8, -7, hold), lifting(-6, -5)}, nil, "valid"},
		{"a hold that went with the certificate", ended, [][]byte{list(-8, -7, hold), lifting(-2, -1)}, nil, "rev.on_hold"},
		{"a response from then on", ended, nil, response(-8, -7), "valid"},
		{"a response from before", ended, nil, response(-11, -9), "rev.unknown ocsp.stale"},
		{"a response from then on without end", ended, nil, response(-8, 0), "valid"},
		{"a response from before without end", ended, nil, response(-11, 0), "rev.unknown ocsp.stale"},
		{"a response by a delegate that has expired since", ended, nil, delegated(-5, -8), "valid"},
		{"a response by a delegate that had expired", ended, nil, delegated(-9, -9), "rev.unknown ocsp.malformed"},
	} {
		rev := chain.Revocation{RequireAll: true, CRLs: tt.crls, OCSP: [][]byte{tt.ocsp}}
		if tt.ocsp == nil {
			rev.OCSP = nil
		}
		r := explain(t, root, tt.leaf, chain.Request{Time: day(-10), EvidenceTime: now, Revocation: &rev})
		got := strings.Join(r.Codes, " ")
		if r.Verdict == "valid" {
			got = "valid"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s\n%s", tt.name, got, tt.want, r)
		}
	}
}
