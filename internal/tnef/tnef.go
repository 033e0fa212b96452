// Package tnef finds the one S/MIME entity in a winmail.dat, the container that Exchange
// and Outlook put messages into for each other ([MS-OXTNEF]).
//
// [Open] reads the attributes of the message and stops at the data of the first
// attachment, which a [Message] then streams; [Message.Finish] reads the rest. An S/MIME
// object has exactly one attachment: the CMS structure of an opaque or encrypted message,
// or the whole multipart/signed entity with its own header ([MS-OXOSMIME], Section 2.1.3).
//
// # Limits
//
// The structure is flat and is read as such, so nothing nests. Attachment data is
// streamed; what precedes it is skipped, and bounded in size. No length is believed
// before its octets have arrived.
//
// [MS-OXTNEF]: https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxtnef/
// [MS-OXOSMIME]: https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxosmime/
package tnef

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/internal/limits"
)

// A TNEF stream is
//
//	signature u32, key u16, attribute *
//	attribute: level u8, id u32, length u32, data, checksum u16
//
// in little-endian order; the checksum is the sum of the octets of the data. The upper
// half of an id is the type of the data.
const (
	signature = 0x223e9f78

	levelMessage    = 1
	levelAttachment = 2

	idMessageClass  = 0x00078008
	idAttachRender  = 0x00069002 // begins an attachment
	idAttachTitle   = 0x00018010
	idAttachData    = 0x0006800f
	maxText         = 256       // octets of a class or a title that are kept
	maxBeforeObject = 1 << 20   // octets of attributes before the data of the attachment
	maxAttributes   = 1_000     // attributes of the whole stream
	maxAfterObject  = 256 << 20 // octets behind the data of the attachment
)

// ErrNoAttachment is returned by [Open] for a well-formed stream without attachment data.
var ErrNoAttachment = errors.New("TNEF without an attachment")

// A SyntaxError is the error for a stream that is not TNEF, or not that of one entity.
type SyntaxError struct {
	Offset int64  // octets before the fault
	What   string // what is wrong
	Err    error  // io.ErrUnexpectedEOF, a *limits.Exceeded, or nil
}

func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("TNEF at octet %d: %s", e.Offset, e.What)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause, if there is one.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Code returns the stable code for reports.
func (e *SyntaxError) Code() string { return "tnef.malformed" }

// A Message is a TNEF stream opened at the data of its first attachment. It reads as that
// data; after its end comes io.EOF, and Finish is due.
type Message struct {
	// Class is the message class as written, such as "IPM.Note.SMIME"; empty if there is
	// none. It is a hint: the content decides (MS-OXOSMIME, Section 2.1.3.2).
	Class string
	// Title is the name of the attachment. It is complete only after Finish.
	Title string

	r          *bufio.Reader
	offset     int64
	attributes int
	left       int64  // octets of the current data that were not read yet
	sum        uint16 // of those that were
	err        error  // of the Read that ended
}

// Open reads r up to the data of the first attachment. It returns [ErrNoAttachment] if
// the stream ends before there is one, a *SyntaxError for what is no TNEF, or an error of r.
func Open(r io.Reader) (*Message, error) {
	m := &Message{r: bufio.NewReader(r)}
	var head [6]byte
	if err := m.full(head[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(head[:]) != signature {
		return nil, &SyntaxError{What: "no TNEF signature"}
	}
	for {
		a, err := m.next()
		if err == io.EOF {
			return nil, ErrNoAttachment
		}
		if err != nil {
			return nil, err
		}
		if a.id == idAttachData && a.level == levelAttachment {
			return m, nil
		}
		if m.offset+int64(a.length) > maxBeforeObject {
			return nil, m.fault("before the attachment", &limits.Exceeded{What: "octets", Max: maxBeforeObject})
		}
		if err := m.attribute(a); err != nil {
			return nil, err
		}
	}
}

// Read reads the data of the attachment. A wrong checksum is an error at its end.
func (m *Message) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.data(p)
	if err == io.EOF {
		if sumErr := m.checksum(); sumErr != nil {
			err = sumErr
		}
	}
	m.err = err
	return n, err
}

// Finish reads what is left of the attachment and of the stream. A second attachment is
// an error: its octets would stand beside what a signature covers.
func (m *Message) Finish() error {
	if _, err := io.Copy(io.Discard, m); err != nil {
		return err
	}
	start := m.offset
	for {
		a, err := m.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if a.level == levelAttachment && (a.id == idAttachRender || a.id == idAttachData) {
			return m.fault("more than one attachment", nil)
		}
		if m.offset-start+int64(a.length) > maxAfterObject {
			return m.fault("behind the attachment", &limits.Exceeded{What: "octets", Max: maxAfterObject})
		}
		if err := m.attribute(a); err != nil {
			return err
		}
	}
}

type attribute struct {
	level  byte
	id     uint32
	length uint32
}

// next reads the head of an attribute and makes its data current; io.EOF at the end of the stream.
func (m *Message) next() (attribute, error) {
	var head [9]byte
	if _, err := m.r.Peek(1); err == io.EOF {
		return attribute{}, io.EOF
	}
	if m.attributes++; m.attributes > maxAttributes {
		return attribute{}, m.fault("too many attributes", &limits.Exceeded{What: "attributes", Max: maxAttributes})
	}
	if err := m.full(head[:]); err != nil {
		return attribute{}, err
	}
	a := attribute{head[0], binary.LittleEndian.Uint32(head[1:]), binary.LittleEndian.Uint32(head[5:])}
	if a.level != levelMessage && a.level != levelAttachment {
		return attribute{}, m.fault(fmt.Sprintf("an attribute of level %d", a.level), nil)
	}
	m.left, m.sum = int64(a.length), 0
	return a, nil
}

// attribute reads the data of an attribute, keeps those that are texts we want and skips
// the others.
func (m *Message) attribute(a attribute) error {
	keep := a.id == idMessageClass || a.id == idAttachTitle
	var text []byte
	var buf [4096]byte
	for {
		n, err := m.data(buf[:])
		if keep {
			text = append(text, buf[:min(n, maxText-len(text))]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	value, _, _ := bytes.Cut(text, []byte{0})
	switch a.id {
	case idMessageClass:
		m.Class = string(value)
	case idAttachTitle:
		m.Title = string(value)
	}
	return m.checksum()
}

// data reads the data of the current attribute; io.EOF at its end.
func (m *Message) data(p []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.r.Read(p)
	m.offset += int64(n)
	m.left -= int64(n)
	for _, b := range p[:n] {
		m.sum += uint16(b)
	}
	if err == io.EOF {
		err = m.fault("cut short", io.ErrUnexpectedEOF)
	}
	return n, err
}

// checksum reads the checksum behind the data and compares it.
func (m *Message) checksum() error {
	var sum [2]byte
	if err := m.full(sum[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(sum[:]) != m.sum {
		return m.fault("wrong checksum", nil)
	}
	return nil
}

func (m *Message) full(b []byte) error {
	n, err := io.ReadFull(m.r, b)
	m.offset += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return m.fault("cut short", io.ErrUnexpectedEOF)
	}
	return err
}

func (m *Message) fault(what string, err error) error {
	return &SyntaxError{Offset: m.offset, What: what, Err: err}
}
