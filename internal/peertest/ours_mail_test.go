package peertest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
)

// SignMail, VerifyMail, EncryptMail and DecryptMail make ours a MailPeer, by way of
// package smime and its defaults.

func (o ours) SignMail(entity []byte, who string, opaque bool) ([]byte, error) {
	id, err := o.identity(who)
	if err != nil {
		return nil, err
	}
	return o.compose(&smime.Composer{ProtectHeaders: "off", Signers: []*certstore.Identity{id}, Opaque: opaque}, who, entity)
}

func (o ours) EncryptMail(entity []byte, to ...string) ([]byte, error) {
	c := &smime.Composer{ProtectHeaders: "off"}
	for _, who := range to {
		c.Recipients = append(c.Recipients, o.lab.PKI.ID(who).Cert)
	}
	return o.compose(c, "alice", entity)
}

func (o ours) seal(entity []byte, from, to string) ([]byte, error) {
	id, err := o.identity(from)
	if err != nil {
		return nil, err
	}
	c := &smime.Composer{ProtectHeaders: "off", Signers: []*certstore.Identity{id}, Recipients: []*x509.Certificate{o.lab.PKI.ID(to).Cert}, Opaque: true}
	return o.compose(c, from, entity)
}

func (o ours) VerifyMail(message []byte) ([]byte, error) {
	return o.open(new(smime.Opener), message)
}

func (o ours) DecryptMail(message []byte, who string) ([]byte, error) {
	id, err := o.identity(who)
	if err != nil {
		return nil, err
	}
	keys := new(certstore.Memory)
	keys.AddIdentity(id)
	// A peer names no author outside of what it encrypts.
	return o.open(&smime.Opener{Keys: keys, AllowUnsigned: true, AllowMalleable: true, AllowMismatchedSender: true}, message)
}

func (o ours) identity(who string) (*certstore.Identity, error) {
	id := o.lab.PKI.ID(who)
	return certstore.NewIdentity(id.Cert, id.Key)
}

func (o ours) compose(c *smime.Composer, from string, entity []byte) ([]byte, error) {
	header := "From: " + from + "@example.test\r\nSubject: A message of ours\r\nMIME-Version: 1.0\r\n"
	var out bytes.Buffer
	_, err := c.Compose(&out, io.MultiReader(strings.NewReader(header), bytes.NewReader(entity)))
	return out.Bytes(), err
}

func (o ours) open(opener *smime.Opener, message []byte) ([]byte, error) {
	anchors := new(chain.Collection)
	anchors.Add(o.lab.PKI.Root)
	opener.Chain = chain.NewVerifier(anchors, chain.Revocation{})
	m, err := opener.Open(context.Background(), bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(m.Entity())
}

var _ peertest.MailPeer = ours{}
