package smime

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// A signedLayer is SignedData, detached or opaque, or the certificates-only form. While
// the message is read it only collects; nothing is verified before the whole of it, and
// every layer around it, has been read.
type signedLayer struct {
	layer    *Layer
	depth    int
	content  io.Reader
	finish   func() error
	digests  *cms.Digests // of the content as the signature should cover it
	received *cms.Digests // of the octets as received, if they are others
	damage   *damage      // tries out what may have happened to the part; may be nil

	canonical *canonicalReader // of a detached part; may be nil

	good    bool // see judgeLayer
	missing bool // detached, and nobody gave the content

	infos       []*cms.SignerInfo
	contentType oid.OID
	bag         []*x509.Certificate // untrusted
	crls, ocsp  [][]byte            // untrusted
}

func (l *signedLayer) next() io.Reader { return l.content }
func (l *signedLayer) report() *Layer  { return l.layer }

// hashCost returns what an octet of the content costs, in those of SHA-256.
func (l *signedLayer) hashCost() int {
	n := l.digests.Cost()
	if l.canonical != nil && l.canonical.received != nil {
		n += l.canonical.received.Cost()
	}
	if l.damage != nil {
		n += l.damage.cost()
	}
	return n
}

func (l *signedLayer) complete() error {
	if l.finish == nil {
		return nil
	}
	return l.finish()
}

// take reads what follows the content of SignedData. Certificates that cannot be read are
// left out: mail carries such objects.
func (p *pass) take(l *signedLayer, sd *cms.SignedData) error {
	if err := sd.Finish(); err != nil {
		return err
	}
	// Time stamps, receipts and whatever else people sign is not mail (RFC 8551, Section
	// 2.4.1; threats.md, A21).
	if !p.form.bare && sd.EContentType() != oid.Data && len(sd.SignerInfos()) > 0 {
		p.problems = append(p.problems, problem{l.depth, codeContentType})
	}
	l.contentType = sd.EContentType()
	l.infos = sd.SignerInfos()
	l.crls, l.ocsp = sd.CRLs(), sd.OCSPResponses()
	if p.bytesBeside += sd.Beside(); p.bytesBeside > limits.Beside {
		return &limits.Exceeded{What: "octets beside the contents", Max: limits.Beside}
	}
	for _, der := range sd.Certificates() {
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			continue
		}
		if p.bytesCerts += footprint(c); p.bytesCerts > limits.CertificateMemory {
			return &limits.Exceeded{What: "octets of certificates", Max: limits.CertificateMemory}
		}
		l.bag = append(l.bag, c)
	}
	return nil
}

// footprint returns about how many octets c takes in memory: a name of three octets takes
// ten times as many, and what has an object identifier more.
func footprint(c *x509.Certificate) int64 {
	names := len(c.EmailAddresses) + len(c.DNSNames) + len(c.IPAddresses) + len(c.OCSPServer) + len(c.IssuingCertificateURL) +
		len(c.CRLDistributionPoints) + len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains) + len(c.PermittedEmailAddresses) +
		len(c.ExcludedEmailAddresses) + len(c.PermittedURIDomains) + len(c.ExcludedURIDomains) + len(c.PermittedIPRanges) + len(c.ExcludedIPRanges)
	objects := len(c.Extensions) + len(c.UnknownExtKeyUsage) + len(c.PolicyIdentifiers) + len(c.PolicyMappings) +
		len(c.Subject.Names) + len(c.Issuer.Names) + len(c.URIs)
	return int64(3*len(c.Raw) + 32*names + 128*objects)
}

// judgeSigned verifies every signature of a layer, each on its own.
func (p *pass) judgeSigned(l *signedLayer) {
	for _, si := range l.infos {
		l.layer.Signatures = append(l.layer.Signatures, p.judge1(l, si))
	}
}

// judgeEvidence adds what stands beside the signatures of a layer. A signature that does
// not hold needs none.
func (p *pass) judgeEvidence(l *signedLayer) {
	for i, s := range l.layer.Signatures {
		if s.Crypto == "valid" {
			s.Timestamps = p.timestamps(l, l.infos[i])
			s.Countersignatures = p.countersignatures(l, l.infos[i])
			if s.stamp != nil {
				s.stamp.Used = true
			}
		}
	}
}

