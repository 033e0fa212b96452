package mimeraw

import "io"

// isTransferEncoding reports whether name is one of RFC 2045, Section 6.1.
func isTransferEncoding(name string) bool {
	switch name {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
		return true
	}
	return false
}

// DecodeTransfer returns what r holds in the transfer encoding called encoding, in lower
// case, as [Entity.TransferEncoding] gives it.
func DecodeTransfer(encoding string, r io.Reader) (io.Reader, error) {
	switch encoding {
	case "7bit", "8bit", "binary":
		return r, nil
	case "base64":
		return Base64Decoder(r), nil
	case "quoted-printable":
		return QuotedPrintableDecoder(r), nil
	}
	return nil, syntaxError(CodeTransferEncoding, "unknown Content-Transfer-Encoding "+quote(encoding))
}
