package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"testing"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	forging "github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// node is an element of a DER structure.
type node struct {
	tag      byte
	content  []byte // of a primitive element
	children []*node
}

// parseNodes reads the elements in b; certificates stay whole.
func parseNodes(t testing.TB, b []byte, all *[]*node) []*node {
	t.Helper()
	var out []*node
	r := ber.NewBytesReader(b)
	for {
		h, err := r.Peek()
		if err != nil {
			return out
		}
		raw, err := r.Raw(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		n := &node{tag: raw[0], content: raw[len(raw)-int(h.Length):]}
		*all = append(*all, n)
		if h.Constructed && len(raw) != len(someone(t, "p256").cert.Raw) {
			n.children = parseNodes(t, n.content, all)
		}
		out = append(out, n)
	}
}

func encodeNodes(nodes []*node) []byte {
	var out []byte
	for _, n := range nodes {
		content := n.content
		if n.children != nil {
			content = encodeNodes(n.children)
		}
		out = append(out, n.tag)
		out = append(out, ber.AppendHeader(nil, 0, false, len(content))[1:]...)
		out = append(out, content...)
	}
	return out
}

// Attack rows C13, D06, D07 and D08: every node deleted, doubled, emptied and given every
// other type. Nothing panics, and nothing but the signed content ever counts as signed.
func TestMutatedNodes(t *testing.T) {
	f := signedOnce(t)
	counter := newForge(t, f.signature)
	counter.attrs = counter.attrs[1:]
	f.unsigned = [][]byte{attr("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x06", counter.signerInfo(t))}
	der := f.signedData(t)
	var all []*node
	root := parseNodes(t, der, &all)
	if !bytes.Equal(encodeNodes(root), der) {
		t.Fatal("the structure does not encode as it was")
	}
	tried := 0
	try := func() {
		tried++
		sd, got, err := openSigned(bytes.NewReader(encodeNodes(root)))
		if err != nil {
			return
		}
		for i, r := range verifyAll(t, sd, nil, cms.VerifyOptions{AllowSHA1: true, AllowMD5: true, AllowLegacyKeys: true}) {
			if r.State == "valid" && (!bytes.Equal(got, content) || !sd.HasContent()) {
				t.Fatalf("mutant %d: valid over %q", tried, got)
			}
			cs, _ := sd.SignerInfos()[i].Countersignatures()
			for _, c := range cs {
				if r := c.Verify(f.signer.cert, cms.VerifyOptions{}); r.State == "valid" && !bytes.Equal(sd.SignerInfos()[i].Signature(), f.signature) {
					t.Fatalf("mutant %d: countersignature valid over another signature", tried)
				}
			}
		}
	}
	for _, parent := range append([]*node{{children: root}}, all...) {
		was := parent.children
		for i := range was {
			parent.children = append(append([]*node{}, was[:i]...), was[i+1:]...)
			try()
			parent.children = append(append([]*node{}, was[:i+1]...), was[i:]...)
			try()
			if i > 0 {
				parent.children = append([]*node{}, was...)
				parent.children[i-1], parent.children[i] = was[i], was[i-1]
				try()
			}
			parent.children = was
		}
	}
	for _, n := range all {
		was := *n
		for _, tag := range []byte{1, 2, 3, 4, 5, 6, 12, 23, 24, 0x24, 0x30, 0x31, 0x80, 0x81, 0xa0, 0xa1, 0xa2} {
			n.tag = tag
			try()
		}
		*n = node{tag: was.tag}
		try()
		*n = node{tag: 5}
		try()
		*n = was
	}
	t.Logf("%d mutants", tried)
}

// Attack rows C13, D06, D07, D08 and D09 for every other kind of structure: each element
// changed in every way of [forging.Mutants], each octet changed, and cut at each octet. All
// errors are those that this package documents, and what a tag, a code or a digest protects
// is the content or none.
func TestMutatedContents(t *testing.T) {
	kek, alice := someBytes(32), someone(t, "p256")
	h := fixedHolders()
	signingTime := attr(oid.SigningTime, []byte("\x17\x0d260601120000Z"))
	sealed := func(cipher string, to ...*cms.Recipient) []byte {
		opt := cms.EnvelopeOptions{Cipher: cipher, Derive: true}
		if cms.AuthenticatedCipher(cipher) {
			opt.Attributes = [][]byte{signingTime}
		}
		return seal(t, content, 99, opt, to...)
	}
	signature := newForge(t, content)
	signature.content = nil
	for name, c := range map[string]struct {
		der       []byte
		malleable bool // nothing protects the content
	}{
		"compressed":       {compress(t, content), true},
		"digested":         {forging.ContentInfo(oid.DigestedData, forging.Sequence(forging.Integer(0), algorithmDER(oid.SHA256, nil), forging.Sequence(derOf(oid.Data), forging.Tagged(0, forging.Octets(content))), forging.Octets(sigalg.SHA256.Sum(content)))), true},
		"encrypted":        {forging.ContentInfo(oid.EncryptedData, forging.Sequence(forging.Integer(0), forging.Sequence(derOf(oid.Data), forging.AESCBC(kek, make([]byte, 16)), forging.Element(0x80, forging.CBC(forging.AES(kek), make([]byte, 16), forging.Padded(content, 16)))))), true},
		"authenticated":    {authenticated{contentType: oid.Data, content: content, mac: oid.HMACSHA256, key: someBytes(32)}.der(t, kek), false},
		"key agreement":    {sealed("aes128-gcm", &cms.Recipient{Certificate: h["p256"].cert}, &cms.Recipient{Certificate: h["x25519"].cert, KeyID: true}), false},
		"encapsulated key": {sealed("aes256-gcm", &cms.Recipient{Certificate: h["ml-kem"].cert}), false},
		"secret key":       {sealed("chacha20-poly1305", &cms.Recipient{Secret: kek}), false},
		"CCM":              {sealed("aes192-ccm", &cms.Recipient{Secret: kek}), false},
		"CBC":              {sealed("aes256-cbc", &cms.Recipient{Secret: kek}), true},
		"password":         {sealed("aes256-gcm", &cms.Recipient{Passphrase: []byte("p"), Iterations: 1}), false},
		"certificates":     {cms.CertsOnly([]*x509.Certificate{alice.cert, someone(t, "p384").cert}, nil), true},
		"detached":         {signature.signedData(t), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, taken := 0, 0
			try := func(what string, der []byte) {
				n++
				for _, key := range []crypto.PrivateKey{cms.Secret(kek), cms.Passphrase("p"), h["p256"].key, h["x25519"].key, h["ml-kem"].key} {
					c2, err := cms.Open(bytes.NewReader(der))
					if err != nil {
						if !typed(err) {
							t.Errorf("%s: %v", what, err)
						}
						return
					}
					switch e := c2.(type) {
					case *cms.EnvelopedData:
						if len(e.Recipients()) == 0 || e.Unlock(e.Recipients()[0], key, cms.DecryptOptions{}) != nil {
							continue
						}
					case *cms.EncryptedData:
						if e.Unlock(cms.Secret(kek), cms.DecryptOptions{}) != nil {
							continue
						}
					case *cms.AuthenticatedData:
						if len(e.Recipients()) == 0 || e.Unlock(e.Recipients()[0], key, cms.DecryptOptions{}) != nil {
							continue
						}
					}
					got, err := io.ReadAll(c2)
					if err == nil {
						err = c2.Finish()
					}
					if err == nil {
						taken++
					}
					if !typed(err) && err != cms.ErrDigest {
						t.Errorf("%s: %T %v", what, err, err)
					}
					if err == nil && !c.malleable && !bytes.Equal(got, content) {
						t.Errorf("%s: opens to %.40q", what, got)
					}
				}
			}
			try("the twin", c.der)
			if taken == 0 {
				t.Error("the twin is not taken")
			}
			for what, mutant := range forging.Mutants(c.der) {
				try(what, mutant)
			}
			for i := range c.der {
				flipped := bytes.Clone(c.der)
				flipped[i] ^= 1 << (i % 8)
				try(fmt.Sprint("octet ", i), flipped)
				try(fmt.Sprint("cut at ", i), c.der[:i])
			}
			t.Log(n, "mutants,", taken, "times taken")
		})
	}
}
