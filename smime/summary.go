package smime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/mimeraw"
)

// summarise puts the report into one sentence for a mail program to show, and says how
// loud (RFC 9787, Section 3). A broken signature is told quietly: it is worth no more and
// no less than none.
func (r *Report) summarise() {
	_, encrypted := r.protectedBy()
	switch r.Verdict {
	case Authentic:
		r.Severity = "good"
		r.Summary = "Signed by " + r.signerNames()
		if encrypted {
			r.Summary = "Encrypted, and signed by " + r.signerNames()
		}
		if !r.signedByAuthor() && r.Form == "mime" {
			r.Severity, r.Summary = "warning", r.Summary+", who is not the sender"
		}
	case Unsigned:
		r.Severity, r.Summary = "none", "Neither signed nor encrypted"
		switch {
		case encrypted:
			r.Severity, r.Summary = "warning", "Encrypted; nobody signed it, so anybody may have written it"
		case len(r.Parts) > 0:
			r.Severity, r.Summary = "warning", fmt.Sprintf("Not protected as a whole; part %s is %s by itself", r.Parts[0].Place, r.Parts[0].Kind)
		}
	case Unreadable:
		r.Severity, r.Summary = "warning", "Cannot be read"
	default:
		r.Severity, r.Summary = "warning", r.complaint()
		if r.impersonates() {
			r.Severity = "danger"
		}
	}
}

// protectedBy says which protection the layers give to whoever could read them.
func (r *Report) protectedBy() (signed, encrypted bool) {
	for _, l := range r.Layers {
		signed = signed || l.Kind == "signed"
		encrypted = encrypted || l.Kind == "encrypted" && l.Decrypted
	}
	return signed, encrypted
}

// impersonates reports whether a message that somebody signed shows another author.
func (r *Report) impersonates() bool {
	for _, l := range r.Layers {
		for _, s := range l.Signatures {
			if s.Crypto == "valid" && s.Address == "mismatch" {
				return true
			}
		}
	}
	return false
}

// complaint says what is wrong with a message that is not authentic, the weightiest first.
func (r *Report) complaint() string {
	has := func(prefixes ...string) bool {
		for _, c := range r.Codes {
			for _, p := range prefixes {
				if c == p || strings.HasSuffix(p, ".") && strings.HasPrefix(c, p) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case has("decrypt.no_key"):
		return "Encrypted, to keys that are not at hand"
	case has("decrypt.weak_cipher"):
		return "Encrypted with a cipher that is too weak"
	case has("decrypt."):
		return "Encrypted, and cannot be decrypted"
	case has("relay."):
		return "Changed by a mail system on its way, after it was signed"
	case has("digest.mismatch"):
		return "Changed after it was signed"
	case has("cms.certs_only"):
		return "A delivery of certificates; nobody signed it"
	case has("cms.two_contents", "cms.no_signers", "cms.", "mime.", "attr."):
		return "Damaged or made to mislead; it counts as not signed"
	case has("from.") && r.vouched():
		return "Signed by " + r.signerNames() + ", but it does not say who sent it"
	case has("address.") && r.vouched():
		return "Signed by " + r.signerNames() + ", who is not the sender"
	case has("rev.revoked", "rev.on_hold"):
		return "Signed with a certificate that was revoked"
	case has("rev."):
		return "Signed; whether the certificate was revoked cannot be found out"
	case has("time."):
		return "Signed with a certificate that is not valid now"
	case has("path.", "ca.", "nc.", "policy.", "eku.", "ku."):
		return "Signed by somebody nobody you trust vouches for"
	case has("sig.required"):
		return "A signature that must be there is missing"
	case has("sig.ciphertext_only"):
		return "Only the encryption around it is signed; nobody signed what it says"
	}
	return "The signature is not good; it counts as not signed"
}

// vouched reports whether somebody good for it says who made one of the signatures.
// Anybody can put another's certificate, or one of his own making, beside a signature.
func (r *Report) vouched() bool {
	return slices.ContainsFunc(r.Layers, func(l *Layer) bool {
		return slices.ContainsFunc(l.Signatures, func(s *Signature) bool { return s.good(true) })
	})
}

// signerNames lists the addresses in the certificates of the good signatures of the
// innermost layer that has any, or the subjects of those without.
func (r *Report) signerNames() string {
	var names []string
	for i := len(r.Layers) - 1; i >= 0 && len(names) == 0; i-- {
		for _, s := range r.Layers[i].Signatures {
			if s.Signer == nil || !s.good(true) {
				continue
			}
			name := s.Signer.Subject
			switch {
			case s.Address == "match" && r.author != "":
				name = r.author
			case len(s.Signer.Mailboxes) > 0:
				name = s.Signer.Mailboxes[0]
			}
			if name, _ = mimeraw.Harmless(name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return "somebody unknown"
	}
	return strings.Join(names, " and ")
}
