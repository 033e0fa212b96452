//go:build unix

// Package servertest starts real servers for tests: PostgreSQL, OpenLDAP, a Samba domain
// controller, and a DNSSEC-signed zone behind a validating resolver. Every server
// listens on loopback only, keeps its data in a folder of its own and is gone when the
// test that started it ends.
//
// A test whose server is not installed is skipped with a message. With the environment
// variable POSTSEAL_PEERS set to "required" it fails instead.
//
// The entry points are [Postgres], [StartSlapd], [StartSamba] and [StartZone].
package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Missing skips the test because a peer is not there, or fails it where peers are
// required.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("POSTSEAL_PEERS") == "required" {
		t.Fatalf("required peer: "+format, args...)
	}
	t.Skipf("peer: "+format, args...)
}

// Need returns the path of a program, looked for in PATH and then in dirs, which may
// hold globs. See [Missing] for what happens if there is none.
func Need(t testing.TB, program string, dirs ...string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range append(dirs, "/usr/sbin", "/usr/lib/ldap") {
		found, _ := filepath.Glob(filepath.Join(dir, program))
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	Missing(t, "%s is not installed", program)
	return ""
}

// folder makes a folder that other users can read, since some servers refuse to run as
// root, and removes it with the test.
func folder(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postseal-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freePort returns a port that was free on 127.0.0.1 for TCP and UDP a moment ago. It
// stays below the range the kernel picks from for outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(9000)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		p, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		p.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// A process is a server that runs in the background.
type process struct {
	name string
	cmd  *exec.Cmd
	out  buffer
	done chan struct{}
	err  error
}

// start starts a server and sees to it that it ends with the test. who is the user it
// runs as, nil for the caller's.
func start(t testing.TB, dir string, who *user.User, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(program), done: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = attributes(who)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.stop)
	return p
}

// stop ends the server and whatever it started.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	group := -p.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-p.done
}

// wait waits until ready returns nil, and fails the test when that takes too long or the
// server ends first.
func (p *process) wait(t testing.TB, limit time.Duration, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %v\n%s", p.name, p.err, p.out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after %v: %v\n%s", p.name, limit, err, p.out.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// dialable returns a check that a TCP port takes connections.
func dialable(address string) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// run runs a command to its end and returns what it printed.
func run(t testing.TB, dir string, who *user.User, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = attributes(who)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, out)
	}
	return string(out)
}

// write writes a file that every user can read.
func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// servant returns a user other than root to run a server as, or nil if the test itself
// does not run as root.
func servant(t testing.TB, names ...string) *user.User {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range append(names, "nobody") {
		if u, err := user.Lookup(name); err == nil {
			return u
		}
	}
	t.Fatal("no user to run a server as")
	return nil
}

// give makes a folder and all it holds belong to a user; nil changes nothing.
func give(t testing.TB, dir string, who *user.User) {
	t.Helper()
	if who == nil {
		return
	}
	uid, gid, err := ids(who)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ids(who *user.User) (uid, gid int, err error) {
	uid, err = strconv.Atoi(who.Uid)
	if err != nil {
		return 0, 0, fmt.Errorf("user %s: %w", who.Username, err)
	}
	gid, err = strconv.Atoi(who.Gid)
	return uid, gid, err
}

// A buffer collects what a server prints.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
