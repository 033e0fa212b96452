package cms_test

import (
	"bytes"
	"testing"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
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
