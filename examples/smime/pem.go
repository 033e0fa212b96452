package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"unicode/utf8"
)

// unarmoured returns the DER or BER of a CMS structure, streaming, whether it comes bare
// or in PEM armour, with or without text ahead of it. What stands behind the armour comes
// last, as octets behind a bare structure do.
func unarmoured(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(4 << 10)
	text, _, found := bytes.Cut(head, []byte("-----BEGIN "))
	if !found || len(text) > 0 && text[len(text)-1] != '\n' || bytes.ContainsFunc(text, binary) {
		return br
	}
	return io.MultiReader(base64.NewDecoder(base64.StdEncoding, &armourReader{br: br, begins: true}), &behindReader{br: br})
}

// A behindReader yields the rest of a file behind a PEM block, without blanks ahead of it.
type behindReader struct {
	br    *bufio.Reader
	begun bool
}

func (r *behindReader) Read(b []byte) (int, error) {
	for !r.begun {
		c, err := r.br.ReadByte()
		if err != nil {
			return 0, err
		}
		if r.begun = !bytes.ContainsRune([]byte(" \t\r\n"), rune(c)); r.begun {
			r.br.UnreadByte()
		}
	}
	return r.br.Read(b)
}

func binary(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == utf8.RuneError
}

// An armourReader yields the base64 lines of the first PEM block.
type armourReader struct {
	br          *bufio.Reader
	begun, done bool
	begins      bool // what is read next is the beginning of a line
	line        []byte
}

func (a *armourReader) Read(b []byte) (int, error) {
	for len(a.line) == 0 {
		if a.done {
			return 0, io.EOF
		}
		line, err := a.br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return 0, err
		}
		begins := a.begins
		a.begins = err != bufio.ErrBufferFull
		a.done = err == io.EOF
		line = bytes.TrimSpace(line)
		switch {
		case begins && bytes.HasPrefix(line, []byte("-----")):
			a.done = a.done || a.begun
			a.begun = true
		case a.begun && !bytes.ContainsRune(line, ':'):
			a.line = line
		}
	}
	n := copy(b, a.line)
	a.line = a.line[n:]
	return n, nil
}
