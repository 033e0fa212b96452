package peertest

import (
	"os"
	"os/exec"
	"strings"
)

// nss is cmsutil of Mozilla's NSS, with a certificate database in the lab's folder.
type nss struct {
	newer   bool // 3.131 or later, not 3.87
	lab     *Lab
	program string // cmsutil
	db      string
	version string
}

func (p *nss) start(l *Lab) (stop func(), err error) {
	p.lab, p.db = l, "nssdb"
	find := look
	if p.newer {
		p.db = "nssdb-newer"
		find = func(peer, program, _ string) (string, error) { return lookNewer(peer, program) }
	}
	programs := map[string]string{"certutil": "", "pk12util": "", "cmsutil": ""}
	for program := range programs {
		if programs[program], err = find(p.Name(), program, "libnss3-tools"); err != nil {
			return nil, err
		}
	}
	p.program = programs["cmsutil"]
	if err := os.Mkdir(l.path(p.db), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.path("nss.pw"), []byte(Password), 0o600); err != nil {
		return nil, err
	}
	const pw = "nss.pw"
	db := "sql:" + p.db
	steps := [][]string{
		{"certutil", "-N", "-d", db, "-f", pw},
		// Without -f the certificate is stored, but not its trust.
		{"certutil", "-A", "-d", db, "-f", pw, "-n", "root", "-t", "C,C,C", "-i", "ca.pem"},
	}
	for _, id := range l.PKI.IDs {
		if id.packed() && KeyKind(id.Name) != "bp" {
			steps = append(steps,
				// pk12util keeps the name that the certificate already has in the database.
				[]string{"certutil", "-A", "-d", db, "-f", pw, "-n", id.Name, "-t", ",,", "-i", id.Name + ".pem"},
				[]string{"pk12util", "-i", id.Name + ".p12", "-d", db, "-k", pw, "-w", pw})
		}
	}
	for _, step := range steps {
		if _, err := l.run(exec.Command(programs[step[0]], step[1:]...)); err != nil {
			return nil, err
		}
	}
	// None of the tools states a version; the package manager may.
	if p.newer {
		p.version = newerVersion("libnss3-tools")
	} else if out, err := l.run(exec.Command("dpkg-query", "-W", "-f=${Version}", "libnss3-tools")); err == nil {
		p.version = upstream(string(out))
	}
	return nil, nil
}

func (p *nss) run(args ...string) ([]byte, error) {
	return p.lab.run(exec.Command(p.program, append([]string{"-d", "sql:" + p.db, "-f", "nss.pw"}, args...)...))
}

func (p *nss) Name() string {
	if p.newer {
		return "NSS 3.131"
	}
	return "NSS 3.87"
}

func (p *nss) Version() string { return p.version }

func (p *nss) CannotWrite(f Form) string {
	switch {
	case f.Kind == Signed && len(f.Who) > 1:
		return "cmsutil signs with one key"
	case f.Kind == Signed && f.PSS:
		return "cmsutil has no option for RSA-PSS"
	case f.Kind == Signed && f.Bare:
		return "cmsutil always writes signed attributes"
	case f.KeyID:
		return "cmsutil names signers and recipients by issuer and serial number only"
	case f.OAEP != "":
		return "cmsutil has no option for RSA-OAEP"
	case f.Digest == "sha224" && !p.newer:
		return "cmsutil 3.87 has no SHA-224 to sign with"
	case f.KDF != "":
		return "cmsutil chooses the key derivation itself"
	case f.Kind == Encrypted && f.Cipher != "aes128-cbc" && !f.Shared() && !(p.newer && f.Has("p384", "p521")):
		return "cmsutil chooses the cipher itself: AES-128-CBC, or AES-256-CBC for the larger curves"
	case f.Kind == Digested:
		return "cmsutil has no option for DigestedData"
	case strings.HasPrefix(f.Digest, "sha3-"):
		return "cmsutil has no option for SHA3"
	case f.Kind == CertsOnly:
		return ""
	}
	return p.CannotRead(f)
}

func (p *nss) CannotRead(f Form) string {
	switch {
	case f.Kind == Compressed, f.Kind == Authenticated, f.Kind == UnderKey:
		return "cmsutil has no CompressedData and AuthenticatedData, and no option for the key of EncryptedData"
	case f.Kind == Digested:
		return "NSS shows DigestedData whatever the digest is"
	case f.Shared():
		return "cmsutil knows certificates only"
	case f.Kind == CertsOnly:
		return "cmsutil checks the certificates, and states no list"
	case f.Has("ed", "ed448", "x25519", "x448", "bp", "pss") || f.MLDSA() || f.KEM():
		return "NSS has no such key in CMS"
	case strings.HasPrefix(f.Digest, "shake"):
		return "NSS has no SHAKE in CMS"
	case strings.HasPrefix(f.Digest, "sha3-") && !p.newer:
		return "NSS 3.87 has no SHA3 in CMS"
	case f.Derived:
		return "NSS does not know RFC 9709"
	case strings.HasSuffix(f.Cipher, "-ccm") || f.Cipher == "chacha20-poly1305":
		return "NSS has no CCM and ChaCha20-Poly1305 in CMS"
	case p.newer:
	case f.Agreed():
		return "NSS 3.87 cannot parse a message with an ECDH recipient"
	case f.AEAD():
		return "NSS 3.87 has no AuthEnvelopedData"
	case f.OAEP != "":
		return "NSS 3.87 has no RSA-OAEP in CMS"
	}
	return ""
}

func (p *nss) Write(f Form, content []byte) ([]byte, error) {
	in, err := p.lab.file(".in", content)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".der", nil)
	var args []string
	switch f.Kind {
	case CertsOnly:
		args = []string{"-O", "-r", strings.Join(f.Who, ",")}
	case Signed:
		args = []string{"-S", "-N", f.Who[0], "-H", strings.ToUpper(f.Digest), "-G", "-P"}
		if f.Detached {
			args = append(args, "-T")
		}
	case Encrypted:
		var to []string
		for _, who := range f.Who {
			to = append(to, who+"@example.test")
		}
		args = []string{"-E", "-r", strings.Join(to, ",")}
	}
	if _, err := p.run(append(args, "-i", in, "-o", out)...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (p *nss) Read(f Form, cms, content []byte) ([]byte, error) {
	in, err := p.lab.file(".der", cms)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".out", nil)
	args := []string{"-D", "-i", in, "-o", out}
	if f.Kind == Signed {
		args = append(args, "-u", "4") // for the use of a mail signer
	}
	if f.Detached {
		beside, err := p.lab.file(".in", content)
		if err != nil {
			return nil, err
		}
		args = append(args, "-c", beside)
	}
	if _, err := p.run(args...); err != nil {
		return nil, err
	}
	if f.Detached {
		return content, nil
	}
	return os.ReadFile(out)
}
