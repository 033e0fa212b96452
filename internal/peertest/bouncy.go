package peertest

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed bc/*.java
var bouncySources embed.FS

// bouncy is Bouncy Castle in one Java process, which answers a request a line: a Java
// machine takes about a second to come up, and the compiler two.
type bouncy struct {
	newer   bool // 1.86, not 1.72
	lab     *Lab
	version string

	mu      sync.Mutex
	in      io.WriteCloser
	answers *bufio.Scanner
	diag    strings.Builder
}

// jars returns the archives that the sources need.
func (p *bouncy) jars() ([]string, error) {
	var path []string
	for _, jar := range []string{"bcprov", "bcutil", "bcpkix", "bcmail", "javax.mail", "javax.activation"} {
		file, remedy := filepath.Join("/usr/share/java", jar+".jar"), "Debian packages libbcmail-java and libmail-java"
		if p.newer && strings.HasPrefix(jar, "bc") {
			file, remedy = filepath.Join(newer(), "usr/share/java", jar+".jar"), "run .ci/newer"
		}
		if _, err := os.Stat(file); err != nil {
			return nil, &MissingError{Peer: p.Name(), Program: file, Remedy: remedy}
		}
		path = append(path, file)
	}
	return path, nil
}

// compile leaves the classes in a folder of the lab: without Newer, if this is not.
func (p *bouncy) compile(folder, path string) error {
	javac, err := look(p.Name(), "javac", "default-jdk-headless")
	if err != nil {
		return err
	}
	args := []string{"-nowarn", "-proc:none", "-d", folder, "-cp", path}
	sources, err := bouncySources.ReadDir("bc")
	if err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	for _, source := range sources {
		if source.Name() == "Newer.java" && !p.newer {
			continue
		}
		text, err := bouncySources.ReadFile("bc/" + source.Name())
		if err != nil {
			return err
		}
		file := filepath.Join(folder, source.Name())
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		args = append(args, file)
	}
	_, err = p.lab.run(exec.Command(javac, args...))
	return err
}

func (p *bouncy) start(l *Lab) (stop func(), err error) {
	p.lab = l
	java, err := look(p.Name(), "java", "default-jdk-headless")
	if err != nil {
		return nil, err
	}
	jars, err := p.jars()
	if err != nil {
		return nil, err
	}
	folder := l.path("classes-" + strings.ReplaceAll(p.Name(), " ", "-"))
	path := strings.Join(append(jars, folder), ":")
	if err := p.compile(folder, path); err != nil {
		return nil, err
	}
	cmd := exec.Command(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Peer")
	cmd.Dir, cmd.Stderr = l.Dir, &p.diag
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		p.in.Close()
		cmd.Wait()
	}
	p.version, err = p.answer()
	if p.newer {
		p.version = newerVersion("libbcmail-java")
	}
	return stop, err
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

func (p *bouncy) Name() string {
	if p.newer {
		return "Bouncy Castle 1.86"
	}
	return "Bouncy Castle 1.72"
}

func (p *bouncy) Version() string { return p.version }

func (p *bouncy) CannotWrite(f Form) string {
	switch {
	case f.Kind == UnderKey && !p.newer:
		return "Bouncy Castle 1.72 makes the key itself"
	case f.Cipher == "chacha20-poly1305" && !p.newer:
		return "Bouncy Castle 1.72 writes no ChaCha20-Poly1305"
	case f.AEAD() && (f.Shared() || f.Agreed() && !f.Montgomery()):
		return ""
	}
	return p.CannotRead(f)
}

func (p *bouncy) CannotRead(f Form) string {
	switch {
	case p.newer:
		return ""
	case f.MLDSA() || f.KEM():
		return "Bouncy Castle 1.72 has drafts of ML-DSA and ML-KEM only"
	case f.Montgomery():
		return "Bouncy Castle 1.72 has no X25519 and X448 in CMS"
	case f.Derived:
		return "Bouncy Castle 1.72 does not know RFC 9709"
	case (f.Agreed() || f.Shared()) && f.AEAD():
		return "Bouncy Castle 1.72 reads AuthEnvelopedData by key transport only"
	}
	return ""
}

func whoWord(who ...string) string { return "who=" + strings.Join(who, ",") }

// digestName turns sha256 into SHA-256.
func digestName(name string) string {
	return strings.ToUpper(strings.Replace(name, "sha", "sha-", 1))
}

func (p *bouncy) Write(f Form, content []byte) ([]byte, error) {
	words := []string{whoWord(f.Who...)}
	for flag, set := range map[string]bool{
		"keyid": f.KeyID, "streamed": f.Streamed, "detached": f.Detached, "pss": f.PSS, "longsalt": f.LongSalt, "bare": f.Bare,
		"aead": f.AEAD(), "derived": f.Derived, "marked": f.Marked,
		"digest=" + strings.ToUpper(f.Digest): f.Digest != "",
		"cipher=" + f.Cipher:                  f.Cipher != "",
		"oaep=" + digestName(f.OAEP):          f.OAEP != "",
		"mask=" + digestName(f.Mask):          f.Mask != "",
		"label=" + OAEPLabel:                  f.Label,
		"kdf=" + f.KDF:                        f.KDF != "",
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
	case Authenticated:
		return p.ask("authenticate", content, words...)
	case Digested:
		return p.ask("digest", content)
	case UnderKey:
		return p.ask("lock", content, words...)
	}
	return p.ask("encrypt", content, words...)
}

func (p *bouncy) Read(f Form, cms, content []byte) ([]byte, error) {
	switch f.Kind {
	case CertsOnly:
		return p.ask("unbundle", cms)
	case Compressed:
		return p.ask("expand", cms)
	case Digested:
		return p.ask("compare", cms)
	case UnderKey:
		return p.ask("unlock", cms, "secret="+SecretKey)
	case Authenticated:
		return p.ask("check", cms, whoWord(f.Who...))
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
	var words []string
	if f.AEAD() {
		words = append(words, "aead")
	}
	switch {
	case f.Secret:
		return p.ask("decrypt", cms, append(words, "secret="+SecretKey)...)
	case f.Passphrase:
		return p.ask("decrypt", cms, append(words, "password="+Password)...)
	}
	return readAs(f.Who, func(who string) ([]byte, error) {
		return p.ask("decrypt", cms, append(words, whoWord(who))...)
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
