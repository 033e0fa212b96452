package smime_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/smime"
)

// A tape is a message of any size that exists nowhere: a header and lines of text.
type tape struct {
	head []byte
	left int64
	line []byte
}

func newTape(size int64) *tape {
	line := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2)[:74] + "\r\n"
	return &tape{
		head: []byte("From: alice@example.com\r\nTo: bob@example.com\r\nSubject: large\r\nContent-Type: text/plain\r\n\r\n"),
		left: size / int64(len(line)) * int64(len(line)),
		line: bytes.Repeat([]byte(line), 800),
	}
}

func (t *tape) Read(b []byte) (int, error) {
	if len(t.head) > 0 {
		n := copy(b, t.head)
		t.head = t.head[n:]
		return n, nil
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), int(t.left%int64(len(t.line))))
	if t.left%int64(len(t.line)) == 0 {
		n = min(len(b), len(t.line))
	}
	from := (len(t.line) - int(t.left%int64(len(t.line)))) % len(t.line)
	n = copy(b[:n], t.line[from:])
	t.left -= int64(n)
	return n, nil
}

// large says how the streaming calls are exercised on a large message.
var largeOperations = []string{"sign", "sign-opaque", "encrypt", "seal", "open-signed", "open-opaque", "open-encrypted", "open-sealed", "inspect-sealed"}

// TestConstantMemory bounds the resident memory of every streaming call, measured in a
// process of its own (design, guarantee 8; threats.md, J07). A message of 1 GiB that was
// signed, encrypted and opened again tells the most in one go; the others make do with
// less, and BenchmarkLarge has 1 GiB of each.
func TestConstantMemory(t *testing.T) {
	if os.Getenv("POSTSEAL_TEST_LARGE") != "" {
		return
	}
	const most = 64 << 20
	for _, op := range largeOperations {
		size := int64(160 << 20)
		if op == "open-sealed" && !testing.Short() && slowdown == 1 {
			size = 1 << 30
		}
		t.Run(op, func(t *testing.T) {
			if rss := largeProcess(t, op, size); rss > most {
				t.Errorf("%d MiB resident for a message of %d MiB, want at most %d", rss>>20, size>>20, most>>20)
			}
		})
	}
}

// TestC06LargeMessage (row C06): of 1 GiB under AES-GCM, read from a pipe, nothing is left
// when the last octet of the tag is wrong, and neither memory nor temporary files held it.
func TestC06LargeMessage(t *testing.T) {
	if os.Getenv("POSTSEAL_TEST_LARGE") != "" {
		return
	}
	const most = 64 << 20
	size := int64(1 << 30)
	if testing.Short() || slowdown > 1 {
		size = 64 << 20
	}
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, dir)
	}
	if rss := largeProcess(t, "altered-encrypted", size); rss > most {
		t.Errorf("%d MiB resident for a message of %d MiB, want at most %d", rss>>20, size>>20, most>>20)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A shadow is a file that only knows how long it is, and how long it has been.
type shadow struct{ size, longest int64 }

func (s *shadow) Write(b []byte) (int, error) {
	s.size += int64(len(b))
	s.longest = max(s.longest, s.size)
	return len(b), nil
}
func (s *shadow) Truncate(n int64) error { s.size = n; return nil }
func (s *shadow) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd || whence == io.SeekCurrent {
		offset += s.size
	}
	return offset, nil
}

// A spoiler hands on what is written to it, with the last octet of the last group of base64
// changed.
type spoiler struct {
	w    io.Writer
	held []byte
}

func (s *spoiler) Write(b []byte) (int, error) {
	const most = 100
	early := max(0, len(s.held)+len(b)-most) // of the two together
	first := min(early, len(s.held))
	if _, err := s.w.Write(s.held[:first]); err != nil {
		return 0, err
	}
	if _, err := s.w.Write(b[:early-first]); err != nil {
		return 0, err
	}
	s.held = append(s.held[:copy(s.held, s.held[first:])], b[early-first:]...)
	return len(b), nil
}

