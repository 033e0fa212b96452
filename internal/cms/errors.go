package cms

import (
	"errors"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/sigalg"
)

// ErrDecrypt is the one error for everything that goes wrong after a key was chosen. It
// is deliberately vague: it must not tell a forger which step failed (RFC 3218).
var ErrDecrypt = errors.New("message cannot be decrypted")

// ErrTrailingData is wrapped by the [SyntaxError] for octets after a structure.
var ErrTrailingData = ber.ErrTrailingData

// A SyntaxError says where the input is not the structure it should be, and what was
// expected. Truncated input is a SyntaxError that wraps io.ErrUnexpectedEOF.
type SyntaxError = ber.SyntaxError

// An UnsupportedError names a content type, an algorithm or a parameter that this package
// does not read.
type UnsupportedError = sigalg.UnsupportedError

// malformed returns a SyntaxError for a structure that starts at the given offset.
func malformed(offset int64, what string) error {
	return &SyntaxError{Offset: offset, What: "bad " + what}
}
