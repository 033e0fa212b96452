package smime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// A Policy is what an administrator decides, for everybody and beforehand. The zero value
// is the strict one: nothing weak, certificates checked for revocation when sending and
// receiving, nobody's Bcc shown to others. It marshals to JSON and back; unmarshalling
// refuses a field it does not know, because ignoring one could drop a restriction.
//
// [Policy.Evaluate] decides about a message and [Policy.Inherit] about the answer to one;
// [Policy.Composer], [Policy.Resolver], [Policy.Opener] and [Policy.Verifier] carry the
// decisions out. [ParseSmimeConfig] reads a Policy out of Exchange's settings.
type Policy struct {
	// Sign and Encrypt make every outgoing message signed or encrypted. What cannot be
	// is not sent.
	Sign    bool `json:"sign,omitempty"`
	Encrypt bool `json:"encrypt,omitempty"`
	// TripleWrap signs again outside the encryption wherever a message is signed and
	// encrypted (RFC 2634, Section 1.1).
	TripleWrap bool `json:"triple_wrap,omitempty"`
	// ReplyUnsigned lets the reply to a signed message go out unsigned unless Sign or a
	// rule says otherwise. A reply always inherits encryption.
	ReplyUnsigned bool `json:"reply_unsigned,omitempty"`

	// Opaque, Include and RecipientKeyID are those of [Composer].
	Opaque         bool   `json:"opaque,omitempty"`
	Include        string `json:"include,omitempty"`
	RecipientKeyID bool   `json:"recipient_key_id,omitempty"`
	// OmitCapabilities leaves the smimeCapabilities attribute out of signatures, so that
	// correspondents do not learn which ciphers can be used (RFC 8551, Section 2.5.2).
	OmitCapabilities bool `json:"omit_capabilities,omitempty"`
	// ProtectHeaders is that of [Composer].
	ProtectHeaders string `json:"protect_headers,omitempty"`

	// Digests and Ciphers are the algorithms to use, the most wanted first. Empty means
	// what Composer chooses. Weak ones may stand in the lists, as they do in settings
	// that are read; they are never used to write. A replacement by an algorithm of the
	// sender's own is written "3des-cbc,1.2.3.4".
	Digests []string `json:"digests,omitempty"`
	Ciphers []string `json:"ciphers,omitempty"`
	// FixedCipher uses the first cipher of Ciphers that is not weak, whatever the
	// recipients are known to read.
	FixedCipher bool `json:"fixed_cipher,omitempty"`
	// Accept lists what is accepted in messages received beyond the strict rules:
	// "unsigned", "sha1", "md5", "legacy-ciphers", "short-tags", "mismatched-sender".
	Accept []string `json:"accept,omitempty"`

	// Bcc says how Bcc recipients of an encrypted message are served: "each" with a copy
	// of their own, "together" with one copy for all of them, or "refuse". Empty means
	// "each". "shared" puts them into the message everybody gets, where everybody can
	// count and identify them; it is understood in settings and composes as "refuse".
	Bcc string `json:"bcc,omitempty"`
	// SecondaryAddresses also accepts certificates for a person's other addresses.
	SecondaryAddresses bool `json:"secondary_addresses,omitempty"`
	// GroupMillis bounds the expansion of each group, in milliseconds; 0 means 60,000.
	GroupMillis uint32 `json:"group_millis,omitempty"`

	// HardwareKeys uses only private keys that cannot leave their device: keys of other
	// types than those in memory that this module and the standard library have.
	HardwareKeys bool `json:"hardware_keys,omitempty"`
	// UserChoosesSigner leaves the choice among several signing certificates to the user.
	// Otherwise the one with the newest notBefore signs.
	UserChoosesSigner bool `json:"user_chooses_signer,omitempty"`
	// ShowAttributes lists the subject attributes, as dotted OIDs, to show where a
	// signature is accepted although the address does not match.
	ShowAttributes []string `json:"show_attributes,omitempty"`

	// NoRevocation switches revocation checking off altogether. SoftRevocationOnSend
	// sends although the status of a certificate cannot be found out.
	NoRevocation         bool `json:"no_revocation,omitempty"`
	SoftRevocationOnSend bool `json:"soft_revocation_on_send,omitempty"`
	// FetchMillis and FetchTotalMillis bound one fetch and all fetches of one validation,
	// in milliseconds; 0 means 10,000. The smaller bound wins.
	FetchMillis      uint32 `json:"fetch_millis,omitempty"`
	FetchTotalMillis uint32 `json:"fetch_total_millis,omitempty"`
	// IssuingCAs is the virtual certificate collection, in any form that
	// [chain.ReadCollection] takes. Nothing else is trusted.
	IssuingCAs []byte `json:"issuing_cas,omitempty"`

	// Rules decide about single messages; see [Policy.Evaluate].
	Rules []Rule `json:"rules,omitempty"`

	// Kept holds settings that were read and have no meaning here, as they were written.
	// Nothing acts on them.
	Kept map[string]string `json:"kept,omitempty"`
}

