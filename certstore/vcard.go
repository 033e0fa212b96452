package certstore

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/postseal/postseal/internal/bundle"
)

// isVCard reports whether data is a vCard (RFC 6350) or several.
func isVCard(data []byte) bool {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return len(data) >= 11 && strings.EqualFold(string(data[:11]), "BEGIN:VCARD")
}

// readVCard reads the KEY properties of vCards (RFC 6350, Section 6.8.1) that hold
// certificates inline: in base64 after ENCODING=b or BASE64 (RFC 2426, Section 3.7.2, and
// vCard 2.1), or in a data URI. Each is filed under the card's first EMAIL. A KEY that is a
// link is not followed.
func readVCard(data []byte, name string) (entries []Entry, errs []error) {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	// A line that begins with white space goes on (RFC 6350, Section 3.2).
	data = bytes.ReplaceAll(data, []byte("\n "), nil)
	data = bytes.ReplaceAll(data, []byte("\n\t"), nil)
	address, first := "", 0 // first entry of this card
	for line := range strings.SplitSeq(string(data), "\n") {
		head, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		if !ok {
			continue
		}
		property, params, _ := strings.Cut(strings.ToUpper(head), ";")
		if i := strings.LastIndexByte(property, '.'); i >= 0 {
			property = property[i+1:] // a group
		}
		switch property {
		case "BEGIN":
			address, first = "", len(entries)
		case "EMAIL":
			if address == "" {
				address = strings.TrimSpace(strings.TrimPrefix(value, "mailto:"))
			}
		case "END":
			for i := first; i < len(entries); i++ {
				entries[i].Address = address
			}
		case "KEY":
			inline := strings.Contains(params, "ENCODING=B") || strings.Contains(params, "BASE64")
			if _, body, ok := strings.Cut(value, ";base64,"); ok && strings.HasPrefix(value, "data:") {
				value, inline = body, true
			}
			if !inline {
				continue
			}
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
			if err != nil {
				errs = append(errs, errors.New("KEY that is not base64"))
				continue
			}
			b, err := bundle.Parse(der)
			if err != nil {
				continue // an OpenPGP key
			}
			for _, c := range b.Certificates {
				entries = append(entries, Entry{Certificate: c, Source: name})
			}
			errs = append(errs, b.Warnings...)
		}
	}
	return entries, errs
}
