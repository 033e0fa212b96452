package chain_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// corpus returns the folder of public test data, or skips.
func corpus(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	return filepath.Join(append([]string{root}, elem...)...)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// table reads a file of tab-separated lines, without its heading.
func table(t testing.TB, name string) [][]string {
	t.Helper()
	var rows [][]string
	for i, line := range strings.Split(strings.TrimSpace(string(read(t, name))), "\n") {
		if i > 0 {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

// raw wraps DER without parsing it: crypto/x509 refuses some of the corpus.
func raw(der []byte) *x509.Certificate { return &x509.Certificate{Raw: der} }

func fromPEM(t testing.TB, text []byte) (list []*x509.Certificate) {
	t.Helper()
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if strings.HasSuffix(b.Type, "CERTIFICATE") {
			list = append(list, raw(b.Bytes))
		}
	}
	return list
}

// TestPKITS runs all 249 vectors of NIST's suite with their policy inputs, and compares
// the policy sets the suite names.
func TestPKITS(t *testing.T) {
	dir := corpus(t, "pkits")
	rows := table(t, filepath.Join(dir, "expected_full.tsv"))
	if len(rows) != 249 {
		t.Fatalf("%d vectors, not 249", len(rows))
	}
	oids := map[string]string{"": "", "anyPolicy": "2.5.29.32.0"}
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		oids["NIST-test-policy-"+n] = "2.16.840.1.101.3.2.1.48." + n
	}
	policies := func(names string) (list []string) {
		for n := range strings.SplitSeq(strings.Trim(names, `"`), ",") {
			if id, ok := oids[n]; !ok {
				t.Fatalf("unknown policy %q", n)
			} else if id != "" {
				list = append(list, id)
			}
		}
		slices.Sort(list)
		return list
	}
	for _, row := range rows {
		for len(row) < 7 {
			row = append(row, "")
		}
		t.Run(row[1], func(t *testing.T) {
			names := strings.Split(row[4], ",")
			q := chain.Request{Purpose: "any", Time: time.Date(2011, 4, 15, 0, 0, 0, 0, time.UTC), AllowSHA1: true, Revocation: &chain.Revocation{RequireAll: true}}
			anchors := new(chain.Collection)
			for i, n := range names {
				c := raw(read(t, filepath.Join(dir, "certs", n+".crt")))
				switch i {
				case 0:
					anchors.AddAnchor(c)
				case len(names) - 1:
					q.Leaf = c
				default:
					q.Untrusted = append(q.Untrusted, c)
				}
			}
			for n := range strings.SplitSeq(row[5], ",") {
				q.CRLs = append(q.CRLs, read(t, filepath.Join(dir, "crls", n+".crl")))
			}
			var want []string
			wanted := false
			for s := range strings.SplitSeq(row[6], "; ") {
				switch name, value, _ := strings.Cut(s, "="); name {
				case "":
				case "SetInitialPolicySet":
					q.Policies = policies(value)
				case "SetInitialExplicitPolicy":
					q.RequireExplicitPolicy = value == "true"
				case "SetInitialPolicyMappingInhibit":
					q.InhibitPolicyMapping = value == "true"
				case "SetInitialInhibitAnyPolicy":
					q.InhibitAnyPolicy = value == "true"
				case "SetUserConstrainedPolicySet":
					want, wanted = policies(value), true
				default:
					t.Fatalf("unknown setting %q", name)
				}
			}
			r := chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), q)
			if (r.Verdict == "valid") != (row[3] == "true") {
				t.Errorf("want valid %s\n%s", row[3], r)
			}
			if wanted && r.Verdict == "valid" && !slices.Equal(slices.Sorted(slices.Values(r.Policies)), want) {
				t.Errorf("policies %v, want %v", r.Policies, want)
			}
		})
	}
}

// deviations lists the limbo vectors where our answer is another one, each with the
// reason; docs/decisions.md has them too. Those under webpki:: are rules of the CA/Browser
// Forum for TLS servers, which no purpose here includes.
func deviations() map[string]string {
	const (
		anchorAKI = "a rule on how roots are made; an anchor is trusted for being listed"
		commonCN  = "names for TLS are taken from subjectAltName alone, and what the common name says does not matter"
		roles     = "a CA certificate may also be used by its owner, which mail does; RFC 5280 does not forbid it"
		purposes  = "RFC 5280, Section 4.2.1.12: an absent extKeyUsage allows everything, and it may be critical"
		keys      = "a rule on which keys are certified; the key of the certificate in question is not used by the validator"
		suffixes  = "which domains are public suffixes is no matter of a certificate, and the list changes every week"
	)
	return map[string]string{
		"rfc5280::nc::permitted-dns-match-noncritical": "name constraints that are not critical are honoured, not refused: S/MIME allows them",
		"rfc5280::aki::cross-signed-root-missing-aki":  "an anchor may lack the identifier: its twin cve::cve-2024-0567 wants that",

		"webpki::aki::root-with-aki-all-fields":                     anchorAKI,
		"webpki::aki::root-with-aki-authoritycertissuer":            anchorAKI,
		"webpki::aki::root-with-aki-authoritycertserialnumber":      anchorAKI,
		"webpki::aki::root-with-aki-missing-keyidentifier":          anchorAKI,
		"webpki::aki::root-with-aki-ski-mismatch":                   anchorAKI,
		"webpki::ca-as-leaf":                                        roles,
		"webpki::ee-basicconstraints-ca":                            roles,
		"webpki::cn::case-mismatch":                                 commonCN,
		"webpki::cn::ipv4-hex-mismatch":                             commonCN,
		"webpki::cn::ipv4-leading-zeros-mismatch":                   commonCN,
		"webpki::cn::ipv6-non-rfc5952-mismatch":                     commonCN,
		"webpki::cn::ipv6-uncompressed-mismatch":                    commonCN,
		"webpki::cn::ipv6-uppercase-mismatch":                       commonCN,
		"webpki::cn::not-in-san":                                    commonCN,
		"webpki::cn::punycode-not-in-san":                           commonCN,
		"webpki::cn::utf8-vs-punycode-mismatch":                     commonCN,
		"webpki::eku::ee-anyeku":                                    "serverAuth stands beside any, and admits",
		"webpki::eku::ee-critical-eku":                              purposes,
		"webpki::eku::ee-without-eku":                               purposes,
		"webpki::eku::root-has-eku":                                 purposes,
		"webpki::forbidden-dsa-leaf":                                keys,
		"webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf":      keys,
		"webpki::forbidden-rsa-not-divisible-by-8-in-root":          keys,
		"webpki::san::public-suffix-multi-label-wildcard-san":       suffixes,
		"webpki::san::public-suffix-private-namespace-wildcard-san": suffixes,
		"webpki::san::san-critical-with-nonempty-subject":           "RFC 5280, Section 4.2.1.6 only recommends otherwise",
	}
}

