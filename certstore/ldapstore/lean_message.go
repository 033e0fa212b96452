package ldapstore

import (
	"bufio"
	"errors"
	"io"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
)

// readMessage reads the content of one message. Nothing is allocated by its claim: the
// guard below has bounded it, and it grows with what comes.
func readMessage(r *bufio.Reader) (tlv, error) {
	header, err := r.Peek(2)
	if err != nil {
		return nil, unexpected(err)
	}
	if header[0] != byte(asn1.SEQUENCE) {
		return nil, errFraming
	}
	n := 2
	if header[1] > 0x80 {
		n += int(header[1] & 0x7f)
	}
	if header, err = r.Peek(n); err != nil {
		return nil, unexpected(err)
	}
	length, err := messageLength(header)
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(n); err != nil {
		return nil, err
	}
	const chunk = 64 << 10
	var message []byte
	for left := length; left > 0; {
		k := int(min(left, chunk))
		at := len(message)
		message = append(message, make([]byte, k)...)
		if _, err := io.ReadFull(r, message[at:]); err != nil {
			return nil, unexpected(err)
		}
		left -= int64(k)
	}
	return message, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A tlv is a run of BER elements of LDAP: tags of one octet and definite lengths, which
// need not be the shortest (RFC 4511, Section 5.1); Active Directory's are not.
type tlv []byte

// any takes the next element.
func (t *tlv) any(tag *asn1.Tag, content *tlv) bool {
	b := *t
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return false
	}
	*tag = asn1.Tag(b[0])
	n, length := 2, uint64(b[1])
	if b[1] >= 0x80 {
		k := int(b[1] & 0x7f)
		if k == 0 || k > 8 || len(b) < 2+k {
			return false
		}
		n, length = 2+k, 0
		for _, o := range b[2:n] {
			length = length<<8 | uint64(o)
		}
	}
	if length > uint64(len(b)-n) {
		return false
	}
	*content, *t = b[n:n+int(length)], b[n+int(length):]
	return true
}

// element takes the next element and gives it whole, and its content.
func (t *tlv) element(whole, content *tlv) bool {
	before := *t
	var tag asn1.Tag
	if !t.any(&tag, content) {
		return false
	}
	*whole = before[:len(before)-len(*t)]
	return true
}

// take takes the next element if it has the given tag.
func (t *tlv) take(want asn1.Tag, content *tlv) bool {
	var tag asn1.Tag
	rest := *t
	if !rest.any(&tag, content) || tag != want {
		return false
	}
	*t = rest
	return true
}

func (t tlv) integer() (n int64, ok bool) {
	if len(t) == 0 || len(t) > 8 {
		return 0, false
	}
	n = int64(int8(t[0]))
	for _, b := range t[1:] {
		n = n<<8 | int64(b)
	}
	return n, true
}

// entry reads
//
//	SearchResultEntry ::= [APPLICATION 4] SEQUENCE {
//	  objectName LDAPDN, attributes SEQUENCE OF SEQUENCE { type OCTET STRING, vals SET OF OCTET STRING } }
func (t tlv) entry() (*ldap.Entry, bool) {
	var name, list, attribute, description, set, value tlv
	if !t.take(asn1.OCTET_STRING, &name) || !t.take(asn1.SEQUENCE, &list) {
		return nil, false
	}
	e := &ldap.Entry{DN: string(name)}
	for len(list) > 0 {
		if !list.take(asn1.SEQUENCE, &attribute) || !attribute.take(asn1.OCTET_STRING, &description) || !attribute.take(asn1.SET, &set) || len(e.Attributes) == limits.Attributes {
			return nil, false
		}
		a := &ldap.EntryAttribute{Name: string(description)}
		for len(set) > 0 {
			if !set.take(asn1.OCTET_STRING, &value) {
				return nil, false
			}
			a.ByteValues = append(a.ByteValues, value)
		}
		e.Attributes = append(e.Attributes, a)
	}
	return e, true
}

// result reads
//
//	LDAPResult ::= SEQUENCE { resultCode ENUMERATED, matchedDN LDAPDN, diagnosticMessage LDAPString, ... }
//
// and returns nil if it is success.
func (t tlv) result() error {
	var code, matched, text tlv
	if !t.take(asn1.ENUM, &code) || !t.take(asn1.OCTET_STRING, &matched) || !t.take(asn1.OCTET_STRING, &text) {
		return errFraming
	}
	n, ok := code.integer()
	if !ok || n < 0 || n >= ldap.ErrorNetwork {
		return errFraming
	}
	if n == ldap.LDAPResultSuccess {
		return nil
	}
	return &ldap.Error{ResultCode: uint16(n), MatchedDN: string(matched), Err: errors.New(string(text))}
}
