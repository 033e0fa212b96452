package smime

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/mail"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/postseal/postseal/internal/mailbox"
)

// A Rule says what happens to the messages it matches. It matches if every condition that
// is set holds; a Rule without conditions matches every message.
//
// An entry of From or To is an address (alice@example.org), a domain (@example.org) or a
// domain with everything below it (.example.org). Addresses compare as in certificates.
type Rule struct {
	Name string `json:"name,omitempty"` // for reasons and logs

	From []string `json:"from,omitempty"` // the sender is one of these
	To   []string `json:"to,omitempty"`   // at least one recipient is one of these
	// Header maps field names to text that a field of that name must contain, without
	// regard to ASCII case. Empty text asks only that there is such a field.
	Header  map[string]string `json:"header,omitempty"`
	MinSize int64             `json:"min_size,omitempty"` // the message has at least so many bytes
	MaxSize int64             `json:"max_size,omitempty"` // at most so many; 0 means no bound

	// Action is "sign", "encrypt", "seal" (both), "triple" (both, and signed again),
	// "leave", "hold" or "reject".
	Action string `json:"action"`
}

// Evaluate decides what to do with a message before it is sent, and says why. The action
// is one of those of [Rule], "seal" where signing and encryption were both asked for.
//
// p.Sign and p.Encrypt always count. The rules are tried in order and their actions add
// up; the first matching "reject", "hold" or "leave" ends the list. Reject and hold win
// over everything before them, leave over nothing: it only spares the message the rules
// that follow. A rule that means nothing rejects, and so does a rule that asks for
// addresses where one of those given is none, or for text of a field that cannot be
// decoded: nobody can tell whom or what it means.
//
// from is the sender's address, empty if there is none, and to those of all recipients,
// Bcc included. A gateway that may treat recipients differently asks once for each.
func (p *Policy) Evaluate(from string, to []string, header mail.Header, size int64) (action string, reasons []string) {
	sign, encrypt, triple := p.Sign, p.Encrypt, false
	if p.Sign {
		reasons = append(reasons, "policy: every message is signed")
	}
	if p.Encrypt {
		reasons = append(reasons, "policy: every message is encrypted")
	}
rules:
	for i := range p.Rules {
		r := &p.Rules[i]
		if who, odd := r.puzzled(from, to); odd {
			return "reject", append(reasons, fmt.Sprintf("rule %s: %q is no address: reject", r.title(i), clip(who)))
		}
		why, unread, ok := r.match(from, to, header, size)
		switch {
		case !ok:
			continue
		case unread != "":
			return "reject", append(reasons, fmt.Sprintf("rule %s: field %s cannot be decoded: reject", r.title(i), unread))
		}
		reasons = append(reasons, fmt.Sprintf("rule %s: %s: %s", r.title(i), why, r.Action))
		switch r.Action {
		case "sign":
			sign = true
		case "encrypt":
			encrypt = true
		case "seal":
			sign, encrypt = true, true
		case "triple":
			sign, encrypt, triple = true, true, true
		case "leave":
			break rules
		case "hold":
			return "hold", reasons
		default:
			return "reject", reasons
		}
	}
	switch {
	case sign && encrypt && (triple || p.TripleWrap):
		return "triple", reasons
	case sign && encrypt:
		return "seal", reasons
	case sign:
		return "sign", reasons
	case encrypt:
		return "encrypt", reasons
	}
	return "leave", reasons
}

func (r *Rule) title(i int) string {
	if r.Name != "" {
		return fmt.Sprintf("%q", r.Name)
	}
	return fmt.Sprintf("%d", i+1)
}

// puzzled returns the first of the addresses that the rule asks for and cannot read.
func (r *Rule) puzzled(from string, to []string) (string, bool) {
	var asked []string
	if len(r.From) > 0 && from != "" {
		asked = append(asked, from)
	}
	if len(r.To) > 0 {
		asked = append(asked, to...)
	}
	for _, a := range asked {
		if _, _, ok := mailbox.Split(a); !ok {
			return a, true
		}
	}
	return "", false
}

