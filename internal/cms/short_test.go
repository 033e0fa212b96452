package cms_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// Attack rows C13 and D08: a structure that ends early, or lacks an element, with lengths
// that fit what is there, is an error that says so, of this package's types: never the bare
// end of the input, which callers take for success.
func TestShortStructures(t *testing.T) {
	signed := newForge(t, content).signedData(t)
	enveloped := seal(t, content, 100, cms.EnvelopeOptions{Cipher: "aes128-cbc"}, &cms.Recipient{Certificate: holders()["p256"].cert})
	sealed := seal(t, content, 100, cms.EnvelopeOptions{Cipher: "aes256-gcm"}, &cms.Recipient{Certificate: holders()["rsa"].cert})
	mac := authenticated{content: content, contentType: oid.Data, mac: oid.HMACSHA256, key: someBytes(32), digest: true}
	mac.attributes = sorted([][]byte{contentTypeAttr(oid.Data), digestAttr(make([]byte, 32))})
	tried := 0
	for name, der := range map[string][]byte{"signed": signed, "enveloped": enveloped, "auth-enveloped": sealed, "authenticated": mac.der(t, someBytes(32))} {
		if err := readAll(der); err != nil {
			t.Errorf("%s: the twin: %v", name, err)
		}
		var all []*node
		root := parseNodes(t, der, &all)
		for i, n := range all {
			kept := n.children
			for k := range kept {
				for what, children := range map[string][]*node{
					"ends": kept[:k:k], "lacks": append(kept[:k:k], kept[k+1:]...),
				} {
					n.children = children
					if len(children) == 0 {
						n.children, n.content = nil, nil
					}
					tried++
					err := readAll(encodeNodes(root))
					if err == nil {
						continue // an element that is optional
					}
					var syntax *cms.SyntaxError
					var unsupported *cms.UnsupportedError
					var limit *limits.Exceeded
					if !errors.As(err, &syntax) && !errors.As(err, &unsupported) && !errors.As(err, &limit) || err == io.EOF || err == io.ErrUnexpectedEOF {
						t.Errorf("%s: node %d %s at %d: %T %v", name, i, what, k, err, err)
					}
				}
			}
			n.children = kept
		}
	}
	if tried < 200 {
		t.Error(fmt.Sprint("only ", tried, " structures"))
	}
}

// readAll reads a structure to its end, without any key.
func readAll(der []byte) error {
	c, err := cms.Open(bytes.NewReader(der))
	if err != nil {
		return err
	}
	return c.Finish()
}
