package peertest

import (
	"os"
	"os/exec"
	"strings"
)

// nss is cmsutil of Mozilla's NSS, with a certificate database in the lab's folder.
type nss struct {
	lab     *Lab
	program string
	version string
}

func startNSS(l *Lab) (Peer, error) {
	p := &nss{lab: l}
	for _, program := range []string{"certutil", "pk12util", "cmsutil"} {
		path, err := look("NSS", program, "libnss3-tools")
		if err != nil {
			return nil, err
		}
		p.program = path
	}
	if err := os.Mkdir(l.path("nssdb"), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.path("nss.pw"), []byte(Password), 0o600); err != nil {
		return nil, err
	}
	const db, pw = "sql:nssdb", "nss.pw"
	steps := [][]string{
		{"certutil", "-N", "-d", db, "-f", pw},
		// Without -f the certificate is stored, but not its trust.
		{"certutil", "-A", "-d", db, "-f", pw, "-n", "root", "-t", "C,C,C", "-i", "ca.pem"},
	}
	for _, id := range l.PKI.IDs {
		if (Form{Who: []string{id.Name}}).Edwards() {
			continue
		}
		steps = append(steps,
			// pk12util keeps the name that the certificate already has in the database.
			[]string{"certutil", "-A", "-d", db, "-f", pw, "-n", id.Name, "-t", ",,", "-i", id.Name + ".pem"},
			[]string{"pk12util", "-i", id.Name + ".p12", "-d", db, "-k", pw, "-w", pw})
	}
	for _, step := range steps {
		if _, err := l.run(exec.Command(step[0], step[1:]...)); err != nil {
			return nil, err
		}
	}
	// None of the tools states a version; the package manager may.
	if out, err := l.run(exec.Command("dpkg-query", "-W", "-f=${Version}", "libnss3-tools")); err == nil {
		p.version, _, _ = strings.Cut(strings.TrimPrefix(string(out), "2:"), "-")
	}
	return p, nil
}

func (p *nss) run(args ...string) ([]byte, error) {
	return p.lab.run(exec.Command(p.program, append([]string{"-d", "sql:nssdb", "-f", "nss.pw"}, args...)...))
}

func (p *nss) Name() string    { return "NSS" }
func (p *nss) Version() string { return p.version }

func (p *nss) CannotWrite(f Form) string {
	switch {
	case f.Kind == Encrypted && f.EC():
		return "NSS 3.87 has no ECDH recipients"
	case f.Kind == Compressed:
		return "cmsutil has no CompressedData"
	case f.Shared():
		return "cmsutil knows certificates only"
	case f.Edwards():
		return "NSS 3.87 cannot import the certificate"
	case f.Kind == Signed && len(f.Who) > 1:
		return "cmsutil signs with one key"
	case f.Kind == Signed && f.PSS:
		return "cmsutil has no option for RSA-PSS"
	case f.KeyID:
		return "cmsutil names signers and recipients by issuer and serial number only"
	case f.GCM():
		return "NSS 3.87 has no AuthEnvelopedData"
	case f.OAEP != "":
		return "cmsutil has no option for RSA-OAEP"
	case f.Cipher != "" && f.Cipher != "aes128-cbc":
		return "cmsutil chooses the cipher itself: AES-128-CBC"
	}
	return ""
}

func (p *nss) CannotRead(f Form) string {
	switch {
	case f.Kind == Encrypted && f.EC():
		return "NSS 3.87 cannot parse a message with an ECDH recipient"
	case f.Kind == Compressed:
		return "cmsutil has no CompressedData"
	case f.Shared():
		return "cmsutil knows certificates only"
	case f.Edwards():
		return "NSS 3.87 cannot import the certificate"
	case f.GCM():
		return "NSS 3.87 has no AuthEnvelopedData"
	case f.OAEP != "":
		return "NSS 3.87 has no RSA-OAEP in CMS"
	case f.Kind == CertsOnly:
		return "cmsutil checks the certificates, and states no list"
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
