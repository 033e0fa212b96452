package peertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Peer is another implementation of CMS. Its methods may be called from several
// goroutines.
type Peer interface {
	Name() string    // as in the tables: OpenSSL 3.0, gpgsm 2.2 and so on
	Version() string // as the peer or its package states it

	// CannotWrite and CannotRead say why the peer is not asked for a form, in words
	// for the reader of docs/interop.md. They return "" for what the peer must do.
	CannotWrite(Form) string
	CannotRead(Form) string

	// Write protects content and returns the CMS structure, DER or BER.
	Write(f Form, content []byte) ([]byte, error)

	// Read verifies or decrypts a structure of that form, made by anybody in the lab's
	// PKI, and returns its content. For a detached form, content is what the signature
	// came with. Every signer must be good and trusted, and every recipient able to
	// decrypt. For certificates only, the content is their DER, sorted and joined.
	Read(f Form, cms, content []byte) ([]byte, error)
}

// A MailPeer takes and returns whole MIME messages.
type MailPeer interface {
	Peer
	// SignMail signs a MIME entity: multipart/signed, or application/pkcs7-mime if opaque.
	// The message is from the signer.
	SignMail(entity []byte, who string, opaque bool) ([]byte, error)
	// VerifyMail verifies such a message and returns the entity.
	VerifyMail(message []byte) ([]byte, error)
	// EncryptMail encrypts an entity with AES-256-CBC.
	EncryptMail(entity []byte, to ...string) ([]byte, error)
	// DecryptMail decrypts an enveloped message and returns the entity.
	DecryptMail(message []byte, who string) ([]byte, error)
}

// A MissingError says that a peer is not installed on this machine.
type MissingError struct {
	Peer    string
	Program string // what was looked for
	Remedy  string // what brings it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("peertest: %s is missing: no %s (%s)", e.Peer, e.Program, e.Remedy)
}

// Unstarted returns every peer in the order of the tables, without starting or looking for
// it: only Name, CannotWrite and CannotRead may be called.
func Unstarted() []Peer {
	return []Peer{&OpenSSL{}, &OpenSSL{newer: true}, &gpgsm{}, &gpgsm{newer: true}, &nss{}, &nss{newer: true},
		&bouncy{}, &bouncy{newer: true}, &smallstep{}}
}

// A Lab is a folder with a PKI, in which peers run. Close is called by the test's cleanup.
type Lab struct {
	Dir string // holds ca.pem, and NAME.pem and NAME.key for every identity, NAME.p12 for some
	PKI *PKI

	files atomic.Int64
	mu    sync.Mutex
	peers map[string]Peer
	stops []func()
}

// New makes a lab that lasts as long as the test.
func New(t testing.TB) *Lab {
	t.Helper()
	// Not t.TempDir: its name can be too long for the socket of gpg-agent.
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	lab := &Lab{Dir: dir, peers: map[string]Peer{}}
	t.Cleanup(lab.close)
	if lab.PKI, err = newPKI(); err != nil {
		t.Fatal(err)
	}
	if err := lab.PKI.write(dir); err != nil {
		t.Fatal(err)
	}
	return lab
}

// Required reports whether a missing peer is a failure.
func Required() bool { return os.Getenv("POSTSEAL_PEERS") == "required" }

// Peer starts the peer of that name, once. If it is not installed the test is skipped, or
// fails where peers are required.
func (l *Lab) Peer(t testing.TB, name string) Peer {
	t.Helper()
	p, err := l.start(name)
	if err != nil {
		refuse(t, err)
	}
	return p
}

// Peers starts every peer that is installed. Missing ones are logged, or fail the test
// where peers are required.
func (l *Lab) Peers(t testing.TB) []Peer {
	t.Helper()
	var found []Peer
	for _, p := range Unstarted() {
		p, err := l.start(p.Name())
		if _, missing := errors.AsType[*MissingError](err); missing && !Required() {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

// OpenSSL starts OpenSSL 3.0, for tests that need its command line.
func (l *Lab) OpenSSL(t testing.TB) *OpenSSL {
	t.Helper()
	return l.Peer(t, "OpenSSL 3.0").(*OpenSSL)
}

func refuse(t testing.TB, err error) {
	t.Helper()
	if _, missing := errors.AsType[*MissingError](err); missing && !Required() {
		t.Skip(err)
	}
	t.Fatal(err)
}

func (l *Lab) start(name string) (Peer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[name]; p != nil {
		return p, nil
	}
	var p Peer
	for _, one := range Unstarted() {
		if one.Name() == name {
			p = one
		}
	}
	starter, ok := p.(interface {
		start(*Lab) (stop func(), err error)
	})
	if !ok {
		return nil, fmt.Errorf("peertest: no peer is called %q", name)
	}
	stop, err := starter.start(l)
	if stop != nil {
		l.stops = append(l.stops, stop)
	}
	if err != nil {
		return nil, err
	}
	l.peers[name] = p
	return p, nil
}

func (l *Lab) close() {
	for _, stop := range l.stops {
		stop()
	}
	os.RemoveAll(l.Dir)
}

// path returns the path of a file in the lab.
func (l *Lab) path(name string) string { return filepath.Join(l.Dir, name) }

// file writes data to a new file of the lab and returns its path; nil data makes no
// file, only the name of one.
func (l *Lab) file(suffix string, data []byte) (string, error) {
	path := l.path(strconv.FormatInt(l.files.Add(1), 10) + suffix)
	if data == nil {
		return path, nil
	}
	return path, os.WriteFile(path, data, 0o600)
}

// look finds a program, or returns a MissingError.
func look(peer, program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &MissingError{Peer: peer, Program: program, Remedy: "Debian package " + pkg}
	}
	return path, nil
}

// commandTime bounds one command of a peer, on a machine with other work.
const commandTime = 2 * time.Minute

// run executes a command in the lab's folder and returns its output. The error holds
// what the command printed.
func (l *Lab) run(cmd *exec.Cmd) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	bound := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	bound.Dir, bound.Stdin, bound.ExtraFiles = l.Dir, cmd.Stdin, cmd.ExtraFiles
	bound.Env = append(append(os.Environ(), "LC_ALL=C"), cmd.Env...)
	var out, diag bytes.Buffer
	bound.Stdout, bound.Stderr = &out, &diag
	bound.WaitDelay = time.Second // gpg-agent may inherit the pipes
	err := bound.Run()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(diag.String()+out.String()))
	}
	return out.Bytes(), nil
}
