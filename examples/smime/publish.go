package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/smimeastore"
)

// A publishReport is the JSON of publish.
type publishReport struct {
	Store   string          `json:"store"`
	Entry   string          `json:"entry"` // distinguished name, or address
	DryRun  bool            `json:"dry_run"`
	Changes []publishChange `json:"changes"`
	Records []string        `json:"records,omitempty"` // lines for a zone file
	Warning string          `json:"warning,omitempty"`
}

type publishChange struct {
	Place  string `json:"place"` // attribute, or "entry"
	Added  bool   `json:"added"`
	SHA256 string `json:"sha256"`
	Reason string `json:"reason"`
}

// publishOptions are the options of publish.
type publishOptions struct {
	identities          identityOptions
	store, address      string
	clock               string
	keepExpired, dryRun bool
	json                bool
}

// publishCommand puts a user's certificates where readers look for them.
func publishCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var o publishOptions
	f := newFlags("publish")
	o.identities.register(f)
	f.StringVar(&o.store, "store", "", "where to publish: ldap://..., ldaps://..., sqlite:FILE, postgres://..., a folder, or smimea: to print zone lines")
	f.StringVar(&o.address, "address", "", "whose entry it is; default: the mailbox the certificate names")
	f.BoolVar(&o.keepExpired, "keep-expired", false, "leave expired certificates where they are")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.json, "json", false, "print JSON")
	registerClock(f, &o.clock)
	done, err := parse(f, args, "publish --store STORE --identity ID [options]", stdout)
	if done {
		return exitGood
	}
	if err == nil && (o.store == "" || len(o.identities.files) == 0 || f.NArg() != 0) {
		err = wrongUsage("--store and --identity are needed, and nothing else")
	}
	if err == nil {
		err = o.run(stdout)
	}
	if err != nil {
		return failed(o.json, stdout, stderr, "publish", err)
	}
	return exitGood
}

func (o *publishOptions) run(stdout io.Writer) error {
	clock, err := parseClock(o.clock)
	if err != nil {
		return err
	}
	now := time.Now()
	if clock != nil {
		now = clock()
	}
	ids, err := o.identities.read()
	if err != nil {
		return err
	}
	signing, encryption, err := choose(ids, now)
	if err != nil {
		return err
	}
	if o.address == "" {
		names := (&certstore.Entry{Certificate: signing.Certificate()}).Mailboxes()
		if len(names) == 0 {
			return wrongUsage("the certificate names no mailbox: --address is needed")
		}
		o.address = names[0]
	}
	report := &publishReport{Store: o.store, Entry: o.address, DryRun: o.dryRun, Changes: []publishChange{}}
	if o.store == "smimea:" {
		err = o.zone(report, signing, encryption)
	} else {
		err = o.publish(report, signing, encryption, now)
	}
	switch {
	case err != nil:
		return err
	case o.json:
		return json.NewEncoder(stdout).Encode(report)
	}
	return report.print(stdout)
}

// choose finds among the identities the one that signs and the certificate to encrypt to,
// if that is another one: the newest of those that are valid now. A file may hold older ones
// too, whose keys open old mail.
func choose(ids []*certstore.Identity, now time.Time) (signing *certstore.Identity, encryption *x509.Certificate, err error) {
	const signs = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	newest := func(want, not x509.KeyUsage) (found *certstore.Identity) {
		for _, id := range ids {
			c := id.Certificate()
			usage := c.KeyUsage
			if usage == 0 { // restricts nothing
				usage = signs | encrypts
			}
			if usage&want != 0 && usage&not == 0 && !now.Before(c.NotBefore) && !now.After(c.NotAfter) &&
				(found == nil || c.NotBefore.After(found.Certificate().NotBefore)) {
				found = id
			}
		}
		return found
	}
	if signing = newest(signs, 0); signing == nil {
		return nil, nil, notGood(fmt.Errorf("no identity can sign"))
	}
	other := newest(encrypts, signs)
	if usage := signing.Certificate().KeyUsage; other == nil && usage != 0 && usage&encrypts == 0 {
		other = newest(encrypts, 0)
	}
	if other != nil {
		encryption = other.Certificate()
	}
	return signing, encryption, nil
}

func (o *publishOptions) zone(r *publishReport, signing *certstore.Identity, encryption *x509.Certificate) error {
	certs := []*x509.Certificate{signing.Certificate()}
	if encryption != nil {
		certs = append(certs, encryption)
	}
	for _, c := range certs {
		line, err := smimeastore.Record(o.address, c, smimeastore.DANEEE, time.Hour)
		if err != nil {
			return notGood(err)
		}
		r.Records = append(r.Records, line)
	}
	return nil
}

func (o *publishOptions) publish(r *publishReport, signing *certstore.Identity, encryption *x509.Certificate, now time.Time) error {
	p, err := openTarget(o.store, o.dryRun)
	if err != nil {
		return err
	}
	defer p.Closer.Close()
	r.Store = p.name
	ctx := context.Background()
	switch {
	case p.ldap != nil:
		out, err := p.ldap.Publish(ctx, &ldapstore.Publication{
			Identity: signing, Encryption: encryption, Address: o.address, KeepExpired: o.keepExpired, DryRun: o.dryRun, Time: now,
		})
		if err != nil {
			return notGood(err)
		}
		r.Entry = out.DN
		for _, c := range out.Changes {
			r.Changes = append(r.Changes, publishChange{c.Attribute, c.Added, hex.EncodeToString(c.Thumbprint[:]), c.Reason})
		}
		if out.UserCertificates > 15 {
			r.Warning = fmt.Sprintf("the entry has %d values of userCertificate: above 15 Exchange Online takes no change of it", out.UserCertificates)
		}
		return nil
	case p.writer == nil:
		return wrongUsage("--store %s cannot be written", p.name)
	}
	entries := []*certstore.Entry{{Certificate: signing.Certificate(), Address: o.address, Source: "published", Published: true, Default: encryption == nil, Seen: now}}
	if encryption != nil {
		entries = append(entries, &certstore.Entry{Certificate: encryption, Address: o.address, Source: "published", Published: true, Default: true, Seen: now})
	}
	for _, e := range entries {
		r.Changes = append(r.Changes, publishChange{"entry", true, hexSum256(e.Certificate.Raw), "published"})
	}
	for _, c := range signing.Intermediates() {
		entries = append(entries, &certstore.Entry{Certificate: c, Source: "published", Seen: now})
	}
	if o.dryRun {
		return nil
	}
	if err := p.writer.Put(ctx, entries...); err != nil {
		return unreadable(err)
	}
	return nil
}

func (r *publishReport) print(w io.Writer) error {
	for _, line := range r.Records {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if len(r.Records) > 0 {
		return nil
	}
	done := "published in"
	if r.DryRun {
		done = "not published, this was a dry run, in"
	}
	if len(r.Changes) == 0 {
		done = "nothing to change in"
	}
	_, err := fmt.Fprintf(w, "%s %s of %s\n", done, printable(r.Entry), printable(r.Store))
	for _, c := range r.Changes {
		sign := "-"
		if c.Added {
			sign = "+"
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "  %s %s %.16s  %s\n", sign, c.Place, c.SHA256, printable(c.Reason))
		}
	}
	if r.Warning != "" && err == nil {
		_, err = fmt.Fprintf(w, "warning: %s\n", r.Warning)
	}
	return err
}
