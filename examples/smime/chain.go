package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/chain/brlint"
	"github.com/postseal/postseal/chain/fetch"
)

// Exit statuses of chain.
const (
	exitValid         = 0
	exitInvalid       = 1
	exitIndeterminate = 3
)

// chainArguments are the options of chain; each is a field of a batch request.
type chainArguments struct {
	roots, intermediates, crls, ocsp, policies  []string
	clock, purpose, address, dnsName, ipAddress string
	revocation, algorithms                      string
	explicit, noAny, noMapping                  bool
	depth                                       int
	network, json, batch                        bool
	draw                                        string
	lint, checks                                bool
}

func (o *chainArguments) register(f *pflag.FlagSet) {
	f.StringArrayVar(&o.roots, "roots", nil, "trust anchors: PEM, DER, PKCS#7, .sst or a folder; repeatable")
	f.StringArrayVar(&o.intermediates, "intermediates", nil, "certificates that may help to build a path; repeatable")
	f.StringArrayVar(&o.crls, "crl", nil, "certificate revocation list; repeatable")
	f.StringArrayVar(&o.ocsp, "ocsp", nil, "OCSP response; repeatable")
	f.StringVar(&o.clock, "time", "", "RFC 3339 time to judge for instead of now")
	f.StringVar(&o.purpose, "purpose", "email-signing", "email-signing, email-encryption, server-auth, client-auth or any")
	f.StringVar(&o.address, "address", "", "mail address the certificate must name")
	f.StringVar(&o.dnsName, "dns-name", "", "host the certificate must name")
	f.StringVar(&o.ipAddress, "ip-address", "", "IP address the certificate must name")
	f.StringArrayVar(&o.policies, "policy", nil, "acceptable certificate policy, dotted; repeatable")
	f.BoolVar(&o.explicit, "require-explicit-policy", false, "refuse paths without an acceptable policy")
	f.BoolVar(&o.noAny, "inhibit-any-policy", false, "give anyPolicy no meaning")
	f.BoolVar(&o.noMapping, "inhibit-policy-mapping", false, "follow no policy mappings")
	f.IntVar(&o.depth, "max-depth", -1, "most CAs between leaf and anchor")
	f.StringVar(&o.revocation, "revocation", "soft", "off, soft, hard or supplied-only")
	f.StringVar(&o.algorithms, "algorithms", "default", "default or legacy-sha1")
	f.BoolVar(&o.network, "network", false, "fetch revocation data and issuers")
	f.StringVar(&o.draw, "draw", "", "write the graph of the paths tried to this file, for Graphviz")
	f.BoolVar(&o.lint, "lint", false, "also hold CERT, and the lists and responses about its path, against the CA/Browser Forum's S/MIME requirements")
	f.BoolVar(&o.checks, "checks", false, "also list every check of every path that was tried")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVar(&o.batch, "batch", false, "answer one JSON request per line of standard input")
}

// chainCommand judges one certificate, or with --batch a stream of requests.
func chainCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o chainArguments
	f := newFlags("chain")
	f.SetInterspersed(false)
	o.register(f)
	done, err := parse(f, args, "chain --roots FILE [options] CERT", stdout)
	if done {
		return exitValid
	}
	var code int
	if err == nil {
		code, err = o.run(f, stdin, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "smime: chain: %s\n", printable(err.Error()))
		return exitUsage
	}
	return code
}

func (o *chainArguments) run(f *pflag.FlagSet, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if o.batch {
		return o.runBatch(f, stdin, stdout)
	}
	if f.NArg() != 1 {
		return 0, errors.New("name one certificate, or - for standard input")
	}
	if len(o.roots) == 0 {
		return 0, errors.New("--roots is required")
	}
	for _, name := range []string{"time", "address", "dns-name", "ip-address"} {
		// What a script left empty must not look like what nobody asked for.
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return 0, fmt.Errorf("--%s is empty", name)
		}
	}
	q, err := o.question(f.Changed("max-depth"), f.Arg(0), stdin)
	if err != nil {
		return 0, err
	}
	anchors := new(chain.Collection)
	if err := eachCertificate(o.roots, anchors.AddAnchor); err != nil {
		return 0, err
	}
	r := chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), *q)
	if err := refused(r); err != nil {
		return 0, err
	}
	if o.lint {
		r.Findings = append(r.Findings, lint(q, r)...)
	}
	if o.draw != "" {
		if err := os.WriteFile(o.draw, []byte(r.DOT()), 0o644); err != nil {
			return 0, err
		}
	}
	if o.json {
		if err := writeAnswer(stdout, "", r); err != nil {
			return 0, err
		}
	} else if err := o.print(stdout, r); err != nil {
		return 0, err
	}
	if r.Verdict != "valid" {
		fmt.Fprintf(stderr, "smime: chain: %s: %s\n", r.Verdict, printable(r.Detail))
	}
	switch r.Verdict {
	case "valid":
		return exitValid, nil
	case "indeterminate":
		return exitIndeterminate, nil
	}
	return exitInvalid, nil
}

