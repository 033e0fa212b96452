package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/smime/smimetest"
)

// terminal opens a pseudo-terminal: what is written to its slave is read from its master.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestTerminal: on a terminal the report is in colour, unless the user wants none, and is
// there for a refused message too.
func TestTerminal(t *testing.T) {
	dir := t.TempDir()
	pki := smimetest.NewPKI(t)
	roots, good, bad := filepath.Join(dir, "roots.der"), filepath.Join(dir, "good.eml"), filepath.Join(dir, "bad.eml")
	msg := pki.Message(smimetest.Clear, smimetest.Mail{})
	forged, err := smimetest.Forge(smimetest.OtherSigner, msg)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{roots: pki.Root.Certificate().Raw, good: msg, bad: forged} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what, message, noColor, term string
		args                         []string
		painted                      string // empty if nothing is
		exit                         int
	}{
		{"authentic", good, "", "xterm", []string{"--inspect"}, "\x1b[32mAUTHENTIC", exitGood},
		{"refused", bad, "", "xterm", nil, "\x1b[1;31mNOT-AUTHENTIC", exitNotGood},
		{"NO_COLOR", good, "1", "xterm", []string{"--inspect"}, "", exitGood},
		{"a dumb terminal", good, "", "dumb", []string{"--inspect"}, "", exitGood},
		{"--color never", bad, "", "xterm", []string{"--color", "never"}, "", exitNotGood},
		{"--color always in spite of NO_COLOR", good, "1", "xterm", []string{"--inspect", "--color", "always"}, "\x1b[32mAUTHENTIC", exitGood},
		{"--json", good, "", "xterm", []string{"--json"}, "", exitGood},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		master, slave := terminal(t)
		read := make(chan string)
		go func() {
			var all []byte
			b := make([]byte, 4096)
			for !bytes.Contains(all, []byte("END")) {
				n, err := master.Read(b)
				all = append(all, b[:n]...)
				if err != nil {
					break
				}
			}
			read <- string(all)
		}()
		var stderr bytes.Buffer
		args := append([]string{"open", "--roots", roots, "--time", "2026-06-01T12:00:00Z"}, c.args...)
		exit := run(append(args, c.message), strings.NewReader(""), slave, &stderr)
		slave.WriteString("END\n")
		text := <-read
		if exit != c.exit || !strings.Contains(text, c.painted) || c.painted == "" && strings.Contains(text, "\x1b") {
			t.Errorf("%s: status %d, %q, %q", c.what, exit, text, stderr.String())
		}
		if exit == exitNotGood && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: %q", c.what, stderr.String())
		}
	}
}