// match reports whether every condition holds, and the reason in words; unread is the name
// of a field of which nobody can tell.
func (r *Rule) match(from string, to []string, header mail.Header, size int64) (reason, unread string, ok bool) {
	var why []string
	if len(r.From) > 0 {
		who, ok := matchAny([]string{from}, r.From)
		if !ok {
			return "", "", false
		}
		why = append(why, "sender "+who)
	}
	if len(r.To) > 0 {
		who, ok := matchAny(to, r.To)
		if !ok {
			return "", "", false
		}
		why = append(why, "recipient "+who)
	}
	for _, name := range sortedKeys(r.Header) {
		switch found, read := fieldContains(header, name, r.Header[name]); {
		case !read:
			unread = name
		case !found:
			return "", "", false
		}
		why = append(why, fmt.Sprintf("field %s contains %q", name, r.Header[name]))
	}
	if size < r.MinSize || r.MaxSize > 0 && size > r.MaxSize {
		return "", "", false
	}
	if r.MinSize > 0 || r.MaxSize > 0 {
		why = append(why, fmt.Sprintf("%d bytes", size))
	}
	if len(why) == 0 {
		return "every message", unread, true
	}
	return strings.Join(why, ", "), unread, true
}

// matchAny returns the first address that one of the patterns stands for.
func matchAny(addresses, patterns []string) (string, bool) {
	for _, a := range addresses {
		_, domain, ok := mailbox.Split(a)
		if !ok {
			continue
		}
		for _, pattern := range patterns {
			switch {
			case strings.HasPrefix(pattern, "@"):
				if d, ok := mailbox.Domain(pattern[1:]); ok && d == domain {
					return a, true
				}
			case strings.HasPrefix(pattern, "."):
				if d, ok := mailbox.Domain(pattern[1:]); ok && (d == domain || strings.HasSuffix(domain, "."+d)) {
					return a, true
				}
			case mailbox.Compare(a, mailbox.Mailbox{Address: pattern}) != mailbox.Different:
				return a, true
			}
		}
	}
	return "", false
}

// fieldContains reports whether a field of a name contains text as a person reads it, with
// its encoded words (RFC 2047) decoded. read is false if it may, in a character set or an
// encoding that is unknown here and perhaps not to the reader.
func fieldContains(h mail.Header, name, text string) (found, read bool) {
	words := mime.WordDecoder{CharsetReader: decodeCharset}
	text, read = strings.ToLower(text), true
	for fields := h.FieldsByKey(name); fields.Next(); {
		value, err := words.DecodeHeader(fields.Value())
		if err != nil {
			value = fields.Value()
		}
		if strings.Contains(strings.ToLower(value), text) {
			return true, true
		}
		if _, rest, left := strings.Cut(value, "=?"); left && strings.Contains(rest, "?=") || !utf8.ValidString(value) && !isASCII(text) {
			read = false
		}
	}
	return false, read
}

// decodeCharset is for encoded words in character sets other than UTF-8, ASCII and
// ISO 8859-1. The language that a word may name does not matter (RFC 2231, Section 5).
func decodeCharset(charset string, in io.Reader) (io.Reader, error) {
	charset, _, _ = strings.Cut(charset, "*")
	e, err := htmlindex.Get(charset)
	if err != nil || e == encoding.Replacement {
		return nil, fmt.Errorf("smime: unknown character set %q", charset)
	}
	return e.NewDecoder().Reader(in), nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (r *Rule) validate() error {
	switch r.Action {
	case "sign", "encrypt", "seal", "triple", "leave", "hold", "reject":
	default:
		return fmt.Errorf("action %q is not sign, encrypt, seal, triple, leave, hold or reject", r.Action)
	}
	for _, pattern := range slices.Concat(r.From, r.To) {
		ok := false
		if strings.HasPrefix(pattern, "@") || strings.HasPrefix(pattern, ".") {
			_, ok = mailbox.Domain(pattern[1:])
		} else {
			_, _, ok = mailbox.Split(pattern)
		}
		if !ok {
			return fmt.Errorf("%q is no address, @domain or .domain", pattern)
		}
	}
	if r.MinSize < 0 || r.MaxSize < 0 || r.MaxSize > 0 && r.MinSize > r.MaxSize {
		return errors.New("min_size and max_size leave no size")
	}
	return nil
}
