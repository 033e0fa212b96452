package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/sigalg"
)

// An operation is measured in every engine that has it.
type operation struct {
	name  string
	input string // the file it reads besides the content, named after the operation that writes it
	// ours reads from s and writes what comes out, if it is worth anything, to w.
	ours    func(e *env, s source, w io.Writer) error
	openssl func(dir string) []string
	peer    func(p peer, e *env, s source) error // nil if the other libraries do not have it
	raw     func(content []byte) time.Duration
}

// A source is where an operation reads.
type source struct{ content, input func() (io.ReadCloser, error) }

// operations lists what is measured: cms is bare CMS in BER, mail is S/MIME.
func operations() []operation {
	return []operation{
		{"cms-sign", "", signAttached, opensslSign("-binary", "-outform", "DER", "-nodetach"), peerSign(false), rawSHA256},
		{"cms-sign-detached", "", signDetached, opensslSign("-binary", "-outform", "DER"), peerSign(true), rawSHA256},
		{"cms-verify", "cms-sign", verifyAttached, opensslVerify("cms-sign", "-inform", "DER"), peerVerify(false), rawSHA256},
		{"cms-verify-detached", "cms-sign-detached", verifyDetached, opensslVerify("cms-sign-detached", "-inform", "DER", "-binary", "-content"), peerVerify(true), rawSHA256},
		{"cms-encrypt-cbc", "", encrypt("aes256-cbc"), opensslEncrypt("-aes256", "-binary", "-outform", "DER"), peerEncrypt, rawCBCEncrypt},
		{"cms-decrypt-cbc", "cms-encrypt-cbc", decrypt, opensslDecrypt("cms-encrypt-cbc", "-inform", "DER"), peerDecrypt, rawCBCDecrypt},
		{"cms-encrypt-gcm", "", encrypt("aes256-gcm"), opensslEncrypt("-aes-256-gcm", "-binary", "-outform", "DER"), nil, rawGCM},
		{"cms-decrypt-gcm", "cms-encrypt-gcm", decrypt, opensslDecrypt("cms-encrypt-gcm", "-inform", "DER"), nil, rawGCM},
		{"mail-sign", "", mailSign(true), opensslSign("-nodetach"), nil, rawSHA256},
		{"mail-sign-detached", "", mailSign(false), opensslSign(), nil, rawSHA256},
		{"mail-verify", "mail-sign", mailOpen, opensslVerify("mail-sign"), nil, rawSHA256},
		{"mail-verify-detached", "mail-sign-detached", mailOpen, opensslVerify("mail-sign-detached"), nil, rawSHA256},
		{"mail-encrypt-cbc", "", mailEncrypt("aes256-cbc"), opensslEncrypt("-aes256"), nil, rawCBCEncrypt},
		{"mail-decrypt-cbc", "mail-encrypt-cbc", mailOpen, opensslDecrypt("mail-encrypt-cbc"), nil, rawCBCDecrypt},
		{"mail-encrypt-gcm", "", mailEncrypt("aes256-gcm"), opensslEncrypt("-aes-256-gcm"), nil, rawGCM},
		{"mail-decrypt-gcm", "mail-encrypt-gcm", mailOpen, opensslDecrypt("mail-encrypt-gcm"), nil, rawGCM},
	}
}

func signAttached(e *env, s source, w io.Writer) error {
	sw, err := cms.NewSignedWriter(w, e.signers(), []*x509.Certificate{e.cert})
	if err != nil {
		return err
	}
	return pour(sw, s)
}

func signDetached(e *env, s source, w io.Writer) error {
	in, err := s.content()
	if err != nil {
		return err
	}
	defer in.Close()
	d := cms.NewDigests(sigalg.SHA256)
	if _, err := io.Copy(d, in); err != nil {
		return err
	}
	der, err := cms.SignDetached(d, e.signers(), []*x509.Certificate{e.cert})
	if err == nil {
		_, err = w.Write(der)
	}
	return err
}

// pour writes the content to w and closes it.
func pour(w io.WriteCloser, s source) error {
	in, err := s.content()
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return w.Close()
}

func verifyAttached(e *env, s source, w io.Writer) error {
	in, err := s.input()
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := cms.Open(in)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, c); err != nil {
		return err
	}
	if err := c.Finish(); err != nil {
		return err
	}
	return valid(e, c, c.(*cms.SignedData).Digests())
}