// runBatch answers requests. What else the command line asks for is in the requests, and
// would be a restriction that gets lost.
func (o *chainArguments) runBatch(f *pflag.FlagSet, stdin io.Reader, stdout io.Writer) (int, error) {
	if f.NArg() > 0 {
		return 0, errors.New("--batch takes no file")
	}
	var err error
	f.Visit(func(flag *pflag.Flag) {
		if !oneOf(flag.Name, "batch|json|network|time") {
			err = fmt.Errorf("--%s does not go with --batch: it is a field of each request", flag.Name)
		}
	})
	if err != nil {
		return 0, err
	}
	clock, err := parseClock(o.clock)
	if err != nil {
		return 0, err
	}
	return exitValid, newJudge(o.network, clock).batch(stdin, stdout)
}

// print writes the report for people.
func (o *chainArguments) print(stdout io.Writer, r *chain.Report) error {
	text := new(strings.Builder)
	text.WriteString(r.String())
	for i := range r.Tried {
		if !o.checks {
			break
		}
		fmt.Fprintf(text, "  checks of path %d of %d\n", i+1, len(r.Tried))
		for _, f := range r.Checks(i) {
			fmt.Fprintf(text, "    %-7s  %-22s  %s: %s (%s)\n", f.Severity, f.Code, printable(f.Certificate.Subject.String()), printable(f.Detail), f.Reference)
		}
	}
	_, err := io.WriteString(stdout, text.String())
	return err
}

// lint holds the certificate in question, and what tells about the revocation of its path,
// against the requirements.
func lint(q *chain.Request, r *chain.Report) []chain.Finding {
	list := brlint.Check(q.Leaf, issuerOf(r))
	for i, c := range r.Certificates {
		if i+1 == len(r.Certificates) && i > 0 {
			break // nobody asks about an anchor
		}
		for _, der := range q.CRLs {
			list = append(list, brlint.CheckCRL(der, c)...)
		}
		if i+1 < len(r.Certificates) {
			for _, der := range q.OCSP {
				list = append(list, brlint.CheckOCSP(der, c, r.Certificates[i+1])...)
			}
		}
	}
	return list
}

// issuerOf returns the second certificate of the path, or nil.
func issuerOf(r *chain.Report) *x509.Certificate {
	if len(r.Certificates) < 2 {
		return nil
	}
	return r.Certificates[1]
}

// question makes a request of the options.
func (o *chainArguments) question(hasDepth bool, name string, stdin io.Reader) (*chain.Request, error) {
	q := &chain.Request{
		Purpose: chain.Purpose(o.purpose), Policies: o.policies, RequireExplicitPolicy: o.explicit, InhibitAnyPolicy: o.noAny,
		InhibitPolicyMapping: o.noMapping, Address: o.address, DNSName: o.dnsName, IPAddress: o.ipAddress,
	}
	if hasDepth {
		q.MaxDepth = &o.depth
	}
	if o.clock != "" {
		t, err := parseTime(o.clock)
		if err != nil {
			return nil, fmt.Errorf("--time %s is not an RFC 3339 time", o.clock)
		}
		if t.IsZero() {
			return nil, fmt.Errorf("--time %s: nothing was valid then", o.clock)
		}
		q.Time = t
	}
	var err error
	if q.Revocation, err = revocationMode(o.revocation, network(o.network)); err != nil {
		return nil, err
	}
	if q.AllowSHA1, err = algorithmSet(o.algorithms); err != nil {
		return nil, err
	}
	if err := checkRequest(q); err != nil {
		return nil, err
	}
	if err := eachCertificate(o.intermediates, func(c ...*x509.Certificate) { q.Untrusted = append(q.Untrusted, c...) }); err != nil {
		return nil, err
	}
	if q.CRLs, err = readKind(o.crls, listKind); err != nil {
		return nil, err
	}
	if q.OCSP, err = readKind(o.ocsp, responseKind); err != nil {
		return nil, err
	}
	certs, err := readLeaf(name, stdin)
	if err != nil {
		return nil, err
	}
	q.Leaf = certs[0]
	q.Untrusted = append(q.Untrusted, certs[1:]...)
	return q, nil
}

