package ber

import "io"

// available returns the number of buffered octets after trying to have at least one.
// It is 0 at the end of the input, or if r.err is now set.
func (r *Reader) available() int {
	if r.start == r.end {
		r.fill(1)
	}
	return r.end - r.start
}

// fill makes at least n octets available, n being small. It returns false at the end of
// the input, or if the source failed and r.err is now set.
func (r *Reader) fill(n int) bool {
	for r.end-r.start < n {
		if r.src == nil {
			return false
		}
		buf := r.buf
		switch {
		case buf == nil:
			buf = make([]byte, firstBuffer)
		case r.end == len(buf) && len(buf) < bufferSize: // this is no small structure
			buf = make([]byte, bufferSize)
		}
		if r.start > 0 || len(buf) > len(r.buf) {
			r.end = copy(buf, r.buf[r.start:r.end])
			r.start, r.buf = 0, buf
		}
		m, ok := r.readSource(r.buf[r.end:])
		r.end += m
		if !ok {
			return r.end-r.start >= n
		}
	}
	return true
}

// readSource reads once from the source. It returns false at the end of the input, or if
// the source failed and r.err is now set.
func (r *Reader) readSource(p []byte) (int, bool) {
	for range 100 {
		n, err := r.src.Read(p)
		if n < 0 || n > len(p) {
			panic("ber: source returned an impossible count from Read")
		}
		if err == io.EOF {
			r.src = nil
			return n, false
		}
		if err != nil {
			r.failed(err)
			return n, false
		}
		if n > 0 {
			return n, true
		}
	}
	r.failed(io.ErrNoProgress)
	return 0, false
}

func (r *Reader) consume(n int) {
	r.start += n
	r.offset += int64(n)
}

// chunk consumes and returns between 1 and max octets of content, valid until the next call.
func (r *Reader) chunk(max int64) ([]byte, error) {
	n := r.available()
	if n == 0 {
		if r.err != nil {
			return nil, r.err
		}
		return nil, r.failed(truncated(r.offset))
	}
	n = int(min(int64(n), max))
	b := r.buf[r.start : r.start+n]
	r.consume(n)
	return b, nil
}

// read consumes between 1 and len(p) octets of content. Large reads go straight from the
// source into p.
func (r *Reader) read(p []byte) (int, error) {
	if r.start == r.end && r.src != nil && len(p) >= bufferSize/2 {
		n, _ := r.readSource(p)
		r.offset += int64(n)
		if n > 0 {
			return n, nil
		}
	}
	b, err := r.chunk(int64(len(p)))
	return copy(p, b), err
}
