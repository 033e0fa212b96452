package smime

import (
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
)

// A Verdict is the one answer about a message.
type Verdict string

const (
	// Authentic: a good, trusted signature of the author covers the content.
	Authentic Verdict = "authentic"
	// Unsigned: nobody signed the content; nothing else is wrong.
	Unsigned Verdict = "unsigned"
	// NotAuthentic: the message was read and something about it is not good.
	NotAuthentic Verdict = "not-authentic"
	// Unreadable: the input is no message, is beyond a limit, or could not be read.
	Unreadable Verdict = "unreadable"
)

// A Report is what was found out about a message. It marshals to the JSON object of the
// command-line contract. Everything in it may be shown for any message; nothing in it is
// proven unless Verdict is Authentic.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Codes says why the message is not authentic: stable, dotted, lower case.
	Codes []string `json:"codes"`
	// Warnings are observations that did not change the verdict, in the same form.
	Warnings []string `json:"warnings,omitempty"`
	// Form is "mime" for a message and "cms" for a bare CMS structure.
	Form string `json:"form"`
	// Summary is one sentence for a mail program to show, and Severity how: "good",
	// "none" (nothing need be shown), "warning", or "danger" if somebody seems to pass for
	// somebody else.
	Summary  string `json:"summary"`
	Severity string `json:"severity"`
	// Layers are the protection layers, outermost first.
	Layers []*Layer `json:"layers"`
	// From is the author the signatures were compared with, or what stands in From.
	From string `json:"from,omitempty"`
	// Subject is the subject, protected where header protection gives one.
	Subject string `json:"subject,omitempty"`
	// HeaderProtection is how the header is protected together with the content: "clear"
	// and "cipher" (RFC 9788), "draft" or "wrapped" (older forms), or empty if it is not.
	HeaderProtection string `json:"header_protection,omitempty"`
	// Notes tell where the header that arrived differs from the protected one.
	Notes []Note `json:"notes,omitempty"`
	// Parts are protected parts inside the content, in the message's order, with Place,
	// Kind and Form. They were neither verified nor decrypted, and say nothing about the
	// message.
	Parts []*Layer `json:"parts,omitempty"`
	// Content describes the content that was released; nil if none was.
	Content *Content `json:"content,omitempty"`

	author            string // the address the signatures were compared with; empty if there is none
	protection        *protection
	signed, encrypted bool // of what is protected
}

// Content describes the innermost entity of a message.
type Content struct {
	Type   string `json:"type"`   // media type, lower case, without parameters
	Bytes  int64  `json:"bytes"`  // its length, header included
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}

// A Layer is one CMS structure around the content. Kind says which fields matter.
type Layer struct {
	// Place is empty for layers around the content. For a part inside it, it is the number
	// of the part, and of those it is in, from the outside: "2.1". The message inside a
	// message/rfc822 counts as its part 1.
	Place string
	// Kind is "signed", "encrypted", "compressed" or "certs-only", and for a bare structure
	// also "authenticated", "digested" or "data", which say nothing about who made it.
	Kind string
	// Verdict is about this layer alone: Authentic for one with a good signature, over
	// whatever is inside, Unsigned for one that nobody signs by it and that was read,
	// NotAuthentic for any other. What the message is, the layers decide together. It is
	// empty for parts inside the content, which nobody looked into.
	Verdict Verdict
	// Form is "multipart", "opaque" or "detached" for signed layers, "enveloped",
	// "auth-enveloped" or "encrypted-data" for encrypted ones.
	Form string

	Signatures []*Signature // signed: one for each SignerInfo, in the message's order

	Cipher        string       // encrypted: such as "aes256-cbc"
	Authenticated bool         // encrypted: the cipher protects integrity (RFC 5083); authenticated: the code is right
	Decrypted     bool         // encrypted: the plaintext was recovered completely
	Recipients    []*Recipient // encrypted, authenticated: in the message's order

	Algorithm    string // compressed: "zlib"; authenticated: such as "hmac-sha256"; digested: such as "sha256"
	Certificates int    // certs-only: how many; see Delivered

	certificates []*x509.Certificate // certs-only
	crls         [][]byte
}

