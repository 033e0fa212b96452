package peertest

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// OpenSSL is the command line of OpenSSL 3.
type OpenSSL struct {
	newer   bool // 3.6, not 3.0
	lab     *Lab
	program string
	version string
}

func (p *OpenSSL) start(l *Lab) (stop func(), err error) {
	p.lab = l
	if p.newer {
		p.program, err = lookNewer(p.Name(), "openssl")
	} else {
		p.program, err = look(p.Name(), "openssl", "openssl")
	}
	if err != nil {
		return nil, err
	}
	out, err := p.Run("version")
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(string(out)); len(f) > 1 {
		p.version = f[1]
	}
	return nil, nil
}

// Name returns "OpenSSL 3.0" or "OpenSSL 3.6".
func (p *OpenSSL) Name() string {
	if p.newer {
		return "OpenSSL 3.6"
	}
	return "OpenSSL 3.0"
}

// Version returns the release, such as 3.0.19.
func (p *OpenSSL) Version() string { return p.version }

// Run executes openssl with these arguments in the lab's folder and returns its output.
func (p *OpenSSL) Run(args ...string) ([]byte, error) {
	return p.lab.run(exec.Command(p.program, args...))
}

// CannotWrite implements Peer.
func (p *OpenSSL) CannotWrite(f Form) string {
	switch {
	case f.Marked:
		return "openssl cms has no option for authenticated attributes"
	case f.Passphrase && f.AEAD():
		return "OpenSSL writes no AuthEnvelopedData with a password"
	}
	return p.CannotRead(f)
}

// CannotRead implements Peer.
func (p *OpenSSL) CannotRead(f Form) string {
	switch {
	case f.Kind == Authenticated:
		return "OpenSSL has no AuthenticatedData"
	case strings.HasPrefix(f.Digest, "shake") && !f.Has("ed448"):
		return "OpenSSL has no SHAKE in signatures"
	case strings.HasSuffix(f.Cipher, "-ccm"):
		return "OpenSSL has no CCM in CMS"
	case f.Cipher == "chacha20-poly1305":
		return "OpenSSL has no ChaCha20-Poly1305 in CMS"
	case f.Montgomery():
		return "OpenSSL has no X25519 and X448 in CMS"
	case f.Derived:
		return "OpenSSL does not know RFC 9709"
	case p.newer:
	case f.Has("ed", "ed448"):
		return "OpenSSL 3.0 has no Ed25519 and Ed448 in SignedData"
	case f.MLDSA(), f.KEM():
		return "OpenSSL 3.0 has no ML-DSA and ML-KEM"
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
	case Compressed:
		args = append(args, "-compress")
	case Digested:
		args = append(args, "-digest_create", "-md", f.Digest)
	case UnderKey:
		args = append(args, "-EncryptedData_encrypt", "-"+opensslCipher(f.Cipher), "-secretkey", SecretKey)
	case Signed:
		args = append(args, signArgs(f)...)
	case Encrypted:
		args = append(args, encryptArgs(f)...)
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

func signArgs(f Form) []string {
	args := []string{"-sign", "-md", f.Digest}
	if !f.Detached {
		args = append(args, "-nodetach")
	}
	if f.Bare {
		args = append(args, "-noattr")
	}
	for _, who := range f.Who {
		args = append(args, "-signer", who+".pem", "-inkey", who+".key")
		if f.PSS {
			salt := "digest"
			if f.LongSalt {
				salt = "max"
			}
			args = append(args, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:"+salt)
		}
	}
	return args
}

func encryptArgs(f Form) []string {
	args := append([]string{"-encrypt", "-" + opensslCipher(f.Cipher)}, legacyArgs(f)...)
	args = append(args, sharedArgs(f)...)
	for _, who := range f.Who {
		args = append(args, "-recip", who+".pem")
		switch KeyKind(who) {
		case "ec", "p384", "p521":
			kdf, cofactor := strings.CutPrefix(f.KDF, "cofactor-")
			args = append(args, "-keyopt", "ecdh_kdf_md:"+cmp.Or(kdf, "sha256"))
			if cofactor {
				args = append(args, "-keyopt", "ecdh_cofactor_mode:1")
			}
		case "":
			if f.OAEP != "" {
				args = append(args, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:"+f.OAEP, "-keyopt", "rsa_mgf1_md:"+cmp.Or(f.Mask, f.OAEP))
			}
			if f.Label {
				args = append(args, "-keyopt", "rsa_oaep_label:"+OAEPLabel)
			}
		}
	}
	if f.Agreed() {
		args = append(args, "-"+strings.TrimSuffix(strings.TrimSuffix(f.Cipher, "-cbc"), "-gcm")+"-wrap")
	}
	return args
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

// legacyArgs are the options, the same both ways, for ciphers that are off by default.
func legacyArgs(f Form) []string {
	if f.Legacy() {
		return []string{"-provider", "legacy", "-provider", "default"}
	}
	return nil
}

// opensslCipher turns aes256-cbc into aes-256-cbc.
func opensslCipher(name string) string {
	switch name {
	case "3des-cbc":
		return "des3"
	case "rc2-cbc":
		return "rc2-128"
	}
	return strings.Replace(name, "aes", "aes-", 1)
}

// Read implements Peer.
func (p *OpenSSL) Read(f Form, cms, content []byte) ([]byte, error) {
	in, err := p.lab.file(".der", cms)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".out", nil)
	run := func(args ...string) ([]byte, error) {
		if _, err := p.Run(append(args, "-binary", "-inform", "DER", "-in", in, "-out", out)...); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}
	switch f.Kind {
	case CertsOnly:
		text, err := p.Run("pkcs7", "-inform", "DER", "-in", in, "-print_certs")
		if err != nil {
			return nil, err
		}
		return pemCertificates(text), nil
	case Compressed:
		return run("cms", "-uncompress")
	case Digested:
		return run("cms", "-digest_verify")
	case UnderKey:
		return run("cms", "-EncryptedData_decrypt", "-secretkey", SecretKey)
	case Signed:
		args := []string{"cms", "-verify", "-CAfile", "ca.pem"}
		if f.Detached {
			beside, err := p.lab.file(".in", content)
			if err != nil {
				return nil, err
			}
			args = append(args, "-content", beside)
		}
		return run(args...)
	}
	args := append([]string{"cms", "-decrypt"}, legacyArgs(f)...)
	if f.Shared() {
		return run(append(args, sharedArgs(f)...)...)
	}
	return readAs(f.Who, func(who string) ([]byte, error) {
		return run(slices.Concat(args, []string{"-recip", who + ".pem", "-inkey", who + ".key"})...)
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
