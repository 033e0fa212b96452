package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

// newFlags returns an empty flag set that reports errors instead of printing them.
func newFlags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	return f
}

// parse reads the arguments; help prints the options and ends the command.
func parse(f *pflag.FlagSet, args []string, synopsis string, stdout io.Writer) (done bool, err error) {
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(stdout, "usage: smime %s\n\n%s", synopsis, f.FlagUsages())
		return true, nil
	case err != nil:
		return false, wrongUsage("%v", err)
	}
	return false, nil
}

// identityOptions name the private keys.
type identityOptions struct {
	files    []string
	password string
	passFile string
}

func (o *identityOptions) register(f *pflag.FlagSet) {
	f.StringArrayVar(&o.files, "identity", nil, "PKCS#12, or PEM with key and certificates; repeatable")
	f.StringVar(&o.password, "password", "", "password of the identities (or SMIME_PASSWORD)")
	f.StringVar(&o.passFile, "password-file", "", "file whose first line is the password")
}

// read returns the identities of every file; an error if any cannot be used.
func (o *identityOptions) read() ([]*certstore.Identity, error) {
	ids, failed, err := o.readable()
	if err == nil && len(failed) > 0 {
		err = failed[0]
	}
	return ids, err
}

// readable returns the identities of the files that can be used, and says why others cannot.
func (o *identityOptions) readable() (all []*certstore.Identity, failed []error, err error) {
	password := o.password
	if password == "" {
		password = os.Getenv("SMIME_PASSWORD")
	}
	if o.passFile != "" {
		b, err := os.ReadFile(o.passFile)
		if err != nil {
			return nil, nil, unreadable(err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		password = strings.TrimSuffix(line, "\r")
	}
	for _, name := range o.files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, unreadable(err)
		}
		ids, err := certstore.ReadIdentities(b, password)
		if err != nil {
			failed = append(failed, notGood(fmt.Errorf("%s: %w", filepath.Base(name), err)))
		}
		all = append(all, ids...)
	}
	return all, failed, nil
}

// chainOptions name the collection and how to judge against it.
type chainOptions struct {
	roots, intermediates []string
	crls, ocsp           []string
	revocation           string
	clock                string
	network              bool

	policy  *smime.Policy // what the administrator decides, if there is such a thing
	sending bool          // it is asked for sending
}

// trusts reports whether anybody is trusted at all.
func (o *chainOptions) trusts() bool {
	return len(o.roots) > 0 || o.policy != nil && len(o.policy.IssuingCAs) > 0
}

func (o *chainOptions) register(f *pflag.FlagSet) {
	o.registerTrust(f)
	registerClock(f, &o.clock)
}

// registerTrust registers everything but the clock.
func (o *chainOptions) registerTrust(f *pflag.FlagSet) {
	f.StringArrayVar(&o.roots, "roots", nil, "trust anchors: PEM, DER, PKCS#7, .sst or a folder; repeatable")
	f.StringArrayVar(&o.intermediates, "intermediates", nil, "certificates that help to build paths; repeatable")
	f.StringVar(&o.revocation, "revocation", "", "off, soft, hard or supplied-only; default: hard where the certificate names a source")
	f.StringArrayVar(&o.crls, "crl", nil, "certificate revocation list; repeatable")
	f.StringArrayVar(&o.ocsp, "ocsp", nil, "OCSP response; repeatable")
	f.BoolVar(&o.network, "network", false, "fetch revocation data and issuers")
}

func registerClock(f *pflag.FlagSet, clock *string) {
	f.StringVar(clock, "time", "", "RFC 3339 time to use instead of now")
}

// parseClock returns nil for the real clock.
func parseClock(s string) (func() time.Time, error) {
	if s == "" {
		return nil, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return nil, wrongUsage("--time %s is not an RFC 3339 time", s)
	}
	return func() time.Time { return t }, nil
}

// parseTime reads a time of RFC 3339, whose T and Z may be small (Section 5.6).
func parseTime(s string) (time.Time, error) {
	return time.Parse(time.RFC3339, strings.ToUpper(s))
}

