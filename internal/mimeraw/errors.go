package mimeraw

import (
	"fmt"
	"io"
	"slices"

	"github.com/postseal/postseal/internal/limits"
)

// The codes of defects and errors. They are stable: reports print them.
const (
	CodeDuplicateField   = "mime.duplicate_field"     // a field that may occur once occurs again
	CodeNUL              = "mime.nul"                 // a NUL in a header
	CodeBareCR           = "mime.bare_cr"             // a CR in a header that ends no line, or one where a delimiter could begin
	CodeControl          = "mime.control"             // another control character in a header
	CodeSpaceBeforeColon = "mime.space_before_colon"  // "From : x"
	CodeMalformedField   = "mime.malformed_field"     // a line in a header that is no field
	CodeBlankFold        = "mime.blank_fold"          // a folded line of white space only, which some readers take for the end of the header
	CodeNoHeader         = "mime.no_header"           // the text does not begin with a header: all of it is body
	CodeHeaderOnly       = "mime.header_only"         // the text ends inside the header: no blank line, no body
	CodeMboxLine         = "mime.mbox_line"           // the line "From sender date" of a mailbox file stood first
	CodeHTTPLine         = "mime.http_line"           // a request or status line of HTTP stood first, as in AS2
	CodeMediaType        = "mime.media_type"          // a Content-Type that is not type "/" subtype
	CodeParameter        = "mime.parameter"           // a malformed parameter
	CodeDuplicateParam   = "mime.duplicate_parameter" // one name twice, or in plain and in extended form
	CodeBoundary         = "mime.boundary"            // no usable boundary parameter
	CodeBoundaryPrefix   = "mime.boundary_prefix"     // a line that begins with a boundary and is no delimiter
	CodeTruncated        = "mime.truncated"           // the close delimiter is missing
	CodeDelimiterPadding = "mime.delimiter_padding"   // a delimiter line without end
	CodeTransferEncoding = "mime.transfer_encoding"   // an unknown Content-Transfer-Encoding
	CodeEncodedMultipart = "mime.encoded_multipart"   // base64 or quoted-printable around a multipart
	CodeBase64           = "mime.base64"              // not base64
	CodeQuotedPrintable  = "mime.quoted_printable"    // not quoted-printable
	CodeUnsafe           = "mime.not_seven_bit"       // content a relay would have to change
	CodeInjection        = "mime.injection"           // a header value that would break out of its field
	CodeAddress          = "mime.address"             // not a well-formed list of addresses
	CodeFrom             = "mime.from"                // no From field, or one that is not exactly one mailbox
	CodeLimit            = "limit.exceeded"           // larger than package limits allows
	CodeParameterSyntax  = "mime.parameter_syntax"    // a parameter value that should have been quoted, read up to the next space or semicolon
)

// A Defect is a place where a header can be read in more than one way.
type Defect struct {
	Code  string // one of the codes of this package
	Field string // the field it concerns, as it is written; empty if there is none
	Line  int    // the line of the header, counted from 1
}

func (d Defect) String() string {
	if d.Field == "" {
		return fmt.Sprintf("%s in header line %d", d.Code, d.Line)
	}
	return fmt.Sprintf("%s in header line %d (%q)", d.Code, d.Line, d.Field)
}

// A SyntaxError is the error for text that cannot be read or must not be written.
type SyntaxError struct {
	Code   string // one of the codes of this package
	What   string // what is wrong, for people
	Offset int64  // octets before the place, counted from where this reader began; -1 if unknown
	Err    error  // the cause, such as io.ErrUnexpectedEOF or a *limits.Exceeded; may be nil
}

func (e *SyntaxError) Error() string {
	if e.Offset < 0 {
		return e.What
	}
	return fmt.Sprintf("%s (octet %d)", e.What, e.Offset)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

func syntaxError(code, what string) error {
	return &SyntaxError{Code: code, What: what, Offset: -1}
}

func truncated(code, what string, offset int64) error {
	return &SyntaxError{Code: code, What: what, Offset: offset, Err: io.ErrUnexpectedEOF}
}

func exceeded(what string, max int64) error {
	e := &limits.Exceeded{What: what, Max: max}
	return &SyntaxError{Code: CodeLimit, What: e.Error(), Offset: -1, Err: e}
}

// addCode appends code to codes unless it is there.
func addCode(codes []string, code string) []string {
	if slices.Contains(codes, code) {
		return codes
	}
	return append(codes, code)
}
