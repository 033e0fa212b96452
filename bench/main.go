// Command bench measures the speed and the memory of this module beside OpenSSL, beside
// other Go libraries and beside the bare primitives, and prints ratios: how many times as
// long the other one takes, so that figures above 1.0 mean that this module is faster.
//
//	go run ./bench                        # everything; takes an hour, and 3 GiB of temporary files
//	go run ./bench -sizes 4096,1048576 -n 5
//	go run ./bench -doc docs/speed.md     # writes the tables of that page as well
//
// The tables called programs measure each operation in a process of its own, from a file to
// nowhere. Those called calls measure it in memory. What is compared takes turns, so that
// load on the machine meets everybody, and the best of -n runs counts.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	sizes := flag.String("sizes", "4096,1048576,67108864,536870912", "octets of content")
	only := flag.String("only", "", "operations to measure, separated by commas; all if empty")
	n := flag.Int("n", 3, "runs of each, the best counts")
	peerTime := flag.Duration("peer-time", 30*time.Second, "how long a program with another Go library may take")
	callMax := flag.Int64("call-max", 64<<20, "largest content for calls in memory")
	one := flag.String("one", "", "run one operation in this process: engine/operation (used by bench itself)")
	dir := flag.String("dir", "", "folder for files; a temporary one if empty")
	tables := flag.String("table", "both", "programs, calls or both")
	doc := flag.String("doc", "", "file to write the tables into, between its lines <!-- begin --> and <!-- end -->")
	flag.Parse()
	if *one != "" {
		exitOn(runOne(*one, *dir))
		return
	}
	if *dir == "" {
		made, err := os.MkdirTemp("", "bench")
		exitOn(err)
		defer os.RemoveAll(made)
		*dir = made
	}
	exitOn(makeIdentity(*dir))
	var kept bytes.Buffer
	b := &bench{dir: *dir, only: *only, n: *n, peerTime: *peerTime, out: io.MultiWriter(os.Stdout, &kept)}
	fmt.Fprintln(b.out, machine())
	for _, kind := range []struct {
		table
		max int64
	}{{b.programs(), 1 << 40}, {b.calls(), *callMax}} {
		for s := range strings.SplitSeq(*sizes, ",") {
			size, err := strconv.ParseInt(s, 10, 64)
			exitOn(err)
			if size <= kind.max && (*tables == "both" || *tables == kind.name) {
				exitOn(b.print(kind.table, size))
			}
		}
	}
	if *doc != "" {
		exitOn(splice(*doc, kept.Bytes()))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// splice replaces what is between the marks in a file.
func splice(name string, text []byte) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte("<!-- begin -->\n"))
	_, after, closed := bytes.Cut(rest, []byte("<!-- end -->\n"))
	if !ok || !closed {
		return errors.New(name + " has no marks")
	}
	parts := [][]byte{before, []byte("<!-- begin -->\n"), text, []byte("\n<!-- end -->\n"), after}
	return os.WriteFile(name, bytes.Join(parts, nil), 0o644)
}
