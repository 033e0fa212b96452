// Command smime signs, encrypts, opens and judges S/MIME mail from the command line. It is
// built on postseal's exported packages alone and shows how they fit together.
//
//	smime sign    --identity ID MSG
//	smime encrypt --to CERT MSG
//	smime seal    --identity ID --to CERT MSG
//	smime open    --identity ID --roots FILE MSG
//	smime certs   FILE...
//	smime lookup  --store STORE ADDRESS...
//	smime sync    --from STORE --to STORE
//	smime publish --store STORE --identity ID
//
// Every command takes --help. MSG is a file or "-" for standard input.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

// Exit statuses of every command but chain, whose own are in its contract.
const (
	exitGood       = 0
	exitNotGood    = 1
	exitUsage      = 2
	exitUnreadable = 3
)

// A command runs with its arguments and the standard streams, and returns an exit status.
type command func(args []string, stdin io.Reader, stdout, stderr io.Writer) int

func commandNamed(name string) command {
	switch name {
	case "sign", "encrypt", "seal":
		return composeCommand(name)
	case "open":
		return openCommand
	case "chain":
		return chainCommand
	case "certs":
		return certsCommand
	case "lookup":
		return lookupCommand
	case "sync":
		return syncCommand
	case "publish":
		return publishCommand
	}
	return nil
}

const usage = "usage: smime sign|encrypt|seal|open|chain|certs|lookup|sync|publish [options] ...; smime COMMAND --help"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "smime: "+usage)
		return exitUsage
	}
	if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
		fmt.Fprintln(stdout, usage)
		return exitGood
	}
	cmd := commandNamed(args[0])
	if cmd == nil {
		fmt.Fprintf(stderr, "smime: %s: no such command\n", printable(args[0]))
		return exitUsage
	}
	return cmd(args[1:], stdin, stdout, stderr)
}

// A failure is an error that knows its exit status.
type failure struct {
	exit int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func wrongUsage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

func notGood(err error) error    { return &failure{exitNotGood, err} }
func unreadable(err error) error { return &failure{exitUnreadable, err} }

// fail prints the one line that explains a non-zero status, and returns the status.
func fail(stderr io.Writer, name string, err error) int {
	reason := strings.TrimPrefix(err.Error(), "smime: ")
	fmt.Fprintf(stderr, "smime: %s: %s\n", name, printable(reason))
	return exitOf(err)
}

// failed is fail for a command that prints an object with --json: what it was not is one too.
func failed(asJSON bool, stdout, stderr io.Writer, name string, err error) int {
	if asJSON && exitOf(err) != exitUsage {
		writeJSON(stdout, map[string]string{"error": printable(strings.TrimPrefix(err.Error(), "smime: "))})
	}
	return fail(stderr, name, err)
}

// exitOf returns the status that stands for an error.
func exitOf(err error) int {
	if f, ok := err.(*failure); ok {
		return f.exit
	}
	return exitUnreadable
}

// printable keeps a text on one line and free of control characters, those that change the
// direction of what follows among them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
