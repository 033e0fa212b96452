package usersmime

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// parseSigned reads a SignedData. Its content means nothing and may be absent.
func (r *Reader) parseSigned(value []byte) (found []Found, warnings []error, err error) {
	content, err := cms.Open(bytes.NewReader(value))
	if err != nil {
		return nil, nil, fmt.Errorf("usersmime: SignedData: %w", err)
	}
	sd, ok := content.(*cms.SignedData)
	if !ok {
		return nil, nil, fmt.Errorf("usersmime: a CMS structure, but not SignedData")
	}
	if err := sd.Finish(); err != nil {
		return nil, nil, fmt.Errorf("usersmime: SignedData: %w", err)
	}
	var own, chain []Found
	for i, der := range sd.Certificates() {
		c, err := pkix.ParseCertificate(der)
		switch {
		case err != nil:
			warnings = append(warnings, fmt.Errorf("usersmime: certificate %d of the SignedData: %w", i, err))
		case c.BasicConstraintsValid && c.IsCA:
			chain = append(chain, Found{Certificate: c, Chain: true})
		default:
			own = append(own, Found{Certificate: c})
		}
	}
	warnings = append(warnings, r.readSigner(sd, own)...)
	if found = append(own, chain...); len(found) == 0 {
		return nil, nil, fmt.Errorf("usersmime: SignedData without a certificate: %v", warnings)
	}
	return found, warnings, nil
}

// readSigner sets what the first good signature by one of the user's own certificates says
// about them: about the signer's, and about those that share a mailbox with it, such as the
// one to encrypt to. A signer can put anybody else's beside them.
func (r *Reader) readSigner(sd *cms.SignedData, own []Found) (warnings []error) {
	for _, si := range sd.SignerInfos() {
		var signer *x509.Certificate
		for _, f := range own {
			if si.Matches(f.Certificate) {
				signer = f.Certificate
			}
		}
		if signer == nil {
			warnings = append(warnings, fmt.Errorf("usersmime: signed by %s, which is not the user's", si.SignerID()))
			continue
		}
		r.checks++
		r.work += sigalg.Cost(signer.PublicKey)
		if r.checks > limits.SignatureChecks || r.work > limits.SignatureWork {
			return append(warnings, fmt.Errorf("usersmime: signature of %q: %w", signer.Subject, &limits.Exceeded{What: "signatures of one entry", Max: limits.SignatureChecks}))
		}
		// QUIRK: Outlook signs these blocks with SHA-1. A forger would need a second preimage.
		v := si.Verify(signer, sd.EContentType(), sd.Digests(), cms.VerifyOptions{AllowSHA1: true})
		if v.State != "valid" {
			warnings = append(warnings, fmt.Errorf("usersmime: signature of %q is %s: %v", signer.Subject, v.State, v.Codes))
			continue
		}
		var names []string
		for _, m := range mailbox.Of(signer) {
			names = append(names, m.Address)
		}
		signers := mailbox.NewIndex(names)
		for i := range own {
			f := &own[i]
			if !f.Certificate.Equal(signer) && len(signers.Find(mailbox.Of(f.Certificate)...)) == 0 {
				continue
			}
			f.Published = true
			if isCapabilities(v.Capabilities) {
				f.Capabilities = v.Capabilities
			}
			f.Default = v.EncryptionCertificate != nil && v.EncryptionCertificate.Matches(f.Certificate)
		}
		return warnings
	}
	return warnings
}

// A Block is what [Sign] writes about a user.
type Block struct {
	Certificate  *x509.Certificate   // signs
	Key          crypto.PrivateKey   // of Certificate
	Chain        []*x509.Certificate // of Certificate, nearest issuer first
	Encryption   *x509.Certificate   // to encrypt to, if it is another certificate of the user
	Capabilities []byte              // DER of SMIMECapabilities; nil means what this module reads
	Time         time.Time           // the claimed signing time; zero means now
}

// Sign returns a value of userSMIMECertificate: SignedData with the user's certificates,
// the path as far as there is room, and the capabilities, signed with the user's key. It
// takes no more than [MaxValue] octets: self-signed certificates are left out first, then
// the intermediates from the far end on.
func Sign(b *Block) ([]byte, error) {
	chain := b.Chain
	for {
		value, err := b.sign(chain)
		if err != nil {
			return nil, fmt.Errorf("usersmime: %w", err)
		}
		if len(value) <= MaxValue {
			return value, nil
		}
		if len(chain) == 0 {
			return nil, fmt.Errorf("usersmime: %w", &limits.Exceeded{What: "octets of a userSMIMECertificate value", Max: MaxValue})
		}
		chain = shorten(chain)
	}
}

// shorten drops a self-signed certificate, or else the last one.
func shorten(chain []*x509.Certificate) []*x509.Certificate {
	drop := len(chain) - 1
	for i, c := range chain {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			drop = i
		}
	}
	return append(append([]*x509.Certificate(nil), chain[:drop]...), chain[drop+1:]...)
}

func (b *Block) sign(chain []*x509.Certificate) ([]byte, error) {
	certs := []*x509.Certificate{b.Certificate}
	if b.Encryption != nil && !b.Encryption.Equal(certs[0]) {
		certs = append(certs, b.Encryption)
	}
	signer := &cms.Signer{
		Certificate: b.Certificate, Key: b.Key, Time: b.Time,
		Capabilities: b.Capabilities, EncryptionCertificate: b.Encryption,
	}
	var out bytes.Buffer
	w, err := cms.NewSignedWriter(&out, []*cms.Signer{signer}, append(certs, chain...))
	if err != nil {
		return nil, err
	}
	// RFC 2798 would rather have no content at all, but what Outlook writes has a few
	// octets, so that is what is known to be read.
	if _, err := w.Write([]byte("S/MIME")); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