func verifyDetached(e *env, s source, w io.Writer) error {
	in, err := s.input()
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := cms.Open(in)
	if err != nil {
		return err
	}
	if err := c.Finish(); err != nil {
		return err
	}
	content, err := s.content()
	if err != nil {
		return err
	}
	defer content.Close()
	d := cms.NewDigests(sigalg.SHA256)
	if _, err := io.Copy(io.MultiWriter(d, w), content); err != nil {
		return err
	}
	return valid(e, c, d)
}

func valid(e *env, c cms.Content, d *cms.Digests) error {
	sd := c.(*cms.SignedData)
	if len(sd.SignerInfos()) != 1 || sd.SignerInfos()[0].Verify(e.cert, sd.EContentType(), d, cms.VerifyOptions{}).State != "valid" {
		return errors.New("the signature is not valid")
	}
	return nil
}

func encrypt(name string) func(*env, source, io.Writer) error {
	return func(e *env, s source, w io.Writer) error {
		ew, err := cms.NewEnvelopedWriter(w, []*cms.Recipient{{Certificate: e.cert}}, cms.EnvelopeOptions{Cipher: name})
		if err != nil {
			return err
		}
		return pour(ew, s)
	}
}

func decrypt(e *env, s source, w io.Writer) error {
	in, err := s.input()
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := cms.Open(in)
	if err != nil {
		return err
	}
	d := c.(*cms.EnvelopedData)
	if err := d.Unlock(d.Recipients()[0], e.key, cms.DecryptOptions{}); err != nil {
		return err
	}
	if _, err := io.Copy(w, d); err != nil {
		return err
	}
	return d.Finish()
}

func opensslSign(args ...string) func(string) []string {
	return func(dir string) []string {
		return append([]string{"cms", "-sign", "-stream", "-md", "sha256", "-signer", filepath.Join(dir, "cert.pem"), "-inkey", filepath.Join(dir, "key.pem"),
			"-in", filepath.Join(dir, "content"), "-out", "/dev/null"}, args...)
	}
}

// opensslVerify checks the signature alone. A last argument -content is completed.
func opensslVerify(input string, args ...string) func(string) []string {
	return func(dir string) []string {
		out := append([]string{"cms", "-verify", "-noverify", "-in", filepath.Join(dir, input), "-out", "/dev/null"}, args...)
		if out[len(out)-1] == "-content" {
			out = append(out, filepath.Join(dir, "content"))
		}
		return out
	}
}

func opensslEncrypt(args ...string) func(string) []string {
	return func(dir string) []string {
		all := append([]string{"cms", "-encrypt", "-stream", "-in", filepath.Join(dir, "content"), "-out", "/dev/null"}, args...)
		return append(all, filepath.Join(dir, "cert.pem"))
	}
}

func opensslDecrypt(input string, args ...string) func(string) []string {
	return func(dir string) []string {
		return append([]string{"cms", "-decrypt", "-inkey", filepath.Join(dir, "key.pem"), "-recip", filepath.Join(dir, "cert.pem"),
			"-in", filepath.Join(dir, input), "-out", "/dev/null"}, args...)
	}
}

// rawPiece is how much a bare primitive is given at a time. What it makes is overwritten by
// the next piece.
const rawPiece = 64 << 10

// bare times work over content, piece by piece.
func bare(content []byte, work func(piece []byte)) time.Duration {
	start := time.Now()
	for len(content) > 0 {
		n := min(len(content), rawPiece)
		work(content[:n])
		content = content[n:]
	}
	return time.Since(start)
}

func rawSHA256(content []byte) time.Duration {
	h := sha256.New()
	return bare(content, func(p []byte) { h.Write(p) })
}

func rawCBCEncrypt(content []byte) time.Duration {
	b, _ := aes.NewCipher(make([]byte, 32))
	return rawBlocks(content, cipher.NewCBCEncrypter(b, make([]byte, 16)))
}

func rawCBCDecrypt(content []byte) time.Duration {
	b, _ := aes.NewCipher(make([]byte, 32))
	return rawBlocks(content, cipher.NewCBCDecrypter(b, make([]byte, 16)))
}

func rawBlocks(content []byte, m cipher.BlockMode) time.Duration {
	out := make([]byte, rawPiece)
	return bare(content, func(p []byte) { m.CryptBlocks(out, p[:len(p)&^15]) })
}

func rawGCM(content []byte) time.Duration {
	b, _ := aes.NewCipher(make([]byte, 32))
	g, _ := cipher.NewGCM(b)
	out, nonce := make([]byte, 0, rawPiece+16), make([]byte, 12)
	return bare(content, func(p []byte) { g.Seal(out, nonce, p, nil) })
}
