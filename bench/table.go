package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type bench struct {
	dir, only string
	n         int
	peerTime  time.Duration
	out       io.Writer
}

// A table is how operations are measured, all at one size.
type table struct {
	name    string
	columns []string
	row     func(op operation) ([]string, error)
	note    func(size int64) string
}

// print measures and prints, row by row: some take minutes.
func (b *bench) print(t table, size int64) error {
	if err := writeContent(filepath.Join(b.dir, "content"), size); err != nil {
		return err
	}
	line := func(cells []string) {
		fmt.Fprintf(b.out, "| %-20s |", cells[0])
		for i, c := range cells[1:] {
			fmt.Fprintf(b.out, " %*s |", max(5, len(t.columns[i+1])), c)
		}
		fmt.Fprintln(b.out)
	}
	fmt.Fprintf(b.out, "\n### %s of content, %s\n\n%s\n\n", human(size), t.name, t.note(size))
	line(t.columns)
	fmt.Fprintln(b.out, "|"+strings.Repeat("---|", len(t.columns)))
	for _, op := range operations() {
		if b.only != "" && !strings.Contains(","+b.only+",", ","+op.name+",") {
			continue
		}
		cells, err := t.row(op)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		line(append([]string{op.name}, cells...))
	}
	return nil
}

// programs measures processes.
func (b *bench) programs() table {
	return table{
		name:    "programs",
		columns: []string{"operation", "ours", "CPU", "MiB", "OpenSSL", "its CPU", "its MiB", "best Go peer", "its MiB", "raw"},
		row:     b.program,
		note: func(size int64) string {
			if size < 1<<20 {
				return "Starting the process is most of the time here, ours and theirs: the cost of the work itself is in the table of calls."
			}
			return "Each in a process of its own, from a file to nowhere. The memory is the peak of what was resident."
		},
	}
}

func (b *bench) program(op operation) ([]string, error) {
	if op.input != "" {
		if _, err := b.child("make/"+op.input, time.Hour); err != nil {
			return nil, err
		}
		defer os.Remove(filepath.Join(b.dir, op.input))
	}
	var ours, openssl, raw measure
	rivals := rivalsIn(op)
	for turn := b.turns(); turn(); {
		m, err := b.child("ours/"+op.name, time.Hour)
		if err != nil {
			return nil, err
		}
		ours.better(m)
		if m, err = b.run(time.Hour, "openssl", op.openssl(b.dir)...); err != nil {
			return nil, err
		}
		openssl.better(m)
		for i := range rivals {
			rivals[i].run(func() (measure, error) {
				return b.child("peer/"+rivals[i].name+"/"+op.name, b.peerTime)
			})
		}
		bare, err := b.raw(op.name)
		if err != nil {
			return nil, err
		}
		raw.better(measure{wall: bare})
	}
	cells := []string{round(ours.wall), round(ours.cpu), mib(ours.memory), ratio(openssl.wall, ours.wall), ratio(openssl.cpu, ours.cpu), mib(openssl.memory)}
	speed, memory := best(rivals, ours)
	return append(cells, speed, memory, ratio(raw.wall, ours.wall)), nil
}

// calls measures in this process.
func (b *bench) calls() table {
	return table{
		name:    "calls",
		columns: []string{"operation", "ours", "CPU", "allocations", "KiB allocated", "best Go peer", "raw", "raw, CPU"},
		row:     b.call,
		note: func(int64) string {
			return "In one process, from memory to nowhere."
		},
	}
}

func (b *bench) call(op operation) ([]string, error) {
	e, s, content, err := b.prepare(op)
	if err != nil {
		return nil, err
	}
	var ours, raw measure
	rivals := rivalsIn(op)
	i := -1
	for turn := b.turns(); turn(); {
		i++
		m, err := timed(func() error { return op.ours(e, s, io.Discard) })
		if err != nil {
			return nil, err
		}
		ours.better(m)
		m, _ = timed(func() error { op.raw(content); return nil })
		raw.better(m)
		for j := range rivals {
			if i >= b.n && rivals[j].wall > time.Second/10 { // slow
				continue
			}
			rivals[j].run(func() (measure, error) {
				return timed(func() error { return op.peer(rivals[j].peer, e, s) })
			})
		}
	}
	speed, _ := best(rivals, ours)
	return []string{round(ours.wall), round(ours.cpu), strconv.FormatUint(ours.allocations, 10), strconv.FormatInt(ours.memory>>10, 10), speed,
		ratio(raw.wall, ours.wall), ratio(raw.cpu, ours.cpu)}, nil
}

