package smime_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
	"github.com/postseal/postseal/smime"
)

// In the example 4.6 of the S/MIME examples Alice and Diane sign, and Diane's DSA key has the parameters of
// the key that certified it. They count only from a path to an anchor, and never from
// another certificate of the same name: with others anybody could sign in her name.
func TestInheritedParameters(t *testing.T) {
	message := corpus.Read(t, "rfc4134", "4.6.bin")
	carl, err := pkix.ParseCertificate(corpus.Read(t, "rfc4134", "CarlDSSSelf.cer"))
	if err != nil {
		t.Fatal(err)
	}
	parameters, ok := sigalg.DSAParameters(carl.RawSubjectPublicKeyInfo)
	if !ok {
		t.Fatal("Carl has no parameters")
	}
	altered := bytes.Clone(parameters)
	altered[len(altered)-1] ^= 1
	other, err := pkix.ParseCertificate(bytes.Replace(carl.Raw, parameters, altered, 1))
	if err != nil || other.Equal(carl) {
		t.Fatal(err)
	}
	beside := new(certstore.Memory)
	beside.Add(other)
	judge := func(message []byte, anchored bool) string {
		anchors := new(chain.Collection)
		if anchored {
			anchors.AddAnchor(carl)
		}
		v := chain.NewVerifier(anchors, chain.Revocation{})
		v.AllowSHA1, v.Intermediates = true, beside
		v.Time = func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }
		r, err := (&smime.Opener{Chain: v, AllowSHA1: true, AllowLegacyCiphers: true}).InspectCMS(t.Context(), bytes.NewReader(message), nil)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, s := range r.Layers[0].Signatures {
			words = append(words, s.Crypto+" "+s.Trust)
		}
		return string(r.Verdict) + ": " + strings.Join(words, ", ")
	}
	for name, tt := range map[string]struct {
		message  []byte
		anchored bool
		want     string
	}{
		"the message":       {message, true, "authentic: valid valid, valid valid"},
		"without an anchor": {message, false, "not-authentic: valid invalid, unsupported not-checked"},
		"other content":     {bytes.Replace(message, []byte("This is some sample content."), []byte("This is some sample c0ntent."), 1), true, "not-authentic: invalid not-checked, invalid not-checked"},
	} {
		if got := judge(tt.message, tt.anchored); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
