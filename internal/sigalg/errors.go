package sigalg

import (
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/oid"
)

// ErrInvalid says that a signature is mathematically wrong: the key did not make it over
// these octets.
var ErrInvalid = errors.New("signature does not verify")

// An UnsupportedError names an algorithm, a parameter or a type this module does not know
// or does not take.
type UnsupportedError struct {
	What string  // such as "signature algorithm"
	OID  oid.OID // the identifier received; empty if What says it all
}

func (e *UnsupportedError) Error() string {
	if e.OID == "" {
		return "unsupported " + e.What
	}
	return "unsupported " + e.What + " " + e.OID.String()
}

// A WeakKeyError is returned for a public key smaller than the caller takes.
type WeakKeyError struct {
	Bits int // of the key's modulus
	Min  int // asked for
}

func (e *WeakKeyError) Error() string {
	return fmt.Sprintf("key of %d bits, less than %d", e.Bits, e.Min)
}
