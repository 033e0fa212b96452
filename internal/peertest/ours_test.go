package peertest_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/internal/sigalg"
)

// ours is postseal itself, as one peer among the others.
type ours struct{ lab *peertest.Lab }

func (ours) Name() string                    { return "postseal" }
func (ours) Version() string                 { return "" }
func (ours) CannotRead(peertest.Form) string { return "" }

func (ours) CannotWrite(f peertest.Form) string {
	if f.ReadOnly {
		return "postseal reads it, and writes something better"
	}
	return ""
}

func (o ours) Write(f peertest.Form, content []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch f.Kind {
	case peertest.CertsOnly:
		return cms.CertsOnly(o.certificates(f), nil), nil
	case peertest.Compressed:
		w, err = cms.NewCompressedWriter(&out)
	case peertest.Encrypted:
		opt := cms.EnvelopeOptions{Cipher: f.Cipher, Derive: f.Derived}
		if f.Marked {
			opt.Attributes = [][]byte{hint()}
		}
		w, err = cms.NewEnvelopedWriter(&out, o.recipients(f), opt)
	case peertest.Signed:
		if f.Detached {
			d := cms.NewDigests(hash(f))
			d.Write(content)
			return cms.SignDetached(d, o.signers(f), o.certificates(f))
		}
		w, err = cms.NewSignedWriter(&out, o.signers(f), o.certificates(f))
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func hash(f peertest.Form) sigalg.Hash {
	h, ok := sigalg.HashByName(f.Digest)
	if !ok {
		panic("no hash function is called " + f.Digest)
	}
	return h
}

// hint is an attribute to authenticate: a contentHint (RFC 2634, Section 2.9).
func hint() []byte {
	text := forge.Element(casn1.UTF8String, []byte("a hint"))
	return forge.Attribute(oid.OID([]byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x04}), forge.Sequence(text, forge.OID(oid.Data)))
}

func (o ours) certificates(f peertest.Form) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, who := range f.Who {
		certs = append(certs, o.lab.PKI.ID(who).Cert)
	}
	return certs
}

func (o ours) signers(f peertest.Form) []*cms.Signer {
	var signers []*cms.Signer
	for _, who := range f.Who {
		id := o.lab.PKI.ID(who)
		signers = append(signers, &cms.Signer{Certificate: id.Cert, Key: id.Key, Digest: hash(f), PSS: f.PSS, KeyID: f.KeyID})
	}
	return signers
}

