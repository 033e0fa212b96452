package hp

import (
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/mimeraw"
)

// A Policy decides what a field of an encrypted message looks like outside (RFC 9788,
// Section 3). keep is false if it is not to stand there at all.
type Policy func(name, value string) (outer string, keep bool)

// Named returns the registered policies: "baseline", which hides subject, comments and
// keywords (RFC 9788, Section 3.2.1), "shy", which hides display names and the time zone
// too (Section 3.2.2), and "no-confidentiality" (Section 3.2.3).
func Named(name string) (Policy, bool) {
	switch name {
	case "baseline":
		return baseline, true
	case "shy":
		return shy, true
	case "no-confidentiality":
		return func(_, value string) (string, bool) { return value, true }, true
	}
	return nil, false
}

func baseline(name, value string) (string, bool) {
	switch strings.ToLower(name) {
	case "subject":
		return "[...]", true
	case "comments", "keywords":
		return "", false
	}
	return value, true
}

func shy(name, value string) (string, bool) {
	switch strings.ToLower(name) {
	case "from", "to", "cc":
		return withoutNames(value), true
	case "date":
		if t, err := mail.ParseDate(value); err == nil {
			return t.Add(-obsoleteZone(t)).UTC().Format(time.RFC1123Z), true
		}
		return value, true
	}
	return baseline(name, value)
}

// obsoleteZone returns how far the zone of t is from UTC where it was named and package time
// does not know it. Only these names mean anything (RFC 5322, Section 4.3).
func obsoleteZone(t time.Time) time.Duration {
	name, offset := t.Zone()
	if offset != 0 {
		return 0
	}
	return time.Hour * map[string]time.Duration{
		"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8,
	}[name]
}

// withoutNames reduces a list of mailboxes to their addresses. What is no such list, and
// a list with groups, stays as it is.
func withoutNames(value string) string {
	list, err := mimeraw.ParseAddresses(value)
	if err != nil || len(list) == 0 {
		return value
	}
	var addresses []string
	for _, a := range list {
		if a.Group != "" {
			return value
		}
		addresses = append(addresses, a.Addr())
	}
	return strings.Join(addresses, ", ")
}

// An Option says how to divide a header.
type Option struct {
	Encrypt bool   // the message is encrypted: there are policies, and HP-Outer says what they did
	Policy  Policy // needed with Encrypt
	// Response is the policy of a message this one answers; see [Protected.Response].
	Response Policy
	// Draft keeps Bcc fields, those of resent messages too, inside the protection only. They
	// are dropped otherwise.
	Draft bool
}

// A Division is the header of a message divided into two.
type Division struct {
	Outer  []byte // for everybody, in CRLF lines, without the structural fields
	Inner  []byte // for inside the protection, structural fields included, without the blank line
	Hidden []Pair // the fields that people are shown and that read otherwise outside
}

// Compose divides the header of a message for the form of RFC 9788, Section 5.2.1. Fields
// go in and out as they were, octet for octet but for line ends. Fields that the way of a
// message adds stay outside; HP-Outer fields it already had are left out.
func Compose(h *mimeraw.Header, opt Option) (*Division, error) {
	d := &Division{}
	contentType, err := contentType(h, opt.Encrypt)
	if err != nil {
		return nil, err
	}
	var structure, record []byte
	if _, n := h.Get("Content-Type"); n == 0 {
		structure = contentType
	}
	for _, f := range h.Fields {
		if f.Name == "" {
			return nil, fmt.Errorf("a line of the header is no field")
		}
		raw := canonical(f.Raw)
		switch {
		case Structural(f.Name):
			switch strings.ToLower(f.Name) {
			case "content-type":
				structure = append(structure, contentType...)
			case "mime-version":
			default:
				structure = append(structure, raw...)
			}
			continue
		case strings.EqualFold(f.Name, "HP-Outer"):
			continue
		case Blind(f.Name):
			if opt.Draft {
				d.Inner = append(d.Inner, raw...)
			}
			continue
		case transport(f.Name):
			d.Outer = append(d.Outer, raw...)
			continue
		}
		d.Inner = append(d.Inner, raw...)
		if !opt.Encrypt {
			d.Outer = append(d.Outer, raw...)
			continue
		}
		value := f.Value()
		shown, keep := opt.outer(f.Name, value)
		if keep {
			if shown != value {
				raw, err = appendField(nil, f.Name, shown)
			}
			var told []byte
			if err == nil {
				told, err = appendField(nil, "HP-Outer", strings.TrimSpace(f.Name+": "+shown))
			}
			switch {
			case err == nil:
				d.Outer = append(d.Outer, raw...)
				record = append(record, told...)
			case needed(f.Name):
				return nil, err
			default:
				// What cannot be told by HP-Outer must not stand outside, or readers would
				// take it for confidential.
				keep, err = false, nil
			}
		}
		if (!keep || shown != value) && userFacing(f.Name) {
			d.Hidden = append(d.Hidden, Pair{f.Name, value})
		}
	}
	d.Inner = append(append(d.Inner, record...), "MIME-Version: 1.0\r\n"...)
	d.Inner = append(d.Inner, structure...)
	return d, nil
}