func TestLimbo(t *testing.T) {
	var file struct {
		Testcases []struct {
			ID       string            `json:"id"`
			Kind     string            `json:"validation_kind"`
			Trusted  []string          `json:"trusted_certs"`
			Others   []string          `json:"untrusted_intermediates"`
			Peer     string            `json:"peer_certificate"`
			Time     *time.Time        `json:"validation_time"`
			Expected string            `json:"expected_result"`
			Name     map[string]string `json:"expected_peer_name"`
			Depth    *int              `json:"max_chain_depth"`
			CRLs     []string          `json:"crls"`
		} `json:"testcases"`
	}
	if err := json.Unmarshal(read(t, corpus(t, "x509-limbo", "limbo-regenerated.json")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Testcases) < 200 {
		t.Fatalf("%d vectors", len(file.Testcases))
	}
	for _, c := range file.Testcases {
		t.Run(c.ID, func(t *testing.T) {
			q := chain.Request{Purpose: "server-auth", MaxDepth: c.Depth, Revocation: &chain.Revocation{InsecureOff: true}, Time: time.Now()}
			if c.Kind == "CLIENT" {
				q.Purpose = "client-auth"
			}
			if c.Time != nil {
				q.Time = *c.Time
			}
			switch c.Name["kind"] {
			case "DNS":
				q.DNSName = c.Name["value"]
			case "IP":
				q.IPAddress = c.Name["value"]
			case "RFC822":
				q.Address = c.Name["value"]
			}
			anchors := new(chain.Collection)
			for _, p := range c.Trusted {
				anchors.AddAnchor(fromPEM(t, []byte(p))...)
			}
			for _, p := range c.Others {
				q.Untrusted = append(q.Untrusted, fromPEM(t, []byte(p))...)
			}
			for _, p := range c.CRLs {
				b, _ := pem.Decode([]byte(p))
				q.CRLs = append(q.CRLs, b.Bytes)
				q.Revocation = &chain.Revocation{RequireAll: true}
			}
			q.Leaf = fromPEM(t, []byte(c.Peer))[0]
			start := time.Now()
			r := chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), q)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			agree := (r.Verdict == "valid") == (c.Expected == "SUCCESS")
			if why := deviations()[c.ID]; agree == (why != "") {
				t.Errorf("expected %s, our reason to differ: %q\n%s", c.Expected, why, r)
			}
		})
	}
}

// TestRFC9216 builds every path between the sample certificates, to either root and
// through the cross certificates.
func TestRFC9216(t *testing.T) {
	dir := corpus(t, "rfc9216")
	files, _ := filepath.Glob(filepath.Join(dir, "*.crt"))
	var all []*x509.Certificate
	var leaves []string
	byFile := map[string]*x509.Certificate{}
	for _, f := range files {
		b := read(t, f)
		c := raw(b)
		if list := fromPEM(t, b); len(list) > 0 {
			c = list[0]
		}
		all = append(all, c)
		byFile[filepath.Base(f)] = c
		if strings.Contains(f, "End_Entity") {
			leaves = append(leaves, filepath.Base(f))
		}
	}
	if len(leaves) != 8 {
		t.Fatalf("%d end entities", len(leaves))
	}
	for _, root := range []string{"s3.1_RSA_Certification_Authority_Root_Certificate.crt", "s6.1_Ed25519_Certification_Authority_Root_Certificate.crt"} {
		anchors := new(chain.Collection)
		anchors.AddAnchor(byFile[root])
		for _, leaf := range leaves {
			purpose := chain.EmailSigning
			if strings.Contains(leaf, "Encryption") {
				purpose = chain.EmailEncryption
			}
			name := strings.ToLower(leaf[5:strings.Index(leaf, "_s_")])
			q := chain.Request{Leaf: byFile[leaf], Untrusted: all, Purpose: purpose, Time: now, Address: name + "@smime.example", Revocation: &chain.Revocation{InsecureOff: true}}
			r := chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), q)
			expect(t, r, "valid")
			if bytes.Contains([]byte(leaf), []byte("Signature_Ver")) {
				q.Purpose = chain.EmailEncryption
				if r := chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), q); r.Verdict == "valid" {
					t.Errorf("%s may encrypt", leaf)
				}
			}
		}
	}
}
