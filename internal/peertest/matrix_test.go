package peertest_test

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/peertest"
)

var update = flag.Bool("update", false, "measure again, try what the peers are said to be unable to do, and write docs/interop.md")

// TestMatrix asks every producer for every form and hands the result to every consumer.
// What a peer says it cannot do is not tried; everything else has to work. With -update the
// peers are measured among themselves too, and what they are said to be unable to do is tried.
func TestMatrix(t *testing.T) {
	lab := peertest.New(t)
	us := ours{lab}
	peers := append([]peertest.Peer{us}, lab.Peers(t)...)
	t.Run("forms", func(t *testing.T) {
		for _, f := range peertest.Forms() {
			t.Run(f.Name, func(t *testing.T) {
				t.Parallel()
				if !lab.PKI.Has(f) {
					if peertest.Required() {
						t.Fatal("there is no key for it")
					}
					return
				}
				for _, producer := range peers {
					consumers := peers
					if !*update && producer != peertest.Peer(us) {
						consumers = peers[:1]
					}
					if reason := producer.CannotWrite(f); reason == "" {
						measure(t, lab, f, producer, consumers)
					} else if *update && producer != peertest.Peer(us) && writes(producer, us, f) {
						t.Errorf("%s writes it, though docs/interop.md says: %s", producer.Name(), reason)
					}
				}
			})
		}
	})
}

func measure(t *testing.T, lab *peertest.Lab, f peertest.Form, producer peertest.Peer, consumers []peertest.Peer) {
	content := f.Content()
	cms, err := producer.Write(f, content)
	if err != nil {
		t.Errorf("%s does not write it: %v", producer.Name(), err)
		return
	}
	if f.Streamed && cms[1] != 0x80 {
		t.Errorf("%s does not stream it", producer.Name())
	}
	want := content
	if f.Kind == peertest.CertsOnly {
		want = certificates(lab, f)
	}
	for _, consumer := range consumers {
		if reason := consumer.CannotRead(f) + between(f, producer, consumer); reason != "" {
			if *update && reads(consumer, f, cms, content, want) {
				t.Errorf("%s reads the message of %s, though docs/interop.md says: %s", consumer.Name(), producer.Name(), reason)
			}
			continue
		}
		route := fmt.Sprintf("%s -> %s", producer.Name(), consumer.Name())
		got, err := consumer.Read(f, bytes.Clone(cms), content)
		if err != nil {
			t.Errorf("%s: %v", route, err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes that are not the %d written", route, len(got), len(want))
		}
		// The twin: who reads must also refuse.
		if altered, beside, ok := alter(f, cms, content); ok {
			if _, err := consumer.Read(f, altered, beside); err == nil {
				t.Errorf("%s: altered content is accepted", route)
			}
		}
	}
}

// alter changes a message or the content beside it so that its reader should see it. CBC
// alone, and what is only compressed or bundled, has nothing to see it by.
func alter(f peertest.Form, cms, content []byte) (altered, beside []byte, ok bool) {
	altered, beside = bytes.Clone(cms), bytes.Clone(content)
	switch {
	case f.AEAD():
		altered[tagEnd(cms)] ^= 1
	case f.Detached:
		beside[len(content)-5] ^= 1
	case f.Kind == peertest.Signed, f.Kind == peertest.Authenticated, f.Kind == peertest.Digested:
		at := bytes.Index(cms, content[:16])
		if at < 0 {
			panic("the content is not in the message")
		}
		altered[at+12] ^= 1
	default:
		return nil, nil, false
	}
	return altered, beside, true
}

// tagEnd finds the last octet of the authentication tag, which ends an AuthEnvelopedData
// but for the ends of elements of indefinite length.
func tagEnd(cms []byte) int {
	end := len(cms)
	for cms[1] == 0x80 && bytes.HasSuffix(cms[:end], []byte{0, 0}) {
		end -= 2
	}
	return end - 1
}

// between says why two peers do not understand each other in a form that both know.
func between(f peertest.Form, producer, consumer peertest.Peer) string {
	from, to := producer.Name(), consumer.Name()
	switch {
	case f.Kind == peertest.CertsOnly && strings.HasPrefix(from, "NSS") && to == "smallstep":
		return "pkcs7 misreads an empty element of indefinite length, which NSS writes"
	case f.Kind == peertest.Encrypted && f.Agreed() && (from == "Bouncy Castle 1.72" || from == "gpgsm 2.4") && to == "gpgsm 2.2":
		return "gpgsm 2.2 gives up at an ECDH recipient that comes before its own"
	case f.Digest == "sha224" && strings.HasPrefix(from, "Bouncy Castle") && strings.HasPrefix(to, "gpgsm"):
		return "gpgsm does not know the algorithm sha224WithRSAEncryption, which Bouncy Castle names"
	case f.Kind == peertest.Encrypted && f.Agreed() && from == "NSS 3.131" && to == "gpgsm 2.4":
		return "gpgsm 2.4 derives another key where the key wrap has NULL parameters, as NSS writes them"
	case f.Digest == "sha3-256" && strings.HasPrefix(from, "Bouncy Castle") && (strings.HasPrefix(to, "gpgsm") || strings.HasPrefix(to, "NSS")):
		return to + " does not know id-rsassa-pkcs1-v1-5-with-sha3-256, which Bouncy Castle names"
	case f.Has("ed448") && strings.HasPrefix(from, "Bouncy Castle") && to == "OpenSSL 3.6":
		return "OpenSSL does not know id-shake256-len, the digest of Ed448 (RFC 8419, Section 3.1)"
	case f.Passphrase && from != "postseal" && strings.HasPrefix(to, "gpgsm"):
		return "gpgsm 2.2 cannot parse PBKDF2 parameters that leave out their digest"
	}
	return ""
}

// reads tries what should not work.
func reads(p peertest.Peer, f peertest.Form, cms, content, want []byte) (ok bool) {
	defer func() {
		if recover() != nil { // smallstep panics
			ok = false
		}
	}()
	got, err := p.Read(f, bytes.Clone(cms), content)
	if err != nil || !bytes.Equal(got, want) {
		return false
	}
	if altered, beside, ok := alter(f, cms, content); ok {
		_, err = p.Read(f, altered, beside)
		return err != nil
	}
	return true
}

// writes tries what should not work either: only what postseal reads counts.
func writes(p, us peertest.Peer, f peertest.Form) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	content := f.Content()
	cms, err := p.Write(f, content)
	if err != nil || f.Streamed && cms[1] != 0x80 {
		return false
	}
	got, err := us.Read(f, cms, content)
	return err == nil && bytes.Equal(got, content)
}

// certificates is what reading the form's certificates has to give.
func certificates(lab *peertest.Lab, f peertest.Form) []byte {
	var certs [][]byte
	for _, who := range f.Who {
		certs = append(certs, lab.PKI.ID(who).Cert.Raw)
	}
	slices.SortFunc(certs, bytes.Compare)
	return slices.Concat(certs...)
}
