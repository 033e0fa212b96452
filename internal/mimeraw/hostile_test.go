package mimeraw_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// A header full of the same few octets costs no more than any other of its size (P4).
func TestHostileFields(t *testing.T) {
	for _, unit := range []string{
		"=?", "?=", "=?utf-8?b?", "=?utf-8?q?a?= ", "(", ")", `"`, `\`, "<", "a ", "a@b,", `"a" `, ";a*1=", ";a*0*=utf-8''%41", "a.", "G:", " ",
	} {
		in := strings.Repeat(unit, limits.HeaderSize/len(unit))
		for name, read := range map[string]func(){
			"DisplayText":    func() { mimeraw.DisplayText(in) },
			"ParseAddresses": func() { mimeraw.ParseAddresses(in + " <a@b.example>") },
			"ParseMediaType": func() { mimeraw.ParseMediaType("a/b;" + in) },
			"ReadEntity": func() {
				mimeraw.ReadEntity(strings.NewReader(strings.Repeat("From: a\r\n "+unit+"\r\n", limits.HeaderFields)))
			},
		} {
			start := time.Now()
			read()
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("%s of %q takes %v", name, unit, d)
			}
		}
	}
}

// A body that is nothing but beginnings of delimiters is read in linear time, octet by
// octet too (P4).
func TestHostileBody(t *testing.T) {
	for _, unit := range []string{"--x", "\r\n--x", "\r\n--xy", "\n--x \t", "-", "\r", "\r\n--x -"} {
		in := "--x\r\n" + strings.Repeat(unit, 4<<20/len(unit))
		start := time.Now()
		m := mimeraw.NewMultipart(strings.NewReader(in), "x")
		one := make([]byte, 1)
		for {
			p, err := m.NextPart()
			if err != nil {
				break
			}
			for err == nil {
				_, err = io.ReadFull(p, one)
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%q takes %v", unit, d)
		}
	}
}
