package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/chain"
)

// maxLine bounds one request. Lines of 64 MiB must be accepted.
const maxLine = 128 << 20

// A judge answers batch requests. It keeps the verifiers of the collections it has seen,
// because indexing one costs more than a verification.
type judge struct {
	fetcher   chain.Fetcher // nil: no network
	clock     func() time.Time
	mu        sync.Mutex
	verifiers map[[32]byte]*chain.Verifier
	lists     int // octets of revocation lists they were asked with, and may remember
}

// Bounds of what a judge keeps: verifiers, and the lists of all of them together.
const (
	maxVerifiers = 256
	maxLists     = 256 << 20
)

func newJudge(wanted bool, clock func() time.Time) *judge {
	return &judge{fetcher: network(wanted), clock: clock, verifiers: map[[32]byte]*chain.Verifier{}}
}

// A refusal is a request that gets no verdict.
type refusal struct{ code, detail string }

func (r *refusal) Error() string { return r.detail }

func malformed(format string, args ...any) error {
	return &refusal{"request.malformed", fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return &refusal{"request.unsupported", fmt.Sprintf(format, args...)}
}

// refused returns what package chain refuses to judge as a refusal: it is no verdict.
func refused(r *chain.Report) error {
	if len(r.Codes) > 0 && strings.HasPrefix(r.Codes[0], "request.") {
		return &refusal{r.Codes[0], r.Detail}
	}
	return nil
}

// batch answers every line of in, in order, each as soon as it and all before it are
// ready. A few requests are worked on side by side.
func (j *judge) batch(in io.Reader, out io.Writer) error {
	type job struct {
		number int
		line   []byte
		err    error
		answer chan []byte
	}
	lanes := runtime.GOMAXPROCS(0)
	jobs, ordered := make(chan *job), make(chan *job, lanes)
	for range lanes {
		go func() {
			for w := range jobs {
				w.answer <- j.answer(w.number, w.line, w.err)
			}
		}()
	}
	readErr := make(chan error, 1)
	go func() {
		defer close(ordered)
		defer close(jobs)
		r := bufio.NewReaderSize(in, 1<<20)
		for number := 1; ; number++ {
			line, tooLong, err := readLine(r)
			if len(bytes.TrimSpace(line)) > 0 || tooLong {
				w := &job{number: number, line: line, answer: make(chan []byte, 1)}
				if tooLong {
					w.err = malformed("the line is longer than %d bytes", maxLine)
				}
				ordered <- w
				jobs <- w
			}
			if err != nil {
				if err != io.EOF {
					readErr <- err
				}
				return
			}
		}
	}()
	var writeErr error
	for w := range ordered {
		line := <-w.answer
		if writeErr == nil {
			_, writeErr = out.Write(line)
		}
	}
	select {
	case err := <-readErr:
		return err
	default:
		return writeErr
	}
}

// readLine reads up to the next newline; of a line that is too long nothing is kept.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if !tooLong {
			if line = append(line, part...); len(line) > maxLine {
				line, tooLong = nil, true
			}
		}
		if err != bufio.ErrBufferFull {
			return line, tooLong, err
		}
	}
}

// answer returns the response line for one request line.
func (j *judge) answer(number int, line []byte, err error) (out []byte) {
	var id *string
	defer func() {
		if p := recover(); p != nil {
			out = errorLine(id, "internal", "a fault in the program")
		}
	}()
	var q *batchRequest
	if err == nil {
		q, err = parseRequest(line, j.fetcher)
		if q != nil {
			id = q.id
		}
	}
	var v *chain.Verifier
	if err == nil {
		v = j.verifier(q.anchors, q.CRLs)
		r := v.Explain(context.Background(), q.Request)
		if err = refused(r); err == nil {
			out, err = answerLine(*q.id, r)
		}
	}
	if err == nil {
		return out
	}
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{"internal", err.Error()}
	}
	return errorLine(id, r.code, fmt.Sprintf("line %d: %s", number, r.detail))
}

func errorLine(id *string, code, detail string) []byte {
	line, _ := json.Marshal(map[string]any{"id": id, "error": map[string]string{"code": code, "detail": detail}})
	return append(line, '\n')
}

// verifier returns the one for a list of anchors, which will be asked with lists.
func (j *judge) verifier(anchors, lists [][]byte) *chain.Verifier {
	h := sha256.New()
	for _, a := range anchors {
		sum := sha256.Sum256(a)
		h.Write(sum[:])
	}
	key := [32]byte(h.Sum(nil))
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, der := range lists {
		j.lists += len(der)
	}
	if j.lists > maxLists {
		clear(j.verifiers)
		j.lists = 0
	}
	if v := j.verifiers[key]; v != nil {
		return v
	}
	if len(j.verifiers) >= maxVerifiers {
		clear(j.verifiers)
	}
	c := new(chain.Collection)
	for _, a := range anchors {
		c.AddAnchor(&x509.Certificate{Raw: a})
	}
	v := chain.NewVerifier(c, chain.Revocation{})
	v.Time = j.clock
	j.verifiers[key] = v
	return v
}

// A batchRequest is a request line, decoded.
type batchRequest struct {
	chain.Request
	id      *string
	anchors [][]byte
	leaf    []byte
	fetcher chain.Fetcher
}

