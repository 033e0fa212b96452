package peertest_test

import (
	"bytes"
	"testing"

	"github.com/postseal/postseal/internal/peertest"
)

// TestMail hands whole messages from each peer that writes them to each that reads them.
func TestMail(t *testing.T) {
	lab := peertest.New(t)
	peers := []peertest.MailPeer{ours{lab}}
	for _, p := range lab.Peers(t) {
		if m, ok := p.(peertest.MailPeer); ok {
			peers = append(peers, m)
		}
	}
	entity := peertest.Form{}.Content()
	for _, producer := range peers {
		for _, consumer := range peers {
			t.Run(producer.Name()+" to "+consumer.Name(), func(t *testing.T) {
				exchange(t, producer, consumer, entity)
			})
		}
	}
}

func exchange(t *testing.T, producer, consumer peertest.MailPeer, entity []byte) {
	for _, opaque := range []bool{false, true} {
		message, err := producer.SignMail(entity, "alice", opaque)
		if err != nil {
			t.Fatal(err)
		}
		got, err := consumer.VerifyMail(message)
		if err != nil {
			t.Fatalf("opaque %v: %v\n%s", opaque, err, message)
		}
		if !same(producer, got, entity) {
			t.Errorf("opaque %v: verified %q", opaque, got)
		}
		if opaque {
			continue
		}
		altered := bytes.Replace(message, []byte("nine"), []byte("nigh"), 1)
		if bytes.Equal(altered, message) {
			t.Fatal("the content is not in the message")
		}
		if _, err := consumer.VerifyMail(altered); err == nil {
			t.Error("an altered message is accepted")
		}
	}
	sealed, err := seal(producer, entity, "alice", "bob")
	if err != nil {
		t.Fatal(err)
	}
	got, err := unseal(consumer, sealed, "bob")
	if err != nil {
		t.Fatalf("sealed: %v\n%s", err, sealed)
	}
	if !same(producer, got, entity) {
		t.Errorf("sealed: opened %q", got)
	}
	message, err := producer.EncryptMail(entity, "alice", "bob")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"alice", "bob"} {
		got, err := consumer.DecryptMail(message, who)
		if err != nil {
			t.Fatalf("%s: %v\n%s", who, err, message)
		}
		if !same(producer, got, entity) {
			t.Errorf("%s decrypted %q", who, got)
		}
	}
}

// same compares what was read with what was protected. postseal protects header fields with
// the content (RFC 9788), so that there may be more in its entity than was asked for.
func same(producer peertest.MailPeer, got, entity []byte) bool {
	if _, ok := producer.(ours); !ok {
		return bytes.Equal(got, entity)
	}
	_, body, _ := bytes.Cut(entity, []byte("\r\n\r\n"))
	header, gotBody, _ := bytes.Cut(got, []byte("\r\n\r\n"))
	return bytes.Equal(gotBody, body) && bytes.Contains(header, []byte("Content-Type: text/plain; charset=utf-8"))
}

// seal signs, then encrypts: what most secure mail is.
func seal(p peertest.MailPeer, entity []byte, from, to string) ([]byte, error) {
	if o, ok := p.(ours); ok {
		return o.seal(entity, from, to)
	}
	signed, err := p.SignMail(entity, from, true)
	if err != nil {
		return nil, err
	}
	return p.EncryptMail(signed, to)
}

// unseal decrypts, then verifies.
func unseal(p peertest.MailPeer, message []byte, who string) ([]byte, error) {
	signed, err := p.DecryptMail(message, who)
	if _, ok := p.(ours); ok || err != nil {
		return signed, err // ours has gone through both layers
	}
	return p.VerifyMail(signed)
}
