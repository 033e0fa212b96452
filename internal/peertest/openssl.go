package peertest

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// OpenSSL is the command line of OpenSSL 3.
type OpenSSL struct {
	lab     *Lab
	program string
	version string
}

func startOpenSSL(l *Lab) (*OpenSSL, error) {
	program, err := look("OpenSSL", "openssl", "openssl")
	if err != nil {
		return nil, err
	}
	p := &OpenSSL{lab: l, program: program}
	out, err := p.Run("version")
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(string(out)); len(f) > 1 {
		p.version = f[1]
	}
	return p, nil
}

// Name returns "OpenSSL".
func (p *OpenSSL) Name() string { return "OpenSSL" }

// Version returns the release, such as 3.0.19.
func (p *OpenSSL) Version() string { return p.version }

// Run executes openssl with these arguments in the lab's folder and returns its output.
func (p *OpenSSL) Run(args ...string) ([]byte, error) {
	return p.lab.run(exec.Command(p.program, args...))
}

// CannotWrite implements Peer.
func (p *OpenSSL) CannotWrite(f Form) string { return p.CannotRead(f) }

// CannotRead implements Peer.
func (p *OpenSSL) CannotRead(f Form) string {
	switch {
	case f.Edwards():
		return "OpenSSL 3.0 has no Ed25519 in SignedData"
	case f.Kind == Compressed:
		return "OpenSSL is built without zlib on Debian 12"
	}
	return ""
}

// Write implements Peer.
func (p *OpenSSL) Write(f Form, content []byte) ([]byte, error) {
	in, err := p.lab.file(".in", content)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".der", nil)
	args := []string{"cms", "-binary", "-in", in, "-outform", "DER", "-out", out}
	switch f.Kind {
	case CertsOnly:
		args = []string{"crl2pkcs7", "-nocrl", "-outform", "DER", "-out", out}
		for _, who := range f.Who {
			args = append(args, "-certfile", who+".pem")
		}
	case Signed:
		args = append(args, "-sign", "-md", f.Digest)
		if !f.Detached {
			args = append(args, "-nodetach")
		}
		for _, who := range f.Who {
			args = append(args, "-signer", who+".pem", "-inkey", who+".key")
			if f.PSS {
				args = append(args, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
			}
		}
	case Encrypted:
		args = append(args, "-encrypt", "-"+opensslCipher(f.Cipher))
		args = append(args, sharedArgs(f)...)
		for _, who := range f.Who {
			args = append(args, "-recip", who+".pem")
			if strings.HasSuffix(who, "-ec") {
				args = append(args, "-keyopt", "ecdh_kdf_md:sha256")
			}
			if f.OAEP != "" {
				args = append(args, "-keyopt", "rsa_padding_mode:oaep",
					"-keyopt", "rsa_oaep_md:"+f.OAEP, "-keyopt", "rsa_mgf1_md:"+f.OAEP)
			}
		}
	}
	if f.EC() && f.Kind == Encrypted {
		args = append(args, "-aes256-wrap")
	}
	if f.KeyID {
		args = append(args, "-keyid")
	}
	if f.Streamed {
		args = append(args, "-stream")
	}
	if _, err := p.Run(args...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// sharedArgs are the options, the same both ways, for what is encrypted for nobody by name.
func sharedArgs(f Form) []string {
	switch {
	case f.Secret:
		return []string{"-secretkey", SecretKey, "-secretkeyid", SecretID}
	case f.Passphrase:
		return []string{"-pwri_password", Password}
	}
	return nil
}

// opensslCipher turns aes256-cbc into aes-256-cbc.
func opensslCipher(name string) string { return strings.Replace(name, "aes", "aes-", 1) }

// Read implements Peer.
func (p *OpenSSL) Read(f Form, cms, content []byte) ([]byte, error) {
	in, err := p.lab.file(".der", cms)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".out", nil)
	switch f.Kind {
	case CertsOnly:
		text, err := p.Run("pkcs7", "-inform", "DER", "-in", in, "-print_certs")
		if err != nil {
			return nil, err
		}
		return pemCertificates(text), nil
	case Signed:
		args := []string{"cms", "-verify", "-binary", "-inform", "DER", "-in", in, "-CAfile", "ca.pem", "-out", out}
		if f.Detached {
			beside, err := p.lab.file(".in", content)
			if err != nil {
				return nil, err
			}
			args = append(args, "-content", beside)
		}
		if _, err := p.Run(args...); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}
	if f.Shared() {
		args := append([]string{"cms", "-decrypt", "-binary", "-inform", "DER", "-in", in, "-out", out}, sharedArgs(f)...)
		if _, err := p.Run(args...); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}
	return readAs(f.Who, func(who string) ([]byte, error) {
		if _, err := p.Run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", in,
			"-recip", who+".pem", "-inkey", who+".key", "-out", out); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	})
}

// SignMail implements MailPeer with SHA-256.
func (p *OpenSSL) SignMail(entity []byte, who string, opaque bool) ([]byte, error) {
	args := []string{"cms", "-sign", "-binary", "-md", "sha256", "-signer", who + ".pem", "-inkey", who + ".key",
		"-from", who + "@example.test", "-subject", "A message of a peer"}
	if opaque {
		args = append(args, "-nodetach")
	}
	return p.mail(entity, args...)
}

// VerifyMail implements MailPeer.
func (p *OpenSSL) VerifyMail(message []byte) ([]byte, error) {
	return p.mail(message, "cms", "-verify", "-CAfile", "ca.pem")
}

// EncryptMail implements MailPeer.
func (p *OpenSSL) EncryptMail(entity []byte, to ...string) ([]byte, error) {
	args := []string{"cms", "-encrypt", "-binary", "-aes-256-cbc"}
	for _, who := range to {
		args = append(args, who+".pem")
	}
	return p.mail(entity, args...)
}

// DecryptMail implements MailPeer.
func (p *OpenSSL) DecryptMail(message []byte, who string) ([]byte, error) {
	return p.mail(message, "cms", "-decrypt", "-recip", who+".pem", "-inkey", who+".key")
}

func (p *OpenSSL) mail(in []byte, args ...string) ([]byte, error) {
	name, err := p.lab.file(".eml", in)
	if err != nil {
		return nil, err
	}
	return p.Run(slices.Insert(args, 2, "-in", name)...)
}

// readAs decrypts as each recipient in turn; all must see the same content.
func readAs(recipients []string, decrypt func(who string) ([]byte, error)) ([]byte, error) {
	var content []byte
	for i, who := range recipients {
		got, err := decrypt(who)
		if err != nil {
			return nil, fmt.Errorf("as %s: %w", who, err)
		}
		if i > 0 && !bytes.Equal(got, content) {
			return nil, fmt.Errorf("%s reads something else than %s", who, recipients[0])
		}
		content = got
	}
	return content, nil
}

// pemCertificates returns the certificates of a PEM text in the form Peer.Read promises.
func pemCertificates(text []byte) []byte {
	var certs [][]byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return joinCertificates(certs)
		}
		certs = append(certs, block.Bytes)
	}
}

func joinCertificates(certs [][]byte) []byte {
	slices.SortFunc(certs, bytes.Compare)
	return slices.Concat(certs...)
}
