// Command bench measures the speed and the memory of this module beside OpenSSL, beside
// another Go library, and beside the bare primitives, and prints ratios: figures above 1.0
// mean that this module is faster.
//
//	go run ./bench                  # everything; takes long, and 3 GiB of temporary files
//	go run ./bench -sizes 4096,1048576 -n 5
//
// The first table is of programs: each operation runs in a process of its own, from a file
// to nowhere, and the best of -n runs counts. "raw" is the bare primitive's time over as
// many octets, one core, files and all else left out. The memory is the peak of what was
// resident. The second table is of calls, memory to nowhere, beside the bare primitive in
// the same process.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	sizes := flag.String("sizes", "4096,1048576,67108864,536870912", "octets of content")
	only := flag.String("only", "", "operations to measure, separated by commas; all if empty")
	n := flag.Int("n", 3, "runs of each, the best counts")
	peerMax := flag.Int64("peer-max", 64<<20, "largest content for the other Go library, which holds it several times over")
	one := flag.String("one", "", "run one operation in this process: engine/operation (used by bench itself)")
	dir := flag.String("dir", "", "folder for files; a temporary one if empty")
	table := flag.String("table", "both", "programs, calls or both")
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
	b := &bench{dir: *dir, n: *n, peerMax: *peerMax}
	for s := range strings.SplitSeq(*sizes, ",") {
		size, err := strconv.ParseInt(s, 10, 64)
		exitOn(err)
		if *table != "calls" {
			exitOn(b.programs(size, *only))
		}
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		if size, _ := strconv.ParseInt(s, 10, 64); size <= 64<<20 && *table != "programs" {
			exitOn(b.calls(size, *only))
		}
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir     string
	n       int
	peerMax int64
}

// A measure is the best of several runs.
type measure struct {
	wall, cpu time.Duration
	memory    int64 // octets
}

// better takes what is best of m and of another run.
func (m *measure) better(o measure) {
	if m.wall == 0 || o.wall < m.wall {
		m.wall = o.wall
	}
	if m.cpu == 0 || o.cpu < m.cpu {
		m.cpu = o.cpu
	}
	m.memory = max(m.memory, o.memory)
}

// programs prints the first table for one size.
func (b *bench) programs(size int64, only string) error {
	if err := writeContent(filepath.Join(b.dir, "content"), size); err != nil {
		return err
	}
	fmt.Printf("\nprograms, %s of content; times ours is faster\n", human(size))
	const row = "%-22s%9v%9v%5v  %8v%8v%5v  %9v%5v  %6v\n" // at once: some take minutes
	fmt.Printf(row, "operation", "ours", "CPU", "MiB", "openssl", "CPU", "MiB", "smallstep", "MiB", "raw")
	for _, op := range operations() {
		if only != "" && !strings.Contains(","+only+",", ","+op.name+",") {
			continue
		}
		if op.input != "" {
			if _, err := b.child("make/" + op.input); err != nil {
				return err
			}
		}
		var ours, openssl, peer, raw measure
		for range b.n { // taking turns, so that load on the machine meets everybody
			m, err := b.child("ours/" + op.name)
			if err != nil {
				return err
			}
			ours.better(m)
			if m, err = b.run(exec.Command("openssl", op.openssl(b.dir)...)); err != nil {
				return err
			}
			openssl.better(m)
			if op.peer != nil && size <= b.peerMax {
				if m, err = b.child("smallstep/" + op.name); err != nil {
					return err
				}
				peer.better(m)
			}
			bare, err := b.raw(op.name)
			if err != nil {
				return err
			}
			raw.better(measure{wall: bare})
		}
		speed, memory := "", ""
		if peer.wall > 0 {
			speed, memory = ratio(peer.wall, ours.wall), strconv.FormatInt(peer.memory>>20, 10)
		}
		fmt.Printf(row, op.name, round(ours.wall), round(ours.cpu), ours.memory>>20,
			ratio(openssl.wall, ours.wall), ratio(openssl.cpu, ours.cpu), openssl.memory>>20, speed, memory, ratio(raw.wall, ours.wall))
		if op.input != "" {
			if err := os.Remove(filepath.Join(b.dir, op.input)); err != nil {
				return err
			}
		}
	}
	return nil
}

// child runs an operation in a process of its own.
func (b *bench) child(what string) (measure, error) {
	self, err := os.Executable()
	if err != nil {
		return measure{}, err
	}
	return b.run(exec.Command(self, "-dir", b.dir, "-one", what))
}

// raw runs the bare primitive in a process of its own, which takes the time.
func (b *bench) raw(name string) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	out, err := exec.Command(self, "-dir", b.dir, "-one", "raw/"+name).Output()
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(string(out))
}

func (b *bench) run(cmd *exec.Cmd) (measure, error) {
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return measure{}, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	m := measure{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return m, errors.New("no resource usage on this system")
	}
	m.memory = usage.Maxrss << 10
	return m, nil
}

// calls prints the second table for one size.
func (b *bench) calls(size int64, only string) error {
	if err := writeContent(filepath.Join(b.dir, "content"), size); err != nil {
		return err
	}
	fmt.Printf("\ncalls, %s of content; the bare primitive on one core is 1.0\n", human(size))
	const row = "%-22s%9v%9v  %6v\n"
	fmt.Printf(row, "operation", "ours", "raw", "of raw")
	for _, op := range operations() {
		if only != "" && !strings.Contains(","+only+",", ","+op.name+",") {
			continue
		}
		call, content, err := b.prepare(op)
		if err != nil {
			return err
		}
		var ours, raw time.Duration
		for i := range 4 * b.n {
			start := time.Now()
			if err := call(); err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
			mine := time.Since(start)
			bare := op.raw(content)
			if i == 0 {
				ours, raw = mine, bare
			}
			ours, raw = min(ours, mine), min(raw, bare)
		}
		fmt.Printf(row, op.name, round(ours), round(raw), ratio(raw, ours))
	}
	return nil
}

func ratio(theirs, ours time.Duration) string {
	return strconv.FormatFloat(float64(theirs)/float64(ours), 'f', 2, 64)
}

func round(d time.Duration) time.Duration {
	if d > 100*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

func human(size int64) string {
	if size >= 1<<20 {
		return strconv.FormatInt(size>>20, 10) + " MiB"
	}
	return strconv.FormatInt(size>>10, 10) + " KiB"
}
