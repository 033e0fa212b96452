package peertest

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed bc/Peer.java
var bouncySource []byte

// bouncy is Bouncy Castle in one Java process, which compiles bc/Peer.java as it starts
// and answers a request a line: a Java machine takes about a second to come up.
type bouncy struct {
	lab     *Lab
	version string

	mu      sync.Mutex
	in      io.WriteCloser
	answers *bufio.Scanner
	diag    strings.Builder
}

// bouncyJars lists the archives Peer.java needs, and the Debian packages that hold them.
func bouncyJars() [][2]string {
	return [][2]string{
		{"bcprov", "libbcprov-java"}, {"bcutil", "libbcutil-java"}, {"bcpkix", "libbcpkix-java"}, {"bcmail", "libbcmail-java"},
		{"javax.mail", "libmail-java"}, {"javax.activation", "libactivation-java"},
	}
}

func startBouncy(l *Lab) (Peer, func(), error) {
	const name = "Bouncy Castle"
	java, err := look(name, "java", "default-jdk-headless")
	if err != nil {
		return nil, nil, err
	}
	// java compiles a source file only where the compiler is installed.
	if _, err := look(name, "javac", "default-jdk-headless"); err != nil {
		return nil, nil, err
	}
	var path []string
	for _, jar := range bouncyJars() {
		file := filepath.Join("/usr/share/java", jar[0]+".jar")
		if _, err := os.Stat(file); err != nil {
			return nil, nil, &MissingError{Peer: name, Program: file, Package: jar[1]}
		}
		path = append(path, file)
	}
	if err := os.WriteFile(l.path("Peer.java"), bouncySource, 0o600); err != nil {
		return nil, nil, err
	}
	p := &bouncy{lab: l}
	cmd := exec.Command(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(path, ":"), "Peer.java")
	cmd.Dir, cmd.Stderr = l.Dir, &p.diag
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p.answers = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		p.in.Close()
		cmd.Wait()
	}
	p.version, err = p.answer()
	return p, stop, err
}

// answer reads one line: "ok" and a text, or "no" and the reason.
func (p *bouncy) answer() (string, error) {
	if !p.answers.Scan() {
		return "", fmt.Errorf("peertest: Bouncy Castle ended: %w: %s", errors.Join(p.answers.Err(), io.ErrUnexpectedEOF), p.diag.String())
	}
	verdict, text, _ := strings.Cut(p.answers.Text(), " ")
	if verdict != "ok" {
		return "", errors.New("peertest: Bouncy Castle: " + text)
	}
	return text, nil
}

// ask makes one request and returns what the peer wrote.
func (p *bouncy) ask(verb string, in []byte, words ...string) ([]byte, error) {
	name, err := p.lab.file(".in", in)
	if err != nil {
		return nil, err
	}
	out, _ := p.lab.file(".out", nil)
	if in != nil {
		words = append(words, "in="+name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.in, verb, strings.Join(words, " "), "out="+out); err != nil {
		return nil, fmt.Errorf("peertest: Bouncy Castle: %w: %s", err, p.diag.String())
	}
	if _, err := p.answer(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (p *bouncy) Name() string            { return "Bouncy Castle" }
func (p *bouncy) Version() string         { return p.version }
func (p *bouncy) CannotWrite(Form) string { return "" }

func (p *bouncy) CannotRead(f Form) string {
	if f.EC() && f.GCM() {
		return "Bouncy Castle 1.72 has no reader for key agreement in AuthEnvelopedData"
	}
	return ""
}

func whoWord(who ...string) string { return "who=" + strings.Join(who, ",") }

// digestName turns sha256 into SHA-256.
func digestName(name string) string { return "SHA-" + strings.TrimPrefix(name, "sha") }

func (p *bouncy) Write(f Form, content []byte) ([]byte, error) {
	words := []string{whoWord(f.Who...)}
	for flag, set := range map[string]bool{
		"keyid": f.KeyID, "streamed": f.Streamed, "detached": f.Detached, "pss": f.PSS, "gcm": f.GCM(),
		"digest=" + strings.ToUpper(f.Digest): f.Digest != "",
		"cipher=" + f.Cipher:                  f.Cipher != "",
		"oaep=" + digestName(f.OAEP):          f.OAEP != "",
		"secret=" + SecretKey:                 f.Secret,
		"secretid=" + SecretID:                f.Secret,
		"password=" + Password:                f.Passphrase,
	} {
		if set {
			words = append(words, flag)
		}
	}
	switch f.Kind {
	case CertsOnly:
		return p.ask("bundle", nil, words...)
	case Compressed:
		return p.ask("compress", content)
	case Signed:
		return p.ask("sign", content, words...)
	}
	return p.ask("encrypt", content, words...)
}

func (p *bouncy) Read(f Form, cms, content []byte) ([]byte, error) {
	switch f.Kind {
	case CertsOnly:
		return p.ask("unbundle", cms)
	case Compressed:
		return p.ask("expand", cms)
	case Signed:
		words := []string{fmt.Sprint("signers=", len(f.Who))}
		if f.Detached {
			beside, err := p.lab.file(".in", content)
			if err != nil {
				return nil, err
			}
			words = append(words, "content="+beside)
		} else if f.Streamed {
			words = append(words, "streamed")
		}
		return p.ask("verify", cms, words...)
	}
	switch {
	case f.Secret:
		return p.ask("decrypt", cms, "secret="+SecretKey)
	case f.Passphrase:
		return p.ask("decrypt", cms, "password="+Password)
	}
	return readAs(f.Who, func(who string) ([]byte, error) {
		words := []string{whoWord(who)}
		if f.GCM() {
			words = append(words, "gcm")
		}
		return p.ask("decrypt", cms, words...)
	})
}

func (p *bouncy) SignMail(entity []byte, who string, opaque bool) ([]byte, error) {
	words := []string{whoWord(who), "digest=SHA256"}
	if opaque {
		words = append(words, "opaque")
	}
	return p.ask("signmail", entity, words...)
}

func (p *bouncy) VerifyMail(message []byte) ([]byte, error) {
	return p.ask("verifymail", message)
}

func (p *bouncy) EncryptMail(entity []byte, to ...string) ([]byte, error) {
	return p.ask("encryptmail", entity, whoWord(to...))
}

func (p *bouncy) DecryptMail(message []byte, who string) ([]byte, error) {
	return p.ask("decryptmail", message, whoWord(who))
}