// needed reports whether a message without the field may not arrive or not be answered.
func needed(name string) bool {
	switch strings.ToLower(name) {
	case "from", "sender", "to", "cc", "date", "message-id":
		return true
	}
	return false
}

// outer applies the policy, and the policy of the message that is answered to what the
// first leaves readable (RFC 9788, Section 5.2.1, step 5).
func (o *Option) outer(name, value string) (string, bool) {
	shown, keep := o.Policy(name, value)
	if keep && shown == value && o.Response != nil {
		return o.Response(name, value)
	}
	return shown, keep
}

func appendField(b []byte, name, value string) ([]byte, error) {
	b, err := mimeraw.AppendField(b, name, value)
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", name, err)
	}
	return b, nil
}

// contentType returns the Content-Type field with the hp parameter. The field is only
// appended to, so that what a sender wrote into it stays.
func contentType(h *mimeraw.Header, encrypt bool) ([]byte, error) {
	param := `hp="clear"`
	if encrypt {
		param = `hp="cipher"`
	}
	value, n := h.Get("Content-Type")
	if n == 0 {
		return []byte("Content-Type: text/plain; charset=us-ascii; " + param + "\r\n"), nil
	}
	if n > 1 {
		return nil, fmt.Errorf("%d Content-Type fields", n)
	}
	t, err := mimeraw.ParseMediaType(value)
	if err != nil {
		return nil, fmt.Errorf("field Content-Type: %w", err)
	}
	if unmark(t) {
		if value, err = mimeraw.FormatMediaType(t.Type, t.Params); err != nil {
			return nil, fmt.Errorf("field Content-Type: %w", err)
		}
		return appendField(nil, "Content-Type", value+"; "+param)
	}
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, "Content-Type") {
			raw := strings.TrimRight(string(canonical(f.Raw)), " \t\r\n;")
			return []byte(raw + ";\r\n\t" + param + "\r\n"), nil
		}
	}
	return nil, nil
}

// unmark takes away what says how a header was protected, and reports whether there was
// any of it.
func unmark(t mimeraw.MediaType) bool {
	_, marked := t.Params["hp"]
	_, drafted := t.Params["protected-headers"]
	delete(t.Params, "hp")
	delete(t.Params, "protected-headers")
	return marked || drafted
}

// Unmarked returns a Content-Type field, in CRLF lines, as it stands on content whose header
// is not protected: on what was opened before, it may say that it is (RFC 9788, Section
// 2.1).
func Unmarked(f mimeraw.Field) []byte {
	t, err := mimeraw.ParseMediaType(f.Value())
	if err == nil && unmark(t) {
		value, err := mimeraw.FormatMediaType(t.Type, t.Params)
		if err == nil {
			if raw, err := appendField(nil, f.Name, value); err == nil {
				return raw
			}
		}
	}
	return canonical(f.Raw)
}

// canonical gives a field CRLF line ends, the last one too.
func canonical(raw []byte) []byte {
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		raw = append(raw[:len(raw):len(raw)], '\n')
	}
	return mimeraw.Canonical(raw)
}
