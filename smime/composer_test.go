package smime_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// Nobody to encrypt to is an error, and not a message that is only signed.
func TestNobodyToSealTo(t *testing.T) {
	p := newParty(t)
	var none []*x509.Certificate
	for name, f := range map[string]func(io.Writer) error{
		"Seal":    func(w io.Writer) error { return smime.Seal(w, strings.NewReader(plain), p.alice, none...) },
		"Encrypt": func(w io.Writer) error { return smime.Encrypt(w, strings.NewReader(plain)) },
		"an empty list": func(w io.Writer) error {
			c := p.composer(true, false, true)
			c.Recipients = []*x509.Certificate{}
			_, err := c.Compose(w, strings.NewReader(plain))
			return err
		},
		"a nil recipient": func(w io.Writer) error { return smime.Seal(w, strings.NewReader(plain), p.alice, nil) },
		"a nil signer":    func(w io.Writer) error { return smime.Sign(w, strings.NewReader(plain), nil) },
		"nobody at all": func(w io.Writer) error {
			_, err := new(smime.Composer).Compose(w, strings.NewReader(plain))
			return err
		},
	} {
		var out bytes.Buffer
		if err := f(&out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d octets written", name, err, out.Len())
		}
	}
}

// A writer that is given up completes no message and leaves no goroutine.
func TestWriterGivenUp(t *testing.T) {
	p := newParty(t)
	reason := errors.New("the attachment could not be read")
	before := runtime.NumGoroutine()
	for range 20 {
		var out bytes.Buffer
		w, err := (&smime.Composer{Signers: []*certstore.Identity{p.alice}, Time: p.clock()}).NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, plain[:len(plain)-10])
		if err := w.(interface{ CloseWithError(error) error }).CloseWithError(reason); !errors.Is(err, reason) {
			t.Fatalf("the error is %v", err)
		}
		if err := w.Close(); !errors.Is(err, reason) {
			t.Fatalf("closed again, the error is %v", err)
		}
		if msg, err := p.opener().Open(t.Context(), &out); msg != nil || err == nil {
			t.Fatal("the beginning of a message is authentic")
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
