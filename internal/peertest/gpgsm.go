package peertest

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gpgsm is the S/MIME half of GnuPG, with a key ring in the lab's folder.
type gpgsm struct {
	newer   bool // 2.4, not 2.2
	lab     *Lab
	program string
	home    string
	version string
}

func (p *gpgsm) start(l *Lab) (stop func(), err error) {
	p.lab, p.home = l, l.path("gpg")
	find := look
	if p.newer {
		p.home = l.path("gpg-newer")
		find = func(peer, program, _ string) (string, error) { return lookNewer(peer, program) }
	}
	programs := map[string]string{"gpgsm": "gpgsm", "gpg-agent": "gpg-agent", "gpg-connect-agent": "gpgconf"}
	for program, pkg := range programs {
		if programs[program], err = find(p.Name(), program, pkg); err != nil {
			return nil, err
		}
	}
	p.program = programs["gpgsm"]
	if err := os.Mkdir(p.home, 0o700); err != nil {
		return nil, err
	}
	// Only this home's agent is ended.
	stop = func() {
		cmd := exec.Command(programs["gpg-connect-agent"], "--no-autostart", "KILLAGENT", "/bye")
		cmd.Env = p.env()
		l.run(cmd)
	}
	fingerprint := fmt.Sprintf("%X", sha1.Sum(l.PKI.Root.Raw))
	for name, text := range map[string]string{
		"gpgsm.conf":     "disable-crl-checks\npinentry-mode loopback\nbatch\nno-tty\nagent-program " + programs["gpg-agent"] + "\n",
		"gpg-agent.conf": "allow-loopback-pinentry\ns2k-count 65536\n",
		"trustlist.txt":  fingerprint + " S relax\n",
	} {
		if err := os.WriteFile(p.home+"/"+name, []byte(text), 0o600); err != nil {
			return stop, err
		}
	}
	out, err := l.run(exec.Command(p.program, "--version"))
	if err != nil {
		return stop, err
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if f := strings.Fields(line); len(f) > 0 {
		p.version = f[len(f)-1]
	}
	if _, _, err := p.run("--import", "ca.pem"); err != nil {
		return stop, fmt.Errorf("%s: import of the root: %w", p.Name(), err)
	}
	for _, id := range l.PKI.IDs {
		if KeyKind(id.Name) == "" || p.newer && id.packed() && KeyKind(id.Name) != "dsa" {
			if err := p.take(id); err != nil {
				return stop, err
			}
		}
	}
	return stop, nil
}

// take imports a certificate and its key. Now and then gpgsm 2.4 takes a good PKCS #12 file
// for one that cannot be deciphered; the same content, protected again, it reads.
func (p *gpgsm) take(id *ID) error {
	_, _, err := p.run("--import", id.Name+".p12")
	for try := 0; err != nil && try < 3; try++ {
		if err := id.pack(p.lab.PKI.Root, p.home); err != nil {
			return err
		}
		_, _, err = p.run("--import", filepath.Join(p.home, id.Name+".p12"))
	}
	if err != nil {
		return fmt.Errorf("%s: import of %s: %w", p.Name(), id.Name, err)
	}
	return nil
}

func (p *gpgsm) env() []string { return []string{"GNUPGHOME=" + p.home} }

// run returns the output and the status lines.
func (p *gpgsm) run(args ...string) (out, status []byte, err error) {
	pw, err := p.lab.file(".pw", []byte(Password))
	if err != nil {
		return nil, nil, err
	}
	in, err := os.Open(pw)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	lines, err := os.CreateTemp(p.lab.Dir, "status")
	if err != nil {
		return nil, nil, err
	}
	defer lines.Close()
	cmd := exec.Command(p.program, append([]string{"--passphrase-fd", "3", "--status-fd", "4"}, args...)...)
	cmd.Env = p.env()
	cmd.ExtraFiles = []*os.File{in, lines} // 3 and 4
	out, err = p.lab.run(cmd)
	status, _ = os.ReadFile(lines.Name())
	return out, status, err
}

func (p *gpgsm) Name() string {
	if p.newer {
		return "gpgsm 2.4"
	}
	return "gpgsm 2.2"
}

func (p *gpgsm) Version() string { return p.version }

func (p *gpgsm) CannotWrite(f Form) string {
	switch {
	case f.Kind == CertsOnly:
		return "gpgsm exports certificates as PEM or DER only"
	case f.Shared() && f.Kind == Encrypted:
		return "gpgsm writes for certificates only"
	case f.PSS:
		return "gpgsm writes no RSA-PSS"
	case f.Bare:
		return "gpgsm always writes signed attributes"
	case f.KeyID:
		return "gpgsm names signers and recipients by issuer and serial number only"
	case f.Kind == Signed && f.Has("ec", "p384", "p521", "bp") && !p.newer:
		return "gpgsm 2.2 cannot import an EC key: it crashes on the PKCS #12 file"
	case f.Agreed() && !p.newer:
		return "gpgsm 2.2 encrypts to no certificate whose key usage is keyAgreement alone"
	case f.KDF != "":
		return "gpgsm chooses the key derivation itself"
	case f.Has("pss"):
		return "gpgsm writes no RSA-PSS"
	case strings.HasPrefix(f.Digest, "sha3-"):
		return "gpgsm signs with SHA-1 and SHA-2 only"
	case f.KEM():
		return "gpgsm has no ML-KEM, X25519 and X448 in CMS"
	}
	return p.CannotRead(f)
}

func (p *gpgsm) CannotRead(f Form) string {
	switch {
	case f.Kind == Compressed, f.Kind == Authenticated, f.Kind == UnderKey, f.Kind == Digested:
		return "gpgsm has no CompressedData, AuthenticatedData, EncryptedData and DigestedData"
	case f.Kind == CertsOnly:
		return "gpgsm imports the certificates into its key ring, and states no list"
	case f.AEAD():
		return p.Name() + " has no AuthEnvelopedData"
	case f.Derived:
		return "gpgsm does not know RFC 9709"
	case f.Secret:
		return "gpgsm has no key-encryption keys"
	case f.OAEP != "":
		return "gpgsm has no RSA-OAEP"
	case f.KEM() && len(f.Who) == 1, f.Montgomery():
		return "gpgsm has no ML-KEM, X25519 and X448 in CMS"
	case f.Has("ed", "ed448") || f.MLDSA():
		return "gpgsm has no Ed25519, Ed448 and ML-DSA in CMS"
	case f.Has("dsa"):
		return "gpgsm has no DSA in CMS"
	case strings.HasPrefix(f.Digest, "shake"):
		return "gpgsm has no SHAKE"
	case strings.HasPrefix(f.Digest, "sha3-") && !p.newer:
		return "gpgsm 2.2 has no SHA3"
	case !p.newer && f.Kind == Encrypted && f.Agreed() && len(f.Who) == 1:
		return "gpgsm 2.2 cannot import an EC key: it crashes on the PKCS #12 file"
	case f.KeyID && f.Kind == Signed:
		return "gpgsm cannot parse a signer named by key identifier"
	case f.KeyID:
		return "gpgsm finds no recipient named by key identifier"
	case f.LongSalt:
		return "gpgsm wants a salt as long as the digest"
	case f.Cipher == "des-cbc" || f.Cipher == "rc2-cbc":
		return "gpgsm has no DES and RC2"
	case strings.HasPrefix(f.KDF, "cofactor-") || f.KDF == "sha224":
		return "gpgsm has no cofactor ECDH, and no SHA-224 with it"
	case !p.newer && f.Has("p521"):
		return "gpgsm 2.2 refuses the length of P-521"
	}
	return ""
}

func (p *gpgsm) Write(f Form, content []byte) ([]byte, error) {
	in, err := p.lab.file(".in", content)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".der", nil)
	args := []string{"--output", out}
	switch f.Kind {
	case Signed:
		for _, who := range f.Who {
			args = append(args, "--local-user", who+"@example.test")
		}
		args = append(args, "--digest-algo", strings.ToUpper(f.Digest))
		if f.Detached {
			args = append(args, "--detach-sign", in)
		} else {
			args = append(args, "--sign", in)
		}
	case Encrypted:
		for _, who := range f.Who {
			args = append(args, "--recipient", who+"@example.test")
		}
		cipher := strings.ToUpper(strings.TrimSuffix(f.Cipher, "-cbc"))
		args = append(args, "--cipher-algo", cipher, "--encrypt", in)
	}
	if _, _, err := p.run(args...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (p *gpgsm) Read(f Form, cms, content []byte) ([]byte, error) {
	in, err := p.lab.file(".der", cms)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".out", nil)
	if f.Kind == Encrypted {
		// gpgsm takes the first recipient whose key it has, and it has them all.
		if _, _, err := p.run("--output", out, "--decrypt", in); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}
	args := []string{"--output", out, "--verify", in}
	if f.Detached {
		beside, err := p.lab.file(".in", content)
		if err != nil {
			return nil, err
		}
		args = []string{"--verify", in, beside}
	}
	_, status, err := p.run(args...)
	if err != nil {
		return nil, err
	}
	good, trusted := bytes.Count(status, []byte("GOODSIG ")), bytes.Count(status, []byte("TRUST_FULLY "))
	if good != len(f.Who) || trusted != len(f.Who) {
		return nil, fmt.Errorf("gpgsm: %d good and %d trusted of %d signatures: %s", good, trusted, len(f.Who), status)
	}
	if f.Detached {
		return content, nil
	}
	return os.ReadFile(out)
}
