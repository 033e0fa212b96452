// Package mimeraw reads and writes MIME without ever touching a byte it was not asked to
// change: what was signed is bytes, so nothing is parsed and printed again.
//
// [ReadEntity] splits an entity into its header and its body, [NewMultipart] cuts a body
// into the exact octets of its parts, [ParseMediaType] reads a Content-Type,
// [DecodeTransfer] undoes a transfer encoding, [NewCanonicaliser] gives the line ends that
// are signed, [FromAddress] names the author. To write there are [AppendField],
// [FormatMediaType], [NewBoundary], [Base64Encoder], [QuotedPrintableEncoder] and
// [WriteSevenBit].
//
// Where mail programs disagree about a message, the reader does not guess: it goes on with
// the plainest reading and reports a [Defect] with a stable code, and whoever verifies a
// signature refuses the message. What cannot be read at all is a [*SyntaxError].
//
// # Limits
//
// Everything streams. A header is held in memory up to [limits.HeaderSize] octets and
// [limits.HeaderFields] fields; one reader holds at most 64 KiB of a body, however long a
// line or a part is. Multiparts nest by stacking readers, so that depth is the caller's
// count; one multipart yields at most [limits.MIMEParts] parts.
package mimeraw
