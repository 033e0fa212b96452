package main

import (
	"bytes"
	"fmt"
)

// heldMax bounds what is held before it may go to standard output.
const heldMax = 64 << 20

// heldContent keeps content in memory until the verdict is known. It can be emptied, as a
// second pass over the message needs.
type heldContent struct {
	bytes.Buffer
	max int
}

func (h *heldContent) Write(b []byte) (int, error) {
	if h.Len()+len(b) > h.max {
		return 0, fmt.Errorf("the content exceeds %d bytes; use --out", h.max)
	}
	return h.Buffer.Write(b)
}

// Seek supports going back to the start, and nothing else.
func (h *heldContent) Seek(offset int64, whence int) (int64, error) { return 0, nil }

// Truncate empties the content.
func (h *heldContent) Truncate(n int64) error {
	h.Buffer.Truncate(int(n))
	return nil
}
