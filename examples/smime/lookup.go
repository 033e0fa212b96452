package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// A lookupReport is the JSON of lookup.
type lookupReport struct {
	Results []*lookupResult `json:"results"`
}

type lookupResult struct {
	Address    string            `json:"address"`
	Trust      string            `json:"trust"` // "checked", or "not-checked" without --roots
	Candidates []smime.Candidate `json:"candidates"`
	Errors     []string          `json:"errors"` // of stores that could not be asked
}

// lookupCommand prints what the stores have for addresses, ranked and with reasons.
func lookupCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var stores []string
	var asJSON bool
	var judge chainOptions
	f := newFlags("lookup")
	f.StringArrayVar(&stores, "store", nil, storeHelp)
	f.BoolVar(&asJSON, "json", false, "print JSON")
	judge.register(f)
	done, err := parse(f, args, "lookup --store STORE [options] ADDRESS...", stdout)
	if done {
		return exitGood
	}
	switch {
	case err != nil:
	case len(stores) == 0:
		err = wrongUsage("--store is needed")
	case f.NArg() == 0:
		err = wrongUsage("no address named")
	}
	if err != nil {
		return failed(asJSON, stdout, stderr, "lookup", err)
	}
	clock, err := parseClock(judge.clock)
	if err != nil {
		return failed(asJSON, stdout, stderr, "lookup", err)
	}
	all, err := openPlaces(stores)
	if err != nil {
		return failed(asJSON, stdout, stderr, "lookup", err)
	}
	defer all.Close()
	if _, err := judge.verifier(all); err != nil { // before a store is blamed for it
		return failed(asJSON, stdout, stderr, "lookup", err)
	}
	find := &finder{places: all, chain: &judge, now: clock}
	report := &lookupReport{}
	missing, broken := 0, 0
	for _, address := range f.Args() {
		found, err := find.find(context.Background(), address)
		r := &lookupResult{Address: address, Trust: "checked", Candidates: found, Errors: []string{}}
		if len(judge.roots) == 0 {
			r.Trust = "not-checked"
		}
		if r.Candidates == nil {
			r.Candidates = []smime.Candidate{}
		}
		if err != nil {
			r.Errors = append(r.Errors, err.Error())
		}
		if len(found) == 0 || !found[0].Usable {
			missing++
			if err != nil {
				broken++
			}
		}
		report.Results = append(report.Results, r)
	}
	if asJSON {
		err = json.NewEncoder(stdout).Encode(report)
	} else {
		err = report.print(stdout)
	}
	switch {
	case err != nil:
		return fail(stderr, "lookup", unreadable(err))
	case broken > 0:
		return fail(stderr, "lookup", unreadable(fmt.Errorf("a store could not be asked: %s", report.firstError())))
	case missing > 0:
		return fail(stderr, "lookup", notGood(fmt.Errorf("no usable certificate for %d of %d addresses", missing, f.NArg())))
	}
	return exitGood
}

func (r *lookupReport) firstError() string {
	for _, result := range r.Results {
		if len(result.Errors) > 0 {
			return result.Errors[0]
		}
	}
	return ""
}

func (r *lookupReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, result := range r.Results {
		fmt.Fprintf(t, "%s\n", printable(result.Address))
		for i, c := range result.Candidates {
			rank := fmt.Sprintf("%d.", i+1)
			if !c.Usable {
				rank = "no"
			}
			fmt.Fprintf(t, "  %s\t%s\tuntil %s\t%s\n", rank, hexSum256(c.Certificate.Raw)[:16], c.Certificate.NotAfter.UTC().Format(time.DateOnly), printable(c.Certificate.Subject.String()))
			for _, reason := range c.Reasons {
				fmt.Fprintf(t, "  \t%s\n", printable(reason))
			}
			fmt.Fprintf(t, "  \tfound in %s\n", printable(c.Source))
		}
		for _, e := range result.Errors {
			fmt.Fprintf(t, "  warning: %s\n", printable(e))
		}
		if result.Trust == "not-checked" && len(result.Candidates) > 0 {
			fmt.Fprintf(t, "  without --roots nobody vouches for these\n")
		}
		if len(result.Candidates) == 0 {
			fmt.Fprintf(t, "  nothing found\n")
		}
	}
	return t.Flush()
}

// A finder ranks what the stores have for an address.
type finder struct {
	places places
	chain  *chainOptions
	now    func() time.Time
}

// find returns the candidates, best first. With roots, chain judges them, with the
// revocation data of the stores; without, only what a certificate says of itself counts.
func (f *finder) find(ctx context.Context, address string) ([]smime.Candidate, error) {
	store := f.places.store()
	if !f.chain.trusts() {
		return f.unjudged(ctx, store, address)
	}
	verifier, err := f.chain.verifier(f.places)
	if err != nil {
		return nil, err
	}
	if f.now != nil {
		verifier.Time = f.now
	}
	verifier.Intermediates = store
	r := &smime.Resolver{Store: store, Chain: verifier, Secondary: f.places.otherAddresses()}
	if f.chain.policy == nil {
		r.Secondary = nil
	} else {
		f.chain.policy.Resolver(r)
	}
	return r.Candidates(ctx, address)
}

func (f *finder) unjudged(ctx context.Context, store certstore.Store, address string) (found []smime.Candidate, failed error) {
	now := time.Now()
	if f.now != nil {
		now = f.now()
	}
	marked := map[*x509.Certificate]bool{}
	mark := func(c *smime.Candidate, e *certstore.Entry) {
		if c.Usable && e.Default && !marked[c.Certificate] {
			marked[c.Certificate] = true
			c.Reasons = slices.Insert(c.Reasons, 0, "marked by its owner as the one to encrypt to")
		}
	}
	for e, err := range store.Certificates(ctx, certstore.Email(address)) {
		if err != nil {
			failed = err
			break
		}
		if i := slices.IndexFunc(found, func(c smime.Candidate) bool { return c.Certificate.Equal(e.Certificate) }); i >= 0 {
			mark(&found[i], e)
			continue
		}
		c := smime.Candidate{Certificate: e.Certificate, Source: e.Source}
		c.Code, c.Reasons = unfit(e.Certificate, address, now)
		if c.Usable = c.Code == ""; c.Usable {
			c.Reasons = append(c.Reasons, "valid since "+e.Certificate.NotBefore.UTC().Format(time.DateOnly))
		}
		mark(&c, e)
		found = append(found, c)
	}
	rank := func(c smime.Candidate) int {
		switch {
		case !c.Usable:
			return 2
		case !marked[c.Certificate]:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b smime.Candidate) int {
		return cmp.Or(rank(a)-rank(b), b.Certificate.NotBefore.Compare(a.Certificate.NotBefore), bytes.Compare(a.Certificate.Raw, b.Certificate.Raw))
	})
	return found, failed
}

// unfit says why a certificate cannot be encrypted to, by what it says of itself.
func unfit(c *x509.Certificate, address string, now time.Time) (code string, reasons []string) {
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	mail := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case !certstore.Email(address).Match(c):
		return "address.mismatch", []string{"it does not name " + address}
	case now.Before(c.NotBefore):
		return "time.not_yet_valid", []string{"it is not valid before " + c.NotBefore.UTC().Format(time.DateOnly)}
	case now.After(c.NotAfter):
		return "time.expired", []string{"it expired on " + c.NotAfter.UTC().Format(time.DateOnly)}
	case c.KeyUsage != 0 && c.KeyUsage&encrypts == 0:
		return "ku.encrypt", []string{"its key is not for encryption"}
	case !mail:
		return "eku.leaf", []string{"it is not for mail"}
	}
	return "", nil
}
