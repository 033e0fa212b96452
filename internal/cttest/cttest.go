// Package cttest looks for secrets in time: it runs one operation on two inputs many
// times and asks whether the difference is more than chance. See [Compare].
//
// The two runs of a pair follow each other in random order, so that drift of the machine
// falls on both alike. Both inputs are copied into the same memory and one piece of code
// handles them: with a closure for each, the placement of the code alone makes a
// difference that looks like a leak. What is judged are the differences within pairs,
// by the sign test, by Wilcoxon's signed rank test, and by an interval for their median.
//
// A test that finds nothing is evidence about one machine, not a proof.
package cttest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// A Result is what [Compare] measured. Times are of the second input minus those of the
// first.
type Result struct {
	Pairs     int
	Operation time.Duration // median time of one operation
	Median    time.Duration // median of the differences
	Low, High time.Duration // 95 % confidence interval of the median
	SignZ     float64       // statistic of the sign test: standard normal if there is no difference
	WilcoxonZ float64       // the same of the signed rank test
}

// Leaks reports whether the inputs differ in time: both tests are significant at 0.001,
// two-sided, and the interval of the median lies wholly beyond the given share of the
// operation's time.
func (r Result) Leaks(share float64) bool {
	const z = 3.29
	bound := time.Duration(share * float64(r.Operation))
	return math.Abs(r.SignZ) > z && math.Abs(r.WilcoxonZ) > z && (r.Low > bound || r.High < -bound)
}

// String sums the result up in a line.
func (r Result) String() string {
	return fmt.Sprintf("%d pairs of %v: median difference %v (%v to %v, %.3f %%), sign z %.2f, Wilcoxon z %.2f", r.Pairs, r.Operation,
		r.Median, r.Low, r.High, 100*float64(r.Median)/float64(max(r.Operation, 1)), r.SignZ, r.WilcoxonZ)
}

// Compare times op on each of two inputs of the same length, pairs times. It panics if
// the lengths differ. op must not keep or change the input.
func Compare(pairs int, first, second []byte, op func(input []byte)) Result {
	if len(first) != len(second) {
		panic("cttest: inputs of different lengths")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	inputs := [2][]byte{first, second}
	buf := make([]byte, len(first))
	run := func(which int) time.Duration {
		copy(buf, inputs[which])
		start := time.Now()
		op(buf)
		return time.Since(start)
	}
	for i := range 20 { // warm up
		run(i % 2)
	}
	diffs := make([]time.Duration, 0, pairs)
	all := make([]time.Duration, 0, 2*pairs)
	for i := range pairs {
		if i%1000 == 0 {
			runtime.GC()
		}
		var t [2]time.Duration
		a := rand.IntN(2)
		t[a] = run(a)
		t[1-a] = run(1 - a)
		diffs = append(diffs, t[1]-t[0])
		all = append(all, t[0], t[1])
	}
	slices.Sort(all)
	r := Result{Pairs: pairs, Operation: all[len(all)/2]}
	r.signs(diffs)
	r.ranks(diffs)
	r.median(diffs)
	return r
}

// signs counts which of a pair took longer.
func (r *Result) signs(diffs []time.Duration) {
	longer, shorter := 0, 0
	for _, d := range diffs {
		if d > 0 {
			longer++
		} else if d < 0 {
			shorter++
		}
	}
	if n := longer + shorter; n > 0 {
		r.SignZ = float64(longer-shorter) / math.Sqrt(float64(n))
	}
}

// ranks is Wilcoxon's test in its normal approximation, with mean ranks for ties.
func (r *Result) ranks(diffs []time.Duration) {
	d := slices.DeleteFunc(slices.Clone(diffs), func(d time.Duration) bool { return d == 0 })
	slices.SortFunc(d, func(a, b time.Duration) int { return cmp.Compare(a.Abs(), b.Abs()) })
	var sum, squares float64
	for i := 0; i < len(d); {
		j := i
		for j < len(d) && d[j].Abs() == d[i].Abs() {
			j++
		}
		rank := float64(i+j+1) / 2
		for ; i < j; i++ {
			sum += math.Copysign(rank, float64(d[i]))
			squares += rank * rank
		}
	}
	if squares > 0 {
		r.WilcoxonZ = sum / math.Sqrt(squares)
	}
}

// median takes the interval from the order of the differences, whatever their
// distribution.
func (r *Result) median(diffs []time.Duration) {
	d := slices.Sorted(slices.Values(diffs))
	n := float64(len(d))
	at := func(x float64) time.Duration { return d[max(0, min(len(d)-1, int(math.Round(x))))] }
	r.Median = at(n / 2)
	r.Low, r.High = at(n/2-0.98*math.Sqrt(n)), at(n/2+0.98*math.Sqrt(n))
}