// checkRequest refuses what package chain would answer with a report about nothing.
func checkRequest(q *chain.Request) error {
	switch q.Purpose {
	case chain.EmailSigning, chain.EmailEncryption, "server-auth", "client-auth", "any":
	default:
		return fmt.Errorf("unknown purpose %q", string(q.Purpose))
	}
	for _, p := range q.Policies {
		if id, err := x509.ParseOID(p); err != nil || id.String() != p { // it overlooks zeros ahead
			return fmt.Errorf("%q is no object identifier", p)
		}
	}
	if q.IPAddress != "" {
		if a, err := netip.ParseAddr(q.IPAddress); err != nil || a.Zone() != "" {
			return fmt.Errorf("%q is no IP address", q.IPAddress)
		}
	}
	if q.MaxDepth != nil && *q.MaxDepth < 0 {
		return errors.New("the depth is negative")
	}
	return nil
}

// revocationMode makes settings of a mode. The network, if f is not nil, is for the modes
// that may use it.
func revocationMode(mode string, f chain.Fetcher) (*chain.Revocation, error) {
	switch mode {
	case "off":
		return &chain.Revocation{InsecureOff: true, Fetcher: f, FetchIssuers: f != nil}, nil
	case "soft":
		return &chain.Revocation{AllowUnknown: true, Fetcher: f, FetchIssuers: f != nil}, nil
	case "hard":
		return &chain.Revocation{RequireAll: true, Fetcher: f, FetchIssuers: f != nil}, nil
	case "supplied-only":
		return &chain.Revocation{RequireAll: true}, nil
	}
	return nil, fmt.Errorf("unknown revocation mode %q", mode)
}

// network returns a Fetcher, or nil where none is wanted.
func network(wanted bool) chain.Fetcher {
	if !wanted {
		return nil
	}
	return new(fetch.Client)
}

func algorithmSet(name string) (legacy bool, err error) {
	switch name {
	case "default", "legacy-sha1":
		return name == "legacy-sha1", nil
	}
	return false, fmt.Errorf("unknown algorithms %q", name)
}

// readLeaf reads the certificates of a file, the one in question first. Where that cannot
// be read, no other takes its place.
func readLeaf(name string, stdin io.Reader) ([]*x509.Certificate, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	c, err := chain.ReadCollection(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s holds no certificate: %w", name, err)
	}
	if c.Len() == 0 {
		return nil, fmt.Errorf("%s holds no certificate", name)
	}
	if missing := c.Warnings(); len(missing) > 0 {
		// In PEM other kinds of objects may stand before it.
		first, ok := upToCertificate(data)
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, errors.Join(missing...))
		}
		if _, err := chain.ReadCollection(bytes.NewReader(first)); err != nil {
			return nil, fmt.Errorf("the first certificate of %s cannot be read: %w", name, err)
		}
	}
	return c.Certificates(), nil
}

// upToCertificate returns PEM up to the end of its first block that says it is a
// certificate; false if there is none.
func upToCertificate(data []byte) ([]byte, bool) {
	const begin = "-----BEGIN "
	for end := 0; ; {
		i := bytes.Index(data[end:], []byte(begin))
		if i < 0 {
			return nil, false
		}
		label, _, _ := bytes.Cut(data[end+i+len(begin):], []byte("-----"))
		end += i + len(begin)
		if bytes.HasSuffix(label, []byte("CERTIFICATE")) {
			if next := bytes.Index(data[end:], []byte(begin)); next >= 0 {
				data = data[:end+next]
			}
			return data, true
		}
	}
}

// readKind reads DER objects, or the PEM blocks of one type: revocation lists or OCSP
// responses. What is none is an error: leaving it out would look like an answer.
func readKind(names []string, kind string) ([][]byte, error) {
	var all [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		found, what := [][]byte{data}, chain.Revocation{}
		if len(data) == 0 || data[0] != 0x30 {
			found = nil
			for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
				if b.Type == kind {
					found = append(found, b.Bytes)
				}
			}
			if n := bytes.Count(data, []byte("-----BEGIN "+kind+"-----")); n > len(found) {
				return nil, fmt.Errorf("%s: %d of %d PEM blocks do not decode", name, n-len(found), n)
			}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s holds no %s", name, strings.ToLower(kind))
		}
		if what.OCSP = found; kind == listKind {
			what.CRLs, what.OCSP = found, nil
		}
		if err := what.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// The PEM types that readKind knows.
const (
	listKind     = "X509 CRL"
	responseKind = "OCSP RESPONSE"
)

// writeAnswer prints a report as one line of JSON with the id in front.
func writeAnswer(w io.Writer, id string, r *chain.Report) error {
	line, err := answerLine(id, r)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

func answerLine(id string, r *chain.Report) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	name, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	line := append([]byte(`{"id":`), name...)
	line = append(append(line, ','), body[1:]...)
	return append(line, '\n'), nil
}
