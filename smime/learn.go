package smime

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
)

// learnedSource is the Entry.Source of certificates that Learn keeps.
const learnedSource = "signed mail"

// Learn keeps the certificates that the author of a message wants to be written to, with
// the author's capabilities, under the author's address. It learns only from a message
// that was signed by a certificate that names the author, however tolerant the Opener was,
// and only certificates that r.Chain accepts for encryption and that name the author too.
//
// The authorities between them and the anchor are kept too, without an address, so that a
// verifier that looks for intermediates in the same store finds them.
//
// What was learned carries the claimed time of the signature as Seen, or now if that is
// earlier: an old message that is sent again does not displace newer knowledge. The number
// of certificates kept is returned; zero is no error.
func (r *Resolver) Learn(ctx context.Context, into certstore.Writer, m *Message) (int, error) {
	if r.Chain == nil || into == nil {
		return 0, errors.New("smime: learning needs Resolver.Chain and a Writer")
	}
	if m.report == nil {
		return 0, nil // nobody opened it
	}
	now := time.Now()
	if r.Chain.Time != nil {
		now = r.Chain.Time()
	}
	author := m.report.author
	var entries []*certstore.Entry
	var paths []*chain.Path
	for _, s := range m.Signatures() {
		if s.Crypto != "valid" || s.Trust != "valid" || s.Address != "match" || s.Path == nil || author == "" {
			continue
		}
		seen := now
		if s.ClaimedTime != nil && s.ClaimedTime.Before(now) {
			seen = *s.ClaimedTime
		}
		for _, t := range s.Timestamps {
			if t.Used && t.Time.Before(seen) {
				seen = t.Time
			}
		}
		for _, c := range s.encryptionCertificates() {
			if !certstore.Email(author).Match(c) {
				continue
			}
			report := r.Chain.Explain(ctx, chain.Request{Leaf: c, Purpose: chain.EmailEncryption, Untrusted: s.bag})
			if report.Verdict != "valid" {
				continue
			}
			paths = append(paths, report.Path)
			entries = append(entries, &certstore.Entry{
				Certificate: c, Source: learnedSource, Address: author, Capabilities: s.capabilities,
				Default: s.preferred(c), Seen: seen.UTC(),
			})
		}
	}
	entries, err := r.newer(ctx, entries)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	n := len(entries)
	for _, path := range paths {
		certs := path.Certificates()
		for _, ca := range certs[min(1, len(certs)):max(1, len(certs)-1)] {
			entries = append(entries, &certstore.Entry{Certificate: ca, Source: learnedSource, Seen: now.UTC()})
		}
	}
	if err := into.Put(ctx, entries...); err != nil {
		return 0, fmt.Errorf("smime: learning from %s: %w", author, err)
	}
	return n, nil
}

// encryptionCertificates lists the certificates the signer may want replies to be
// encrypted to: the one he names (RFC 8551, Section 2.5.3), his own, and what else came
// with the signature.
func (s *Signature) encryptionCertificates() []*x509.Certificate {
	var list []*x509.Certificate
	for _, c := range append([]*x509.Certificate{s.certificate}, s.bag...) {
		if c == nil || c.IsCA || slices.ContainsFunc(list, c.Equal) {
			continue
		}
		if s.preferred(c) {
			return []*x509.Certificate{c}
		}
		list = append(list, c)
	}
	return list
}

func (s *Signature) preferred(c *x509.Certificate) bool {
	return s.keyPreference != nil && s.keyPreference.Matches(c)
}

// newer leaves out what the store already knows from a later message.
func (r *Resolver) newer(ctx context.Context, entries []*certstore.Entry) ([]*certstore.Entry, error) {
	if r.Store == nil {
		return entries, nil
	}
	var list []*certstore.Entry
	for _, e := range entries {
		known := false
		for old, err := range r.Store.Certificates(ctx, certstore.Email(e.Address)) {
			if err != nil {
				return nil, fmt.Errorf("smime: learning from %s: %w", e.Address, err)
			}
			known = known || old.Source == learnedSource && old.Certificate.Equal(e.Certificate) && !old.Seen.Before(e.Seen)
		}
		if !known {
			list = append(list, e)
		}
	}
	return list, nil
}