// A Note is a remark about one setting, header field or certificate.
type Note struct {
	About    string `json:"about"`    // what it is about, such as "OWABCCEncryptedEmailForking"
	Code     string `json:"code"`     // stable, dotted, lower case
	Severity string `json:"severity"` // "info", "warning" or "error"
	Detail   string `json:"detail"`   // one sentence for people
}

// UnmarshalJSON reads what marshalling wrote. It refuses fields it does not know and
// values that [Policy.Validate] refuses, and leaves p alone if it returns an error.
func (p *Policy) UnmarshalJSON(data []byte) error {
	type plain Policy
	var q plain
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return fmt.Errorf("smime: policy: %w", err)
	}
	if err := (*Policy)(&q).Validate(); err != nil {
		return err
	}
	*p = Policy(q)
	return nil
}

// Validate reports the first value of the policy that means nothing, by name.
func (p *Policy) Validate() error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"include", p.Include, []string{"", "none", "leaf", "chain", "chain+root"}},
		{"protect_headers", p.ProtectHeaders, []string{"", "baseline", "shy", "no-confidentiality", "off"}},
		{"bcc", p.Bcc, []string{"", "each", "together", "refuse", "shared"}},
	} {
		if !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("smime: policy: %s: %q is not one of %q", f.name, f.value, f.allowed[1:])
		}
	}
	for _, name := range p.Digests {
		if _, ok := knownDigest(name); !ok {
			return fmt.Errorf("smime: policy: digests: unknown digest %q", name)
		}
	}
	for _, name := range p.Ciphers {
		if _, ok := knownCipher(name); !ok {
			return fmt.Errorf("smime: policy: ciphers: unknown cipher %q", name)
		}
	}
	for _, name := range p.Accept {
		if !slices.Contains([]string{"unsigned", "sha1", "md5", "legacy-ciphers", "short-tags", "mismatched-sender"}, name) {
			return fmt.Errorf("smime: policy: accept: unknown word %q", name)
		}
	}
	for i := range p.Rules {
		if err := p.Rules[i].validate(); err != nil {
			return fmt.Errorf("smime: policy: rules[%d]: %w", i, err)
		}
	}
	return nil
}

// strongFirst returns the first name of the list that may be used to write, or "".
func strongFirst(names []string, known func(string) (strong, ok bool)) string {
	for _, name := range names {
		if strong, ok := known(name); ok && strong {
			return name
		}
	}
	return ""
}

// knownDigest reports whether a digest has a name here, and whether it may be written.
func knownDigest(name string) (strong, ok bool) {
	switch name {
	case "sha256", "sha384", "sha512", "shake128", "shake256":
		return true, true
	case "sha1", "md5":
		return false, true
	}
	return false, false
}

// knownCipher is knownDigest for ciphers. An algorithm of the sender's own is known by
// the cipher it stands for, and nobody here can write it.
func knownCipher(name string) (strong, ok bool) {
	if class, own, found := cutOID(name); found {
		_, ok := knownCipher(class)
		return false, ok && own != ""
	}
	switch name {
	case "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm", "chacha20-poly1305":
		return true, true
	case "des-cbc", "3des-cbc", "rc2-40-cbc", "rc2-56-cbc", "rc2-64-cbc", "rc2-128-cbc":
		return false, true
	}
	return false, false
}