// turns returns whether there is another turn: -n of them, and more if they are short.
func (b *bench) turns() func() bool {
	start, n := time.Now(), 0
	return func() bool {
		n++
		return n <= b.n || n <= 20*b.n && time.Since(start) < 2*time.Second
	}
}

// A rival is a peer and how well it did.
type rival struct {
	peer
	measure
	failed bool // it cannot read what we wrote, or takes too long
}

func (r *rival) run(f func() (measure, error)) {
	if r.failed {
		return
	}
	m, err := f()
	if r.failed = err != nil; !r.failed {
		r.better(m)
	}
}

// rivalsIn returns the peers that have op.
func rivalsIn(op operation) (out []rival) {
	if op.peer == nil {
		return nil
	}
	for _, p := range peers() {
		out = append(out, rival{peer: p})
	}
	return out
}

// best returns the speed and the memory of the fastest rival.
func best(rivals []rival, ours measure) (speed, memory string) {
	var first *rival
	for i := range rivals {
		if !rivals[i].failed && (first == nil || rivals[i].wall < first.wall) {
			first = &rivals[i]
		}
	}
	if first == nil && len(rivals) > 0 {
		return "none", ""
	}
	if first == nil {
		return "", ""
	}
	return ratio(first.wall, ours.wall) + " " + first.name, mib(first.memory)
}

// A measure is the best of several runs.
type measure struct {
	wall, cpu   time.Duration
	memory      int64 // octets: the peak of what was resident, or what was allocated
	allocations uint64
}

// better takes what is best of m and of another run, and the larger memory of processes.
func (m *measure) better(o measure) {
	if m.wall == 0 {
		*m = o
		return
	}
	m.wall, m.cpu, m.allocations = min(m.wall, o.wall), min(m.cpu, o.cpu), min(m.allocations, o.allocations)
	if o.allocations > 0 {
		m.memory = min(m.memory, o.memory)
	} else {
		m.memory = max(m.memory, o.memory)
	}
}

// timed measures f, which is run in this process.
func timed(f func() error) (measure, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	err := f()
	m := measure{wall: time.Since(start), cpu: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	m.memory, m.allocations = int64(after.TotalAlloc-before.TotalAlloc), after.Mallocs-before.Mallocs
	return m, err
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// child runs an operation in a process of its own.
func (b *bench) child(what string, limit time.Duration) (measure, error) {
	self, err := os.Executable()
	if err != nil {
		return measure{}, err
	}
	return b.run(limit, self, "-dir", b.dir, "-one", what)
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

func (b *bench) run(limit time.Duration, program string, args ...string) (measure, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return measure{}, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	m := measure{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.memory = usage.Maxrss << 10
	}
	return m, nil
}

// machine describes where this runs.
func machine() string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	version, _ := exec.Command("openssl", "version").Output()
	openssl, _, _ := strings.Cut(string(version), " (")
	out := fmt.Sprintf("%s, %d cores in use; %s, %s", cpu, runtime.GOMAXPROCS(0), runtime.Version(), strings.TrimSpace(openssl))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasSuffix(m.Path, "/pkcs7") {
				out += ", " + m.Path + " " + m.Version
			}
		}
	}
	return out + "."
}

func ratio(theirs, ours time.Duration) string {
	return strconv.FormatFloat(float64(theirs)/float64(max(ours, 1)), 'f', 2, 64)
}

func round(d time.Duration) string {
	if d > 100*time.Millisecond {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func mib(n int64) string { return strconv.FormatInt(n>>20, 10) }

func human(size int64) string {
	if size >= 1<<20 {
		return strconv.FormatInt(size>>20, 10) + " MiB"
	}
	return strconv.FormatInt(size>>10, 10) + " KiB"
}
