package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// An env is the keys of the one who signs and is written to.
type env struct {
	cert, issuer, root *x509.Certificate
	key                crypto.PrivateKey
}

// makeIdentity writes keys for every engine.
func makeIdentity(dir string) error {
	pki := smimetest.New()
	id := pki.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048})
	key, err := x509.MarshalPKCS8PrivateKey(id.Key())
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem":   {Type: "CERTIFICATE", Bytes: id.Certificate().Raw},
		"issuer.pem": {Type: "CERTIFICATE", Bytes: pki.Issuing.Certificate().Raw},
		"root.pem":   {Type: "CERTIFICATE", Bytes: pki.Root.Certificate().Raw},
		"key.pem":    {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func loadEnv(dir string) (*env, error) {
	e := new(env)
	var errs []error
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		errs = append(errs, err)
		block, _ := pem.Decode(text)
		if block == nil {
			errs = append(errs, fmt.Errorf("no PEM in %s", name))
			return nil
		}
		return block.Bytes
	}
	cert := func(name string) *x509.Certificate {
		c, err := x509.ParseCertificate(read(name))
		errs = append(errs, err)
		return c
	}
	e.cert, e.issuer, e.root = cert("cert.pem"), cert("issuer.pem"), cert("root.pem")
	key, err := x509.ParsePKCS8PrivateKey(read("key.pem"))
	e.key = key
	return e, errors.Join(append(errs, err)...)
}

func (e *env) signers() []*cms.Signer {
	return []*cms.Signer{{Certificate: e.cert, Key: e.key}}
}

func (e *env) identity() (*certstore.Identity, error) {
	return certstore.NewIdentity(e.cert, e.key, e.issuer)
}

// writeContent writes a message of text with CRLF line ends.
func writeContent(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	head := "From: alice@good.example\r\nTo: alice@good.example\r\nSubject: large\r\nContent-Type: text/plain\r\n\r\n"
	w.WriteString(head)
	line := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2)[:74] + "\r\n"
	for left := size - int64(len(head)); left > 0; left -= int64(len(line)) {
		w.WriteString(line[max(0, int64(len(line))-left):])
	}
	return errors.Join(w.Flush(), f.Close())
}

func find(name string) (operation, error) {
	for _, op := range operations() {
		if op.name == name {
			return op, nil
		}
	}
	return operation{}, fmt.Errorf("no operation %q", name)
}

// runOne is what a process of its own does: ours/x, peer/NAME/x, raw/x, which prints the
// time of the bare primitive, or make/x, which keeps what operation x writes in a file of
// that name.
func runOne(what, dir string) error {
	engine, name, _ := strings.Cut(what, "/")
	peerName := ""
	if engine == "peer" {
		peerName, name, _ = strings.Cut(name, "/")
	}
	op, err := find(name)
	if err != nil {
		return err
	}
	e, err := loadEnv(dir)
	if err != nil {
		return err
	}
	open := func(name string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }
	}
	s := source{content: open("content"), input: open(op.input)}
	switch engine {
	case "ours":
		return op.ours(e, s, io.Discard)
	case "peer":
		for _, p := range peers() {
			if p.name == peerName {
				return op.peer(p, e, s)
			}
		}
	case "raw":
		content, err := os.ReadFile(filepath.Join(dir, "content"))
		if err != nil {
			return err
		}
		fmt.Print(op.raw(content))
		return nil
	case "make":
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return errors.Join(op.ours(e, s, f), f.Close())
	}
	return fmt.Errorf("no engine %q", what)
}

// prepare returns what op reads, in memory, and the content.
func (b *bench) prepare(op operation) (e *env, s source, content []byte, err error) {
	if e, err = loadEnv(b.dir); err != nil {
		return nil, s, nil, err
	}
	if content, err = os.ReadFile(filepath.Join(b.dir, "content")); err != nil {
		return nil, s, nil, err
	}
	s.content = held(content)
	if op.input != "" {
		from, err := find(op.input)
		if err != nil {
			return nil, s, nil, err
		}
		var made bytes.Buffer
		if err := from.ours(e, s, &made); err != nil {
			return nil, s, nil, err
		}
		s.input = held(made.Bytes())
	}
	return e, s, content, nil
}

// held returns a source that is like a file: it can be read again.
func held(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return memory{bytes.NewReader(b)}, nil }
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func mailSign(opaque bool) func(*env, source, io.Writer) error {
	return func(e *env, s source, w io.Writer) error {
		id, err := e.identity()
		if err != nil {
			return err
		}
		return compose(&smime.Composer{Signers: []*certstore.Identity{id}, Opaque: opaque}, s, w)
	}
}

func mailEncrypt(name string) func(*env, source, io.Writer) error {
	return func(e *env, s source, w io.Writer) error {
		return compose(&smime.Composer{Recipients: []*x509.Certificate{e.cert}, Cipher: name, ProtectHeaders: "off"}, s, w)
	}
}

func compose(c *smime.Composer, s source, w io.Writer) error {
	c.Time = smimetest.Now
	in, err := s.content()
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = c.Compose(w, in)
	return err
}

func mailOpen(e *env, s source, w io.Writer) error {
	id, err := e.identity()
	if err != nil {
		return err
	}
	anchors := new(chain.Collection)
	anchors.Add(e.root)
	v := chain.NewVerifier(anchors, chain.Revocation{})
	v.Time = smimetest.Now
	keys := new(certstore.Memory)
	keys.AddIdentity(id)
	in, err := s.input()
	if err != nil {
		return err
	}
	defer in.Close()
	o := &smime.Opener{Chain: v, Keys: keys, AllowUnsigned: true, AllowMalleable: true}
	_, err = o.OpenTo(context.Background(), w, in)
	return err
}
