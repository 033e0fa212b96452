package smime

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/postseal/postseal/internal/limits"
)

// Errors that Open, OpenTo and the composing calls may wrap.
var (
	ErrNotSigned = errors.New("the message is not signed")
	ErrNoKey     = errors.New("no private key for any recipient")
	// ErrTooLarge is for content beyond MaxMemory, and for a message to be composed that
	// is beyond a bound of what can be read again.
	ErrTooLarge = errors.New("the content exceeds MaxMemory")
	// ErrDecrypt is deliberately vague: it must not tell a forger which step failed.
	ErrDecrypt = errors.New("the message cannot be decrypted")
)

// An UnverifiedError is returned for a message that was read and could not be shown to
// be authentic. Report says what was found. It unwraps to [ErrNotSigned], [ErrNoKey] or
// [ErrDecrypt] where one of them is the reason.
type UnverifiedError struct {
	Report *Report
	reason error
}

func (e *UnverifiedError) Error() string {
	why := string(e.Report.Verdict)
	if len(e.Report.Codes) > 0 {
		why += " (" + strings.Join(e.Report.Codes, ", ") + ")"
	}
	return "smime: the message is " + why
}

// Unwrap returns the reason, or nil if the codes alone name it.
func (e *UnverifiedError) Unwrap() error { return e.reason }

// A RecipientError says which certificate stopped a message from being composed.
type RecipientError struct {
	Recipient string // its address, or its subject if it names none
	Code      string // why: a code of package chain, such as "ku.encrypt"
	Detail    string // the same for people
}

func (e *RecipientError) Error() string {
	return "smime: " + e.Recipient + ": " + e.Detail + " (" + e.Code + ")"
}

// A panicError is a panic of ours, or of a store, key, reader or writer of the caller's,
// that must not end the program of whoever opens a stranger's message (threats.md, D09 and
// J04). It is never success.
type panicError struct {
	value any
	stack []byte
}

// recovered makes an error of what recover returned, nil of nil.
func recovered(value any) error {
	if value == nil {
		return nil
	}
	return &panicError{value, debug.Stack()}
}

func (e *panicError) Error() string {
	return fmt.Sprintf("smime: internal failure: %q", fmt.Sprint(e.value))
}

// Unwrap returns the value of the panic if it is an error.
func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// Format adds the stack for %+v.
func (e *panicError) Format(s fmt.State, verb rune) {
	io.WriteString(s, e.Error())
	if s.Flag('+') {
		s.Write([]byte{'\n'})
		s.Write(e.stack)
	}
}

// tooLarge makes ErrTooLarge of an exceeded limit, and leaves other errors as they are.
func tooLarge(err error) error {
	if _, ok := errors.AsType[*limits.Exceeded](err); ok {
		return &limitError{err}
	}
	return err
}

type limitError struct{ err error }

func (e *limitError) Error() string   { return e.err.Error() }
func (e *limitError) Unwrap() []error { return []error{ErrTooLarge, e.err} }