// parseRequest decodes one object. Names are compared exactly and none may come twice: a
// restriction the caller spelled must not get lost.
func parseRequest(line []byte, f chain.Fetcher) (*batchRequest, error) {
	q := &batchRequest{fetcher: f}
	q.Purpose = chain.EmailSigning
	q.Revocation, _ = revocationMode("soft", f)
	if !utf8.Valid(line) {
		return q, malformed("not UTF-8")
	}
	fields, names, err := objectFields(line)
	if raw, ok := fields["id"]; ok {
		var id *string
		if json.Unmarshal(raw, &id) == nil {
			q.id = id
		}
	}
	if err != nil {
		return q, err
	}
	if q.id == nil {
		return q, malformed("id is missing or no string")
	}
	for _, name := range names {
		if err := q.field(name, fields[name]); err != nil {
			return q, err
		}
	}
	if q.leaf == nil {
		return q, malformed("leaf is missing")
	}
	q.Leaf = &x509.Certificate{Raw: q.leaf}
	return q, nil
}

func objectFields(line []byte) (fields map[string]json.RawMessage, names []string, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil {
		return nil, nil, malformed("%v", err)
	} else if t != json.Delim('{') {
		return nil, nil, malformed("not a JSON object")
	}
	fields = map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return fields, names, malformed("%v", err)
		}
		if _, twice := fields[name]; twice {
			return fields, names, malformed("the field %q comes twice", name)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fields, names, malformed("%v", err)
		}
		fields[name] = raw
		names = append(names, name)
	}
	if _, err := d.Token(); err != nil {
		return fields, names, malformed("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fields, names, malformed("something follows the object")
	}
	return fields, names, nil
}

// field decodes one member of the object; null is as good as none.
func (q *batchRequest) field(name string, raw json.RawMessage) (err error) {
	if string(raw) == "null" && name != "id" && name != "leaf" {
		if !knownField(name) {
			return unsupported("unknown field %q", name)
		}
		return nil
	}
	var text string
	str := func(out *string) {
		if json.Unmarshal(raw, out) != nil || string(raw) == "null" {
			err = malformed("%s is no string", name)
		}
	}
	// A restriction to nothing is none, and not what anybody means.
	restriction := func(out *string) {
		if str(out); err == nil && *out == "" {
			err = malformed("%s is empty", name)
		}
	}
	flag := func(out *bool) {
		if json.Unmarshal(raw, out) != nil {
			err = malformed("%s is neither true nor false", name)
		}
	}
	switch name {
	case "id":
	case "leaf":
		if str(&text); err == nil {
			q.leaf, err = decode(name, text)
		}
	case "untrusted":
		var list [][]byte
		list, err = decodeList(name, raw)
		for _, der := range list {
			q.Untrusted = append(q.Untrusted, &x509.Certificate{Raw: der})
		}
	case "anchors":
		q.anchors, err = decodeList(name, raw)
	case "crls":
		q.CRLs, err = decodeList(name, raw)
	case "ocsp":
		q.OCSP, err = decodeList(name, raw)
	case "time":
		if str(&text); err == nil {
			if q.Time, err = parseTime(text); err != nil {
				err = malformed("time %q is not an RFC 3339 time", text)
			} else if q.Time.IsZero() {
				err = unsupported("time %q: the zero time stands for the present", text)
			}
		}
	case "purpose":
		if str(&text); err == nil {
			q.Purpose = chain.Purpose(text)
			if e := checkRequest(&chain.Request{Purpose: q.Purpose}); e != nil {
				err = unsupported("%v", e)
			}
		}
	case "policies":
		if json.Unmarshal(raw, &q.Policies) != nil {
			err = malformed("policies is no list of strings")
		} else if e := checkRequest(&chain.Request{Purpose: "any", Policies: q.Policies}); e != nil {
			err = malformed("%v", e)
		}
	case "require_explicit_policy":
		flag(&q.RequireExplicitPolicy)
	case "inhibit_any_policy":
		flag(&q.InhibitAnyPolicy)
	case "inhibit_policy_mapping":
		flag(&q.InhibitPolicyMapping)
	case "address":
		restriction(&q.Address)
	case "dns_name":
		restriction(&q.DNSName)
	case "ip_address":
		if restriction(&q.IPAddress); err == nil {
			if e := checkRequest(&chain.Request{Purpose: "any", IPAddress: q.IPAddress}); e != nil {
				err = malformed("%v", e)
			}
		}
	case "max_depth":
		var depth int
		if json.Unmarshal(raw, &depth) != nil || depth < 0 {
			err = malformed("max_depth is no number from 0")
		}
		q.MaxDepth = &depth
	case "revocation":
		if str(&text); err == nil {
			var e error
			if q.Revocation, e = revocationMode(text, q.fetcher); e != nil {
				err = unsupported("%v", e)
			}
		}
	case "algorithms":
		if str(&text); err == nil {
			var e error
			if q.AllowSHA1, e = algorithmSet(text); e != nil {
				err = unsupported("%v", e)
			}
		}
	default:
		err = unsupported("unknown field %q", name)
	}
	return err
}

func knownField(name string) bool {
	switch name {
	case "id", "leaf", "untrusted", "anchors", "crls", "ocsp", "time", "purpose", "policies", "require_explicit_policy", "inhibit_any_policy",
		"inhibit_policy_mapping", "address", "dns_name", "ip_address", "max_depth", "revocation", "algorithms":
		return true
	}
	return false
}

func decode(name, text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || bytes.ContainsAny([]byte(text), "\r\n") {
		return nil, malformed("%s is not base64", name)
	}
	return b, nil
}

func decodeList(name string, raw json.RawMessage) ([][]byte, error) {
	var list []*string
	if json.Unmarshal(raw, &list) != nil {
		return nil, malformed("%s is no list of strings", name)
	}
	out := make([][]byte, len(list))
	for i, text := range list {
		if text == nil {
			return nil, malformed("%s holds null", name)
		}
		var err error
		if out[i], err = decode(name, *text); err != nil {
			return nil, err
		}
	}
	return out, nil
}
