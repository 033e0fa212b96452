package peertest

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// gpgsm is the S/MIME half of GnuPG 2.2, with a key ring in the lab's folder.
type gpgsm struct {
	lab     *Lab
	program string
	home    string
	version string
}

func startGPGSM(l *Lab) (Peer, func(), error) {
	program, err := look("gpgsm", "gpgsm", "gpgsm")
	if err != nil {
		return nil, nil, err
	}
	for _, helper := range []string{"gpg-agent", "gpgconf"} {
		if _, err := look("gpgsm", helper, helper); err != nil {
			return nil, nil, err
		}
	}
	p := &gpgsm{lab: l, program: program, home: l.path("gpg")}
	if err := os.Mkdir(p.home, 0o700); err != nil {
		return nil, nil, err
	}
	// Only this home's agent is ended.
	stop := func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = p.env()
		l.run(cmd)
	}
	fingerprint := fmt.Sprintf("%X", sha1.Sum(l.PKI.Root.Raw))
	for name, text := range map[string]string{
		"gpgsm.conf":     "disable-crl-checks\npinentry-mode loopback\nbatch\nno-tty\n",
		"gpg-agent.conf": "allow-loopback-pinentry\ns2k-count 65536\n",
		"trustlist.txt":  fingerprint + " S relax\n",
	} {
		if err := os.WriteFile(p.home+"/"+name, []byte(text), 0o600); err != nil {
			return nil, stop, err
		}
	}
	out, err := l.run(exec.Command(program, "--version"))
	if err != nil {
		return nil, stop, err
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if f := strings.Fields(line); len(f) > 0 {
		p.version = f[len(f)-1]
	}
	imports := []string{"ca.pem", "alice.p12", "bob.p12"}
	for _, name := range imports {
		if _, _, err := p.run("--import", name); err != nil {
			return nil, stop, fmt.Errorf("import of %s: %w", name, err)
		}
	}
	return p, stop, nil
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

func (p *gpgsm) Name() string    { return "gpgsm" }
func (p *gpgsm) Version() string { return p.version }

func (p *gpgsm) CannotWrite(f Form) string {
	switch {
	case f.Kind == Compressed:
		return "gpgsm has no CompressedData"
	case f.Shared():
		return "gpgsm writes for certificates only"
	case f.Kind == Encrypted && f.EC():
		return "gpgsm 2.2 encrypts to no certificate whose key usage is keyAgreement alone"
	case f.Edwards():
		return "gpgsm 2.2 has no Ed25519 in CMS"
	case f.Kind == CertsOnly:
		return "gpgsm exports certificates as PEM or DER only"
	case f.PSS:
		return "gpgsm writes no RSA-PSS"
	case f.Kind == Signed && f.EC():
		return "gpgsm 2.2 cannot import an EC key: it crashes on the PKCS #12 file"
	case f.KeyID:
		return "gpgsm names signers and recipients by issuer and serial number only"
	case f.GCM():
		return "gpgsm 2.2 has no AuthEnvelopedData"
	case f.OAEP != "":
		return "gpgsm has no RSA-OAEP"
	}
	return ""
}

func (p *gpgsm) CannotRead(f Form) string {
	switch {
	case f.Kind == Compressed:
		return "gpgsm has no CompressedData"
	case f.Secret:
		return "gpgsm has no key-encryption keys"
	case f.Edwards():
		return "gpgsm 2.2 has no Ed25519 in CMS"
	case f.Kind == Encrypted && f.EC() && len(f.Who) == 1:
		return "gpgsm 2.2 cannot import an EC key: it crashes on the PKCS #12 file"
	case f.Kind == CertsOnly:
		return "gpgsm imports the certificates into its key ring, and states no list"
	case f.KeyID && f.Kind == Signed:
		return "gpgsm 2.2 cannot parse a signer named by key identifier"
	case f.KeyID:
		return "gpgsm 2.2 finds no recipient named by key identifier"
	case f.GCM():
		return "gpgsm 2.2 has no AuthEnvelopedData"
	case f.OAEP != "":
		return "gpgsm has no RSA-OAEP"
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