// judge1 answers the three questions about one signature.
func (p *pass) judge1(l *signedLayer, si *cms.SignerInfo) *Signature {
	candidates, err := p.signerCertificates(l, si, &p.spent)
	s := &Signature{Crypto: "unsupported", Trust: "not-checked", Address: "not-checked", Codes: []string{}}
	if len(candidates) == 0 {
		p.describe(s, si.Verify(nil, l.contentType, l.digests, p.verifyOptions()))
		if !slices.Contains(s.Codes, "signer.no_certificate") {
			s.Codes = append(s.Codes, "signer.no_certificate")
		}
		if err != nil {
			s.Codes = append(s.Codes, "store.failed")
		}
		return s
	}
	var best *Signature
	var rivals []*Signature
	for _, cert := range candidates {
		if p.checks++; p.checks > limits.SignatureChecks || p.work > limits.SignatureWork {
			s.Codes = append(s.Codes, "limit.signature_checks")
			return s
		}
		s := p.judgeWith(l, si, cert)
		if s.Crypto == "valid" && s.Trust == "valid" {
			rivals = append(rivals, s)
		}
		if best == nil || rank(s) > rank(best) {
			best = s
		}
	}
	// One key certified for two people does not say which of them signed (threats.md, A14).
	for _, r := range rivals[min(1, len(rivals)):] {
		if !slices.Equal(r.Signer.Mailboxes, rivals[0].Signer.Mailboxes) || r.Signer.Subject != rivals[0].Signer.Subject {
			best.Trust = "invalid"
			best.Codes = append(best.Codes, "signer.ambiguous")
			best.Path = nil
			break
		}
	}
	return best
}

// rank orders the outcomes for rival certificates.
func rank(s *Signature) int {
	n := 0
	if s.Crypto == "valid" {
		n += 8
	}
	switch s.Trust {
	case "valid":
		n += 4
	case "indeterminate":
		n += 2
	}
	if s.Address == "match" {
		n++
	}
	return n
}

// judgeWith answers the three questions for one candidate certificate.
func (p *pass) judgeWith(l *signedLayer, si *cms.SignerInfo, cert *x509.Certificate) *Signature {
	s := &Signature{Trust: "not-checked", Address: "not-checked", Codes: []string{}}
	cert = p.completed(l, cert)
	cost := 0
	if key, err := sigalg.PublicKey(cert.RawSubjectPublicKeyInfo); err == nil {
		cost = sigalg.Cost(key)
	}
	p.work += cost
	r := si.Verify(cert, l.contentType, l.digests, p.verifyOptions())
	switch {
	case r.State == "valid" && l.received != nil:
		r.Codes = append(r.Codes, "mime.canonicalised")
	case r.State == "valid" && p.exact && l.layer.Form == "multipart":
		r.Codes = append(r.Codes, "mime.not_canonical")
	case r.State == "invalid" && l.received != nil:
		p.work += cost
		if other := si.Verify(cert, l.contentType, l.received, p.verifyOptions()); other.State == "valid" {
			p.wantExact = true
			if p.oneShot {
				r.Codes = append(r.Codes, "mime.line_endings")
			}
		}
	}
	if h, ok := si.DigestAlgorithm(); ok && l.content != nil {
		p.explain(l, r, h)
		if _, computed := l.digests.Sum(h); !computed && p.allowed(h) {
			p.wantDigests = append(p.wantDigests, h)
		}
	}
	p.describe(s, r)
	s.Crypto = r.State
	s.Signer = signerOf(cert)
	s.certificate, s.bag = cert, l.bag
	if l.missing {
		s.Crypto = "invalid"
		s.Codes = append(s.Codes, "cms.no_content")
	}
	if s.Crypto == "valid" {
		p.judgeTrust(s, l, si, cert, r.ClaimedTime)
	}
	p.judgeAddress(s, cert)
	return s
}

// completed returns a certificate with the parameters of its key, where a DSA key has those
// of the key that certified it (RFC 3279, Section 2.3.2). Only a path to an anchor tells
// which one that is: with parameters out of the message anybody could sign.
func (p *pass) completed(l *signedLayer, cert *x509.Certificate) *x509.Certificate {
	parameters, ok := sigalg.DSAParameters(cert.RawSubjectPublicKeyInfo)
	if !ok || len(parameters) > 0 || p.o.Chain == nil {
		return cert
	}
	r := p.o.Chain.Explain(p.ctx, chain.Request{Leaf: cert, Purpose: chain.EmailSigning, Untrusted: l.bag, CRLs: l.crls, OCSP: l.ocsp, Budget: &p.budget})
	if r.Path == nil {
		return cert
	}
	for _, c := range r.Path.Certificates()[1:] {
		if parameters, ok = sigalg.DSAParameters(c.RawSubjectPublicKeyInfo); len(parameters) > 0 || !ok {
			break
		}
	}
	if len(parameters) == 0 {
		return cert
	}
	whole := *cert
	whole.RawSubjectPublicKeyInfo = sigalg.InheritDSA(cert.RawSubjectPublicKeyInfo, parameters)
	return &whole
}

func (p *pass) verifyOptions() cms.VerifyOptions {
	return cms.VerifyOptions{AllowSHA1: p.o.AllowSHA1, AllowMD5: p.o.AllowMD5, AllowLegacyKeys: p.o.AllowLegacyCiphers}
}

// codeContentType: what was signed is not mail.
const codeContentType = "cms.content_type"

// Remarks about what a valid signature says.
const (
	// The claimed time of signing and the date of the message are more than an hour apart,
	// which some readers take for a forgery (threats.md, A13).
	codeDateDiffers = "time.date_differs"
	// The signer asks for a signed receipt (RFC 2634, Section 2.7). Nothing here sends one:
	// that is for a person to decide, and never for mail of a list (threats.md, A22).
	codeReceiptRequested = "receipt.requested"
)