func (o ours) recipients(f peertest.Form) []*cms.Recipient {
	switch {
	case f.Secret:
		return []*cms.Recipient{{Secret: unhex(peertest.SecretKey), SecretID: unhex(peertest.SecretID)}}
	case f.Passphrase:
		return []*cms.Recipient{{Passphrase: []byte(peertest.Password)}}
	}
	var to []*cms.Recipient
	for _, cert := range o.certificates(f) {
		to = append(to, &cms.Recipient{Certificate: cert, KeyID: f.KeyID, OAEP: f.OAEP != ""})
	}
	return to
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func (o ours) Read(f peertest.Form, msg, content []byte) ([]byte, error) {
	if f.Kind != peertest.Encrypted && f.Kind != peertest.Authenticated {
		return o.read(f, msg, content, "")
	}
	if f.Shared() {
		return o.read(f, msg, nil, "")
	}
	var plain []byte
	for _, who := range f.Who {
		got, err := o.read(f, msg, nil, who)
		if err != nil {
			return nil, fmt.Errorf("as %s: %w", who, err)
		}
		plain = got
	}
	return plain, nil
}

func (o ours) read(f peertest.Form, msg, beside []byte, who string) ([]byte, error) {
	c, err := cms.Open(bytes.NewReader(msg))
	if err != nil {
		return nil, err
	}
	switch e := c.(type) {
	case *cms.EnvelopedData:
		if e.Cipher() != f.Cipher || e.Authenticated() != f.AEAD() || e.Derived() != f.Derived {
			return nil, fmt.Errorf("the cipher is %s, derived %t", e.Cipher(), e.Derived())
		}
		err = o.unlock(f, e, who)
	case *cms.AuthenticatedData:
		err = o.unlock(f, e, who)
	case *cms.EncryptedData:
		if e.Cipher() != f.Cipher {
			return nil, fmt.Errorf("the cipher is %s", e.Cipher())
		}
		err = e.Unlock(unhex(peertest.SecretKey), cms.DecryptOptions{})
	case *cms.DigestedData:
		if e.Hash() != hash(f) {
			return nil, fmt.Errorf("the digest is %v", e.Hash())
		}
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(c)
	if err != nil {
		return nil, err
	}
	if err := c.Finish(); err != nil {
		return nil, err
	}
	switch e := c.(type) {
	case *cms.EnvelopedData:
		if f.Marked && len(e.Attributes()) == 0 {
			return nil, errors.New("no authenticated attribute")
		}
	case *cms.AuthenticatedData:
		if !e.Verified() || f.Marked != (len(e.Attributes()) > 0) {
			return nil, fmt.Errorf("verified %t, with %d attributes", e.Verified(), len(e.Attributes()))
		}
	}
	sd, ok := c.(*cms.SignedData)
	if !ok {
		return content, nil
	}
	if f.Kind == peertest.CertsOnly {
		certs := sd.Certificates()
		slices.SortFunc(certs, bytes.Compare)
		return slices.Concat(certs...), nil
	}
	digests := sd.Digests()
	if f.Detached {
		if sd.HasContent() {
			return nil, errors.New("two contents")
		}
		digests, content = cms.NewDigests(hash(f)), beside
		digests.Write(beside)
	}
	return content, o.verify(f, sd, digests)
}

// A locked content is one whose key the recipients are given.
type locked interface {
	Recipients() []*cms.RecipientInfo
	Unlock(*cms.RecipientInfo, crypto.PrivateKey, cms.DecryptOptions) error
}

func (o ours) unlock(f peertest.Form, e locked, who string) error {
	opt := cms.DecryptOptions{AllowLegacyCiphers: f.Legacy()}
	for _, ri := range e.Recipients() {
		switch {
		case f.Secret && ri.MatchesKeyID(unhex(peertest.SecretID)):
			return e.Unlock(ri, cms.Secret(unhex(peertest.SecretKey)), opt)
		case f.Passphrase && ri.Kind == "pwri":
			return e.Unlock(ri, cms.Passphrase(peertest.Password), opt)
		case who != "" && ri.Matches(o.lab.PKI.ID(who).Cert):
			if named := strings.HasPrefix(ri.ID, "key "); named != f.KeyID {
				return fmt.Errorf("the recipient is %s", ri.ID)
			}
			if want := transport(f, who); !strings.HasPrefix(ri.Algorithm, want) {
				return fmt.Errorf("the algorithm is %s, not %s", ri.Algorithm, want)
			}
			return e.Unlock(ri, o.lab.PKI.ID(who).Key, opt)
		}
	}
	return errors.New("no recipient")
}

// transport is how the name of the algorithm begins that a recipient was to be given the
// key with.
func transport(f peertest.Form, who string) string {
	switch peertest.KeyKind(who) {
	case "":
		switch {
		case f.Mask != "":
			return "rsa-oaep-" + f.OAEP + "-mgf1-" + f.Mask
		case f.OAEP != "":
			return "rsa-oaep-" + f.OAEP
		}
		return "rsa-pkcs1"
	case "ec", "p384", "p521":
		if f.KDF != "" {
			return "ecdh-" + f.KDF + "-"
		}
		return "ecdh-"
	case "x25519", "x448":
		return "ecdh-hkdf-"
	}
	return "ml-kem-" + strings.TrimPrefix(peertest.KeyKind(who), "mlkem")
}

// verify asks of every signature that it is good, by somebody of the lab's PKI.
func (o ours) verify(f peertest.Form, sd *cms.SignedData, d *cms.Digests) error {
	infos := sd.SignerInfos()
	if len(infos) != len(f.Who) {
		return fmt.Errorf("%d signers", len(infos))
	}
	for _, si := range infos {
		i := slices.IndexFunc(o.lab.PKI.IDs, func(id *peertest.ID) bool { return si.Matches(id.Cert) })
		if i < 0 {
			return errors.New("a stranger signed")
		}
		cert := o.lab.PKI.IDs[i].Cert
		if !slices.ContainsFunc(sd.Certificates(), func(der []byte) bool { return bytes.Equal(der, cert.Raw) }) {
			return errors.New("the signer's certificate is not there")
		}
		if err := cert.CheckSignatureFrom(o.lab.PKI.Root); err != nil {
			return err
		}
		if (si.SignerID().KeyID != nil) != f.KeyID {
			return fmt.Errorf("the signer is named %v", si.SignerID())
		}
		r := si.Verify(cert, oid.Data, d, cms.VerifyOptions{AllowSHA1: f.Digest == "sha1"})
		if r.State != "valid" {
			return fmt.Errorf("%s %v: %s, %s", r.State, r.Codes, r.Digest, r.Algorithm)
		}
		if (r.ContentDigest == nil) != f.Bare || !f.MLDSA() && r.Digest != f.Digest || strings.Contains(r.Algorithm, "pss") != f.PSS {
			return fmt.Errorf("signed otherwise: digest %x, %s, %s", r.ContentDigest, r.Digest, r.Algorithm)
		}
	}
	return nil
}
