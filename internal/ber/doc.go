// Package ber reads and writes the Basic Encoding Rules of ASN.1 (X.690) as a stream.
//
// [Reader] is a pull tokenizer: it hands out one element header at a time, streams the
// content of octet strings of any size, and returns small structures whole, as received
// ([Reader.Raw]) or with the framing of DER ([Reader.Element]) for a DER parser to read.
// [Writer] streams elements of indefinite length. Nothing recurses, nothing is allocated
// from a length the input claims, and nesting is bounded by the constants of package
// limits.
package ber

import (
	"errors"
	"fmt"
	"io"
)

// A Tag is the class and number of an element, without the bit that says whether it is
// constructed. Numbers up to 2^28-1 are supported.
type Tag uint32

// Classes of tags other than universal (X.690, Section 8.1.2.2).
const (
	classApplication Tag = 1 << 30
	classContext     Tag = 2 << 30
	classPrivate     Tag = 3 << 30
	numberMask       Tag = 1<<28 - 1
)

// Universal tags (X.680, Section 8.4).
const (
	Boolean          Tag = 1
	Integer          Tag = 2
	BitString        Tag = 3
	OctetString      Tag = 4
	Null             Tag = 5
	ObjectIdentifier Tag = 6
	Enumerated       Tag = 10
	UTF8String       Tag = 12
	Sequence         Tag = 16
	Set              Tag = 17
	NumericString    Tag = 18
	PrintableString  Tag = 19
	TeletexString    Tag = 20
	VideotexString   Tag = 21
	IA5String        Tag = 22
	UTCTime          Tag = 23
	GeneralizedTime  Tag = 24
	GraphicString    Tag = 25
	VisibleString    Tag = 26
	GeneralString    Tag = 27
	UniversalString  Tag = 28
	BMPString        Tag = 30
)

// Context returns the context-specific tag [n].
func Context(n uint32) Tag { return classContext | Tag(n)&numberMask }

// Number returns the tag's number within its class.
func (t Tag) Number() uint32 { return uint32(t & numberMask) }

// String returns the tag in the notation of ASN.1, such as "[0]" or "[UNIVERSAL 16]".
func (t Tag) String() string {
	class := ""
	switch t &^ numberMask {
	case 0:
		class = "UNIVERSAL "
	case classApplication:
		class = "APPLICATION "
	case classPrivate:
		class = "PRIVATE "
	}
	return fmt.Sprintf("[%s%d]", class, t.Number())
}

// isString reports whether t is a universal string or time type, which BER lets a sender
// cut into segments (X.690, Sections 8.6, 8.7 and 8.23).
func (t Tag) isString() bool {
	switch t {
	case BitString, OctetString, UTF8String, NumericString, PrintableString, TeletexString,
		VideotexString, IA5String, UTCTime, GeneralizedTime, GraphicString, VisibleString,
		GeneralString, UniversalString, BMPString:
		return true
	}
	return false
}

// A Header is the identifier and length of one element.
type Header struct {
	Tag         Tag
	Constructed bool
	Length      int64 // octets of content; -1 if indefinite
	Offset      int64 // where the element starts, counted from the start of the input
}

// A SyntaxError says what is wrong with the input, and where. Truncated input is a
// SyntaxError for which errors.Is(err, io.ErrUnexpectedEOF) holds.
type SyntaxError struct {
	Offset int64  // octets from the start of the input
	What   string // what was expected or found
	Err    error  // io.ErrUnexpectedEOF, ErrTrailingData or nil
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("malformed ASN.1 at octet %d: %s", e.Offset, e.What)
}

// Unwrap returns e.Err.
func (e *SyntaxError) Unwrap() error { return e.Err }

// ErrTrailingData is wrapped by the [SyntaxError] for octets after the outermost element.
var ErrTrailingData = errors.New("data after the structure")

func truncated(offset int64) error {
	return &SyntaxError{Offset: offset, What: "input ends too early", Err: io.ErrUnexpectedEOF}
}