const maxDateDifference = time.Hour

func (p *pass) describe(s *Signature, r *cms.SignatureResult) {
	s.Digest, s.Algorithm = r.Digest, r.Algorithm
	s.Codes = append(s.Codes, r.Codes...)
	if r.ReceiptRequested {
		s.Codes = append(s.Codes, codeReceiptRequested)
	}
	s.capabilities, s.keyPreference = r.Capabilities, r.EncryptionCertificate
	if !r.ClaimedTime.IsZero() {
		t := r.ClaimedTime
		s.ClaimedTime = &t
		if date, ok := p.date(); ok && date.Sub(t).Abs() > maxDateDifference {
			s.Codes = append(s.Codes, codeDateDiffers)
		}
	}
}

// judgeTrust asks chain about the signer's certificate: as of now, and if it is not good
// now, as of a time for which an authority vouches.
func (p *pass) judgeTrust(s *Signature, l *signedLayer, si *cms.SignerInfo, cert *x509.Certificate, claimed time.Time) {
	if p.o.Chain == nil {
		return
	}
	q := chain.Request{
		Leaf: cert, Purpose: chain.EmailSigning, Untrusted: l.bag, CRLs: l.crls, OCSP: l.ocsp,
		ClaimedTime: claimed, Budget: &p.budget,
	}
	r := p.o.Chain.Explain(p.ctx, q)
	if r.Verdict != "valid" {
		if then, stamp := p.stamped(l, si, q, r); then != nil {
			r, s.stamp = then, stamp
			s.Codes = append(s.Codes, "timestamp.used")
			s.remarks = append(s.remarks, "timestamp.used")
		}
	}
	s.judged(r)
}

// judgeAddress compares the author in From with the mailboxes the certificate names
// (RFC 8550, Section 3). Only subjectAltName counts; Sender, Reply-To, display names and
// common names never do.
func (p *pass) judgeAddress(s *Signature, cert *x509.Certificate) {
	if p.form.bare {
		return
	}
	if p.author.code != "" {
		s.Address = "none"
		s.Codes = append(s.Codes, p.author.code)
		return
	}
	s.Address = "none"
	folded := false
	for _, m := range mailbox.Of(cert) {
		if m.Subject {
			continue
		}
		if s.Address == "none" {
			s.Address = "mismatch"
		}
		switch mailbox.Compare(p.author.address, m) {
		case mailbox.Equal:
			s.Address = "match"
			return
		case mailbox.Folded:
			folded = true
		}
	}
	switch {
	case folded && !p.o.ExactLocalPart:
		s.Address = "match"
		s.Codes = append(s.Codes, "address.case_folded")
	case s.Address == "mismatch":
		s.Codes = append(s.Codes, "address.mismatch")
	default:
		s.Codes = append(s.Codes, "address.absent")
	}
}

// signerCertificates lists the certificates the SignerInfo may mean: those of the message
// first, then those of the caller's store, each once.
func (p *pass) signerCertificates(l *signedLayer, si *cms.SignerInfo, work *spent) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	add := func(c *x509.Certificate) {
		same := func(x *x509.Certificate) bool { return bytes.Equal(x.Raw, c.Raw) }
		if work.matches(si.SignerID(), c) && !slices.ContainsFunc(found, same) && len(found) < limits.SignerCandidates {
			found = append(found, c)
		}
	}
	for _, c := range l.bag {
		add(c)
	}
	if len(found) > 0 || p.o.Certs == nil {
		return found, nil
	}
	var q certstore.Query
	if id := si.SignerID(); id.KeyID != nil {
		q = certstore.SubjectKeyID(id.KeyID)
	} else {
		q = certstore.IssuerSerial{RawIssuer: id.RawIssuer, Serial: id.Serial}
	}
	for e, err := range p.o.Certs.Certificates(p.ctx, q) {
		if err != nil {
			return found, err
		}
		add(e.Certificate)
	}
	return found, nil
}

// matches reports whether id names c. A message that holds many certificates with the serial
// number of its signers, and names that are long to compare, is not compared to its end.
func (s *spent) matches(id cms.CertificateID, c *x509.Certificate) bool {
	if id.Compares(c) {
		if s.names++; s.names > limits.NameComparisons {
			return false
		}
	}
	return id.Matches(c)
}

func signerOf(c *x509.Certificate) *Signer {
	s := &Signer{Subject: pkix.NameString(c.RawSubject), Mailboxes: []string{}}
	if c.SerialNumber != nil {
		s.Serial = c.SerialNumber.Text(16)
	}
	seen := map[string]bool{}
	for _, m := range mailbox.Of(c) {
		if !m.Subject && !seen[m.Address] {
			seen[m.Address] = true
			s.Mailboxes = append(s.Mailboxes, m.Address)
		}
	}
	sum := sha256.Sum256(c.Raw)
	s.SHA256 = hex.EncodeToString(sum[:])
	return s
}