// A Signature is the outcome for one SignerInfo (RFC 5652, Section 5.3).
type Signature struct {
	Crypto  string   `json:"crypto"`  // "valid", "invalid" or "unsupported"
	Trust   string   `json:"trust"`   // "valid", "invalid", "indeterminate" or "not-checked"
	Address string   `json:"address"` // "match", "mismatch", "none" or "not-checked"
	Codes   []string `json:"codes"`   // why one of the three is not good, and remarks

	Digest    string  `json:"digest,omitempty"`    // such as "sha256"
	Algorithm string  `json:"algorithm,omitempty"` // such as "rsa-pkcs1"
	Signer    *Signer `json:"signer,omitempty"`    // nil if no certificate was found
	// ClaimedTime is when the signer says it signed. Nobody checked it.
	ClaimedTime *time.Time `json:"claimed_time,omitempty"`
	// Timestamps (RFC 3161, Appendix A) and Countersignatures (RFC 5652, Section 11.4) stand
	// beside a valid signature and are over it, not over the message: anybody can add one
	// or take it away, and Address is "not-checked". A time stamp that is Used made the
	// certificate good; apart from that they change nothing.
	Timestamps        []*Signature `json:"timestamps,omitempty"`
	Countersignatures []*Signature `json:"countersignatures,omitempty"`
	// Time is set for a time stamp alone: when the signature that it stands beside existed
	// at the latest (RFC 3161), which counts only if Crypto and Trust are "valid". Used says
	// that the signer's certificate was judged as of then, because it is not good any more.
	Time time.Time `json:"time,omitzero"`
	Used bool      `json:"used,omitempty"`
	// Path is the proof that the signer's certificate was acceptable; nil if it was not.
	Path *chain.Path `json:"-"`

	remarks []string   // those of Codes that speak against nothing
	stamp   *Signature // the one that is Used

	// What Resolver.Learn needs to know.
	certificate   *x509.Certificate
	bag           []*x509.Certificate // that came with the signature; untrusted
	capabilities  []byte
	keyPreference *cms.CertificateID
}

// good reports whether all three answers hold.
func (s *Signature) good(mismatchAllowed bool) bool {
	address := s.Address == "match" || s.Address == "not-checked" || mismatchAllowed
	return s.Crypto == "valid" && s.Trust == "valid" && address
}

// A Signer describes a signer's certificate.
type Signer struct {
	Subject   string   `json:"subject"`   // RFC 4514
	Serial    string   `json:"serial"`    // lower-case hexadecimal
	Mailboxes []string `json:"mailboxes"` // as the certificate writes them
	SHA256    string   `json:"sha256"`    // of the certificate, lower-case hexadecimal
}

// A Recipient describes one RecipientInfo (RFC 5652, Section 6.2).
type Recipient struct {
	Kind      string `json:"kind"` // "ktri", "kari", "kekri", "pwri" or "kemri"
	Algorithm string `json:"algorithm"`
	ID        string `json:"id"`
	Used      bool   `json:"used"` // the plaintext was sought through this one
}

// MarshalJSON writes the fields that matter for the layer's kind.
func (l *Layer) MarshalJSON() ([]byte, error) {
	type named struct {
		Place   string  `json:"place,omitempty"`
		Kind    string  `json:"kind"`
		Form    string  `json:"form,omitempty"`
		Verdict Verdict `json:"verdict,omitempty"`
	}
	head := named{l.Place, l.Kind, l.Form, l.Verdict}
	if l.Place != "" {
		return json.Marshal(head)
	}
	switch l.Kind {
	case "signed":
		return json.Marshal(struct {
			named
			Signatures []*Signature `json:"signatures"`
		}{head, nonNil(l.Signatures)})
	case "encrypted":
		return json.Marshal(struct {
			named
			Cipher        string       `json:"cipher"`
			Authenticated bool         `json:"authenticated"`
			Decrypted     bool         `json:"decrypted"`
			Recipients    []*Recipient `json:"recipients"`
		}{head, l.Cipher, l.Authenticated, l.Decrypted, nonNil(l.Recipients)})
	case "authenticated":
		return json.Marshal(struct {
			named
			Algorithm     string       `json:"algorithm"`
			Authenticated bool         `json:"authenticated"`
			Recipients    []*Recipient `json:"recipients"`
		}{head, l.Algorithm, l.Authenticated, nonNil(l.Recipients)})
	case "compressed", "digested":
		return json.Marshal(struct {
			named
			Algorithm string `json:"algorithm"`
		}{head, l.Algorithm})
	case "data":
		return json.Marshal(head)
	}
	return json.Marshal(struct {
		named
		Certificates int `json:"certificates"`
	}{head, l.Certificates})
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