func (s *spoiler) finish() error {
	at := len(bytes.TrimRight(s.held, "=\r\n")) - 4
	s.held[at] = "AB"[bytes.IndexByte([]byte("BA"), s.held[at])&1]
	_, err := s.w.Write(s.held)
	return err
}

// BenchmarkLarge reports the resident memory and the speed on 1 GiB.
func BenchmarkLarge(b *testing.B) {
	for _, op := range largeOperations {
		b.Run(op, func(b *testing.B) {
			b.SetBytes(1 << 30)
			for b.Loop() {
				b.ReportMetric(float64(largeProcess(b, op, 1<<30))/(1<<20), "MiB-resident")
			}
		})
	}
}

// largeProcess runs an operation in a process of its own and returns its peak resident
// memory in bytes.
func largeProcess(t testing.TB, op string, size int64) int64 {
	cmd := exec.Command(os.Args[0], "-test.run=^TestLargeProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), "POSTSEAL_TEST_LARGE="+op+" "+strconv.FormatInt(size, 10))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var peak int64
	_, report, _ := strings.Cut(string(out), "VmHWM:")
	if n, _ := fmt.Sscanf(report, "%d kB", &peak); n != 1 {
		t.Skip("this system does not tell the peak memory of a process in /proc/self/status")
	}
	return peak << 10
}

// tellPeak prints the line with the peak resident memory of this process. What wait4 tells
// of a child has the memory of its parent in it.
func tellPeak() {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Print(line)
		}
	}
}

// TestLargeProcess is the process that largeProcess runs.
func TestLargeProcess(t *testing.T) {
	var op string
	var size int64
	if n, _ := fmt.Sscan(os.Getenv("POSTSEAL_TEST_LARGE"), &op, &size); n != 2 {
		return
	}
	defer tellPeak()
	p := newParty(t)
	composers := map[string]*smime.Composer{
		"sign": p.composer(true, false, false), "signed": p.composer(true, false, false),
		"sign-opaque": p.composer(true, false, true), "opaque": p.composer(true, false, true),
		"encrypt": p.composer(false, true, false), "encrypted": p.composer(false, true, false),
		"seal": p.composer(true, true, true), "sealed": p.composer(true, true, true),
	}
	compose := func(c *smime.Composer, w io.Writer) {
		if _, err := c.Compose(w, newTape(size)); err != nil {
			t.Error(err)
		}
	}
	verb, form, opening := strings.Cut(op, "-")
	if c := composers[op]; c != nil {
		compose(c, io.Discard)
		return
	}
	if !opening || composers[form] == nil {
		t.Fatal("no operation " + op)
	}
	r, w := io.Pipe()
	if verb == "altered" {
		composers[form].Cipher = "aes256-gcm"
		go func() {
			s := &spoiler{w: w}
			compose(composers[form], s)
			w.CloseWithError(s.finish())
		}()
		quarantine := new(shadow)
		o := p.opener()
		o.AllowUnsigned = true
		if m, err := o.OpenTo(t.Context(), quarantine, r); m != nil || !errors.Is(err, smime.ErrDecrypt) {
			t.Fatal(m, err)
		}
		if quarantine.size != 0 || quarantine.longest < size-1<<17 {
			t.Fatalf("%d octets left of %d", quarantine.size, quarantine.longest)
		}
		return
	}
	go func() {
		compose(composers[form], w)
		w.Close()
	}()
	o := p.opener()
	o.AllowUnsigned, o.AllowMalleable = true, true
	if verb == "inspect" {
		if report, err := o.Inspect(t.Context(), r); err != nil || report.Verdict != smime.Authentic {
			t.Fatal(report, err)
		}
		return
	}
	counted := new(countingWriter)
	if _, err := o.OpenTo(t.Context(), counted, r); err != nil {
		t.Fatal(err)
	}
	if int64(*counted) < size-1<<17 {
		t.Fatalf("%d bytes of content, want about %d", *counted, size)
	}
}

type countingWriter int64

func (c *countingWriter) Write(b []byte) (int, error) {
	*c += countingWriter(len(b))
	return len(b), nil
}
