package peertest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/postseal/postseal/internal/cms"
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
	if f.OAEP == "sha1" {
		return "postseal writes RSA-OAEP with SHA-256 only"
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
		w, err = cms.NewEnvelopedWriter(&out, o.recipients(f), cms.EnvelopeOptions{Cipher: f.Cipher})
	case peertest.Signed:
		if f.Detached {
			d := cms.NewDigests(hashes()...)
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

func hashes() []sigalg.Hash { return []sigalg.Hash{sigalg.SHA256, sigalg.SHA384, sigalg.SHA512} }

func (o ours) certificates(f peertest.Form) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, who := range f.Who {
		certs = append(certs, o.lab.PKI.ID(who).Cert)
	}
	return certs
}

func (o ours) signers(f peertest.Form) []*cms.Signer {
	digest := hashes()[slices.Index([]string{"sha256", "sha384", "sha512"}, f.Digest)]
	var signers []*cms.Signer
	for _, who := range f.Who {
		id := o.lab.PKI.ID(who)
		signers = append(signers, &cms.Signer{Certificate: id.Cert, Key: id.Key, Digest: digest, PSS: f.PSS, KeyID: f.KeyID})
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
	if f.Kind != peertest.Encrypted {
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
	if e, ok := c.(*cms.EnvelopedData); ok {
		if e.Cipher() != f.Cipher || e.Authenticated() != f.GCM() {
			return nil, fmt.Errorf("the cipher is %s", e.Cipher())
		}
		if err := o.unlock(f, e, who); err != nil {
			return nil, err
		}
	}
	content, err := io.ReadAll(c)
	if err != nil {
		return nil, err
	}
	if err := c.Finish(); err != nil {
		return nil, err
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
		digests, content = cms.NewDigests(hashes()...), beside
		digests.Write(beside)
	}
	return content, o.verify(f, sd, digests)
}

func (o ours) unlock(f peertest.Form, e *cms.EnvelopedData, who string) error {
	for _, ri := range e.Recipients() {
		switch {
		case f.Secret && ri.MatchesKeyID(unhex(peertest.SecretID)):
			return e.Unlock(ri, cms.Secret(unhex(peertest.SecretKey)), cms.DecryptOptions{})
		case f.Passphrase && ri.Kind == "pwri":
			return e.Unlock(ri, cms.Passphrase(peertest.Password), cms.DecryptOptions{})
		case who != "" && ri.Matches(o.lab.PKI.ID(who).Cert):
			return e.Unlock(ri, o.lab.PKI.ID(who).Key, cms.DecryptOptions{})
		}
	}
	return errors.New("no recipient")
}

// verify asks of every signature that it is good, by somebody of the lab's PKI.
func (o ours) verify(f peertest.Form, sd *cms.SignedData, d *cms.Digests) error {
	infos := sd.SignerInfos()
	if len(infos) != len(f.Who) {
		return fmt.Errorf("%d signers", len(infos))
	}
	roots := x509.NewCertPool()
	roots.AddCert(o.lab.PKI.Root)
	for _, si := range infos {
		i := slices.IndexFunc(o.lab.PKI.IDs, func(id *peertest.ID) bool { return si.Matches(id.Cert) })
		if i < 0 {
			return errors.New("a stranger signed")
		}
		cert := o.lab.PKI.IDs[i].Cert
		if !slices.ContainsFunc(sd.Certificates(), func(der []byte) bool { return bytes.Equal(der, cert.Raw) }) {
			return errors.New("the signer's certificate is not there")
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
			return err
		}
		if r := si.Verify(cert, oid.Data, d, cms.VerifyOptions{}); r.State != "valid" {
			return fmt.Errorf("%s %v", r.State, r.Codes)
		}
	}
	return nil
}
