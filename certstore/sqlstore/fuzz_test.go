package sqlstore_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/pkix"
)

// FuzzReadCRL: what the store keeps of a revocation list is what the validator, which reads
// all of it, finds in it.
func FuzzReadCRL(f *testing.F) {
	text, err := os.ReadFile("../../testdata/open/pki/revoked.pem")
	if err != nil {
		f.Fatal(err)
	}
	seeds := 0
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "X509 CRL" {
			f.Add(b.Bytes)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no revocation list")
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		issuer, this, next, err := sqlstore.ReadCRL(der)
		full, ferr := pkix.ParseCRL(der)
		if ferr != nil {
			return
		}
		if err != nil {
			t.Fatalf("the validator reads what the store refuses: %v", err)
		}
		if !bytes.Equal(issuer, full.RawIssuer) || this.Unix() != full.ThisUpdate || full.HasNextUpdate != !next.IsZero() || full.HasNextUpdate && next.Unix() != full.NextUpdate {
			t.Fatalf("%x from %v to %v, the validator reads %x from %v to %v", issuer, this, next, full.RawIssuer, time.Unix(full.ThisUpdate, 0), time.Unix(full.NextUpdate, 0))
		}
	})
}