// verifier returns one that also asks the databases among the stores about revocation.
func (o *chainOptions) verifier(stores places) (*chain.Verifier, error) {
	rev := &chain.Revocation{}
	if fetcher := network(o.network); fetcher != nil {
		rev.Fetcher, rev.FetchIssuers = fetcher, true
	}
	if o.policy != nil {
		rev.InsecureOff, rev.AllowUnknown = o.policy.NoRevocation, o.sending && o.policy.SoftRevocationOnSend
		total := fetchTime(o.policy.FetchTotalMillis)
		rev.PerFetch, rev.PerVerification = min(fetchTime(o.policy.FetchMillis), total), total
	}
	if o.revocation != "" {
		var err error
		if rev, err = revocationMode(o.revocation, rev.Fetcher); err != nil {
			return nil, wrongUsage("--revocation %s is not off, soft, hard or supplied-only", o.revocation)
		}
	}
	clock, err := parseClock(o.clock)
	if err != nil {
		return nil, err
	}
	anchors := new(chain.Collection)
	if o.policy != nil && len(o.policy.IssuingCAs) > 0 {
		if anchors, err = chain.ReadCollection(bytes.NewReader(o.policy.IssuingCAs)); err != nil {
			return nil, unreadable(fmt.Errorf("authorities of the policy: %w", err))
		}
	}
	if err := eachCertificate(o.roots, anchors.AddAnchor); err != nil {
		return nil, err
	}
	// A root among them helps to build a path, and is not trusted for standing there.
	if err := eachCertificate(o.intermediates, anchors.AddIntermediate); err != nil {
		return nil, err
	}
	if rev.CRLs, err = readKind(o.crls, listKind); err != nil {
		return nil, unreadable(err)
	}
	if rev.OCSP, err = readKind(o.ocsp, responseKind); err != nil {
		return nil, unreadable(err)
	}
	if dbs := stores.databases(); len(dbs) > 0 && o.revocation != "supplied-only" {
		rev.Store = dbs
	}
	v := chain.NewVerifier(anchors, *rev)
	v.Time = clock
	v.AllowSHA1 = o.policy != nil && slices.Contains(o.policy.Accept, "sha1")
	return v, nil
}

// eachCertificate hands every certificate of the files and folders to add.
func eachCertificate(names []string, add func(...*x509.Certificate)) error {
	for _, name := range names {
		certs, err := readCertificates(name)
		if err != nil {
			return err
		}
		add(certs...)
	}
	return nil
}

// readCertificates reads a certificate file of any format, or a folder of them.
func readCertificates(name string) ([]*x509.Certificate, error) {
	certs, _, err := readWarned(name)
	return certs, err
}

// readWarned is readCertificates with what was left out because it could not be read. A
// file is opened once: it may be a pipe.
func readWarned(name string) (all []*x509.Certificate, warnings []error, err error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, nil, unreadable(err)
		}
		for _, e := range entries {
			// Links to files are followed, as folders of roots are made of them. A link to
			// a folder may lead into a circle, and a pipe never ends.
			file := filepath.Join(name, e.Name())
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
				continue
			}
			if certs, odd, err := readWarned(file); err == nil {
				all, warnings = append(all, certs...), append(warnings, odd...)
			}
		}
		if len(all) == 0 {
			return nil, nil, unreadable(fmt.Errorf("%s holds no certificates", name))
		}
		return all, warnings, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	defer f.Close()
	c, err := chain.ReadCollection(f)
	if err != nil {
		return nil, nil, unreadable(fmt.Errorf("%s: %w", name, err))
	}
	return c.Certificates(), c.Warnings(), nil
}

// input opens a message: a file, or standard input held in memory so that it can be read
// twice as a file can.
func input(name string, stdin io.Reader) (io.ReadSeeker, func(), error) {
	if name == "-" {
		return newReplay(stdin), func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, nil, unreadable(fmt.Errorf("%s is a folder", name))
	}
	return f, func() { f.Close() }, nil
}

// newReplay reads standard input into memory up to a bound; beyond it the rest is
// streamed and cannot be read again.
func newReplay(r io.Reader) io.ReadSeeker {
	const held = 32 << 20
	b, err := io.ReadAll(io.LimitReader(r, held+1))
	if err == nil && len(b) <= held {
		return bytes.NewReader(b)
	}
	return noSeek{io.MultiReader(bytes.NewReader(b), bufio.NewReader(r))}
}

type noSeek struct{ io.Reader }

func (noSeek) Seek(int64, int) (int64, error) { return 0, errors.New("standard input is a stream") }
