package tnef_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/tnef"
)

const (
	message    = 1
	attachment = 2

	class  = 0x00078008
	body   = 0x0002800c
	render = 0x00069002
	title  = 0x00018010
	data   = 0x0006800f
	props  = 0x00069005
)

func attr(level byte, id uint32, value string) string {
	var b bytes.Buffer
	b.WriteByte(level)
	binary.Write(&b, binary.LittleEndian, id)
	binary.Write(&b, binary.LittleEndian, uint32(len(value)))
	b.WriteString(value)
	var sum uint16
	for i := range len(value) {
		sum += uint16(value[i])
	}
	binary.Write(&b, binary.LittleEndian, sum)
	return b.String()
}

const head = "\x78\x9f\x3e\x22\x01\x00"

// object is what Outlook sends for a clear-signed message.
func object(content string) string {
	return head + attr(message, 0x00089006, "\x00\x00\x01\x00") + attr(message, class, "IPM.Note.SMIME.MultipartSigned\x00") +
		attr(attachment, render, strings.Repeat("\x00", 14)) + attr(attachment, title, "smime.p7m\x00") +
		attr(attachment, data, content) + attr(attachment, props, "\x00\x00\x00\x00")
}

func read(r io.Reader) (m *tnef.Message, content string, err error) {
	if m, err = tnef.Open(r); err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(m)
	if err == nil {
		err = m.Finish()
	}
	return m, string(b), err
}

func TestMessage(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 100_000} {
		content := strings.Repeat("\xff", size)
		for name, r := range map[string]io.Reader{
			"whole":   strings.NewReader(object(content)),
			"trickle": iotest.OneByteReader(strings.NewReader(object(content))),
		} {
			m, got, err := read(r)
			if err != nil || got != content {
				t.Fatalf("%s, %d octets: %d octets, %v", name, size, len(got), err)
			}
			if m.Class != "IPM.Note.SMIME.MultipartSigned" || m.Title != "smime.p7m" {
				t.Errorf("class %q, title %q", m.Class, m.Title)
			}
		}
	}
}

func TestDefects(t *testing.T) {
	good := object("hello")
	broken := func(at int, b byte) string { return good[:at] + string(b) + good[at+1:] }
	for _, c := range []struct{ what, in string }{
		{"empty", ""},
		{"not TNEF", "hello world"},
		{"wrong signature", "\x79" + good[1:]},
		{"wrong level", head + attr(3, class, "x") + good[len(head):]},
		{"checksum of a message attribute", broken(len(head)+9, 1)},
		{"checksum of the attachment", strings.Replace(good, "hello", "hellO", 1)},
		{"second attachment", good + attr(attachment, render, "x") + attr(attachment, data, "beside")},
		{"second data", good + attr(attachment, data, "beside")},
		{"octets behind", good + "x"},
		{"length beyond the end", head + "\x01\x08\x80\x07\x00\xff\xff\xff\x7fabc"},
		{"data beyond the end", head + "\x02\x0f\x80\x06\x00\xff\xff\xff\xffabc"},
	} {
		_, _, err := read(strings.NewReader(c.in))
		if syntax := (*tnef.SyntaxError)(nil); !errors.As(err, &syntax) {
			t.Errorf("%s: %v, want a SyntaxError", c.what, err)
		}
	}
	if _, err := tnef.Open(strings.NewReader(head + attr(message, body, "hi\x00"))); err != tnef.ErrNoAttachment {
		t.Errorf("without attachment: %v", err)
	}
	for n := range len(good) {
		_, _, err := read(strings.NewReader(good[:n]))
		// Between two attributes the stream may end.
		if err == nil && n < strings.Index(good, "hello")+5+2 || err != nil && err != tnef.ErrNoAttachment && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, _, err := read(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(good)))); err != iotest.ErrTimeout {
		t.Errorf("an error of the source came out as %v", err)
	}
}

func TestLimits(t *testing.T) {
	for what, in := range map[string]io.Reader{
		"attributes before": strings.NewReader(head + strings.Repeat(attr(message, body, ""), 1001)),
		"attributes after":  strings.NewReader(object("x") + strings.Repeat(attr(message, body, ""), 1001)),
		"octets before":     strings.NewReader(head + attr(message, body, strings.Repeat("x", 1<<20)) + object("x")[len(head):]),
	} {
		_, _, err := read(in)
		if limit := (*limits.Exceeded)(nil); !errors.As(err, &limit) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(object("hello")))
	f.Add([]byte(head + attr(message, body, "hi\x00")))
	f.Add([]byte(object("x") + attr(attachment, data, "y")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, content, err := read(bytes.NewReader(b))
		var syntax *tnef.SyntaxError
		switch {
		case err == nil:
			if len(content) > len(b) || len(m.Class) > 256 || len(m.Title) > 256 {
				t.Fatalf("%d octets of content out of %d", len(content), len(b))
			}
			if !bytes.Contains(b, []byte(attr(attachment, data, content)[9:])) {
				t.Fatal("content that does not stand in the input")
			}
		case err == tnef.ErrNoAttachment:
		case !errors.As(err, &syntax):
			t.Fatalf("an error of type %T: %v", err, err)
		}
	})
}
