package main

import (
	"flag"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"fmt"
	"runtime/pprof"
)

var opname = flag.String("op", "cms-decrypt-gcm", "")
var sz = flag.Int64("sz", 64<<20, "")
var runs = flag.Int("runs", 40, "")

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestProf(t *testing.T) {
	dir := t.TempDir()
	if err := makeIdentity(dir); err != nil {
		t.Fatal(err)
	}
	writeContent(filepath.Join(dir, "content"), *sz)
	b := &bench{dir: dir}
	op, err := find(*opname)
	if err != nil {
		t.Fatal(err)
	}
	call, content, err := b.prepare(op)
	if err != nil {
		t.Fatal(err)
	}
	if f := os.Getenv("PROF"); f != "" {
		w, _ := os.Create(f)
		pprof.StartCPUProfile(w)
		defer pprof.StopCPUProfile()
	}
	var ow, oc, rw, rc = time.Hour, time.Hour, time.Hour, time.Hour
	for range *runs {
		c, s := cpu(), time.Now()
		if err := call(); err != nil {
			t.Fatal(err)
		}
		ow, oc = min(ow, time.Since(s)), min(oc, cpu()-c)
		c, s = cpu(), time.Now()
		op.raw(content)
		rw, rc = min(rw, time.Since(s)), min(rc, cpu()-c)
	}
	fmt.Printf("%-20s wall %8v raw %8v ratio %.2f   cpu %8v raw %8v ratio %.2f\n", *opname, ow, rw, float64(rw)/float64(ow), oc, rc, float64(rc)/float64(oc))
}
