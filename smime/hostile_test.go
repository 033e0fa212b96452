package smime_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// anyAnswer opens what may be anything, by every entrance, within the bounds for hostile
// input. What comes out as authentic must be genuine content.
func anyAnswer(t *testing.T, o *smime.Opener, name string, message, bare []byte) {
	t.Helper()
	check := func(how string, m *smime.Message, err error, content []byte) {
		t.Helper()
		if err == nil && string(content) != filePart {
			t.Errorf("%s: %s gives %.80q", name, how, content)
		}
		if (m == nil) != (err != nil) {
			t.Errorf("%s: %s gives %v and %v", name, how, m, err)
		}
	}
	if message != nil {
		bounded(t, name, func() {
			m, err := o.Open(t.Context(), bytes.NewReader(message))
			var content []byte
			if err == nil {
				content, _ = io.ReadAll(m.Entity())
			}
			check("Open", m, err, content)
		})
		bounded(t, name, func() {
			var b bytes.Buffer
			m, err := o.OpenTo(t.Context(), &b, bytes.NewReader(message))
			check("OpenTo", m, err, b.Bytes())
		})
		bounded(t, name, func() {
			r, err := o.Inspect(t.Context(), bytes.NewReader(message))
			if err != nil || r.Content != nil {
				t.Errorf("%s: Inspect gives %+v, %v", name, r, err)
			}
		})
	}
	if bare != nil {
		bounded(t, name, func() {
			var b bytes.Buffer
			m, err := o.OpenCMS(t.Context(), &b, bytes.NewReader(bare), nil)
			check("OpenCMS", m, err, b.Bytes())
		})
	}
}

// refusedCode opens a message that must be refused, within the bounds, and wants the code.
func refusedCode(t *testing.T, o *smime.Opener, name, code string, message []byte) {
	t.Helper()
	bounded(t, name, func() {
		r, err := o.Inspect(t.Context(), bytes.NewReader(message))
		if err != nil || r.Verdict == smime.Authentic || r.Verdict == smime.Unsigned || !slices.Contains(r.Codes, code) {
			t.Errorf("%s: %+v, %v; want %s", name, r, err, code)
		}
	})
	anyAnswer(t, o, name, message, nil)
}

// TestD01DepthBombs (row D01) puts a tower of a million elements in every place where something may
// stand, and one just below and above the limit.
func TestD01DepthBombs(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	places := map[string]func(tower []byte) []byte{
		"alone": func(b []byte) []byte { return b },
		"content": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Encapsulated = forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, b))
			}).DER()
		},
		"announced": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Announced = [][]byte{b} }).DER()
		},
		"certificates": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Certificates = [][]byte{b} }).DER()
		},
		"crls": func(b []byte) []byte { return m.Forged(filePart, func(s *forge.Signed) { s.CRLs = [][]byte{b} }).DER() },
		"signers": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Infos = [][]byte{b} }).DER()
		},
		"signed": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Signers[0].Attributes = [][]byte{b} }).DER()
		},
		"unsigned": func(b []byte) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Signers[0].Unsigned = [][]byte{forge.Attribute("\x2a\x03\x04", b)}
			}).DER()
		},
		"originator": func(b []byte) []byte {
			return p.envelope(filePart, func(e *forge.Enveloped) { e.Originator = forge.Tagged(0, b) })
		},
		"recipients": func(b []byte) []byte {
			return p.envelope(filePart, func(e *forge.Enveloped) { e.Recipients = [][]byte{b} })
		},
		"cipher": func(b []byte) []byte {
			return p.envelope(filePart, func(e *forge.Enveloped) { e.Cipher = forge.Algorithm(oid.AES256CBC, b) })
		},
		"text": func(b []byte) []byte {
			return p.envelope(filePart, func(e *forge.Enveloped) { e.WireText = forge.Tagged(0, b) })
		},
		"attributes": func(b []byte) []byte {
			return p.authEnvelope(filePart, func(e *forge.Enveloped) { e.Attributes = forge.Tagged(1, b) })
		},
		"behind": func(b []byte) []byte {
			return p.authEnvelope(filePart, func(e *forge.Enveloped) { e.Tail = forge.Tagged(2, b) })
		},
		"compressed": func(b []byte) []byte { return forge.ContentInfo(oid.CompressedData, b) },
		"unknown":    func(b []byte) []byte { return forge.ContentInfo("\x2a\x03\x04", b) },
	}
	for place, put := range places {
		for name, tower := range map[string][]byte{
			"sequences":     forge.Nested(1_000_000, 0x30, 0x80),
			"strings":       forge.Nested(1_000_000, 0x24, 0x80),
			"tagged":        forge.Nested(1_000_000, 0xa0, 0x80),
			"definite":      catalogue.Deep(300),
			"just too deep": catalogue.Deep(65),
			"just not":      catalogue.Deep(40),
		} {
			anyAnswer(t, p.opener(), "a tower of "+name+" in "+place, nil, put(tower))
		}
	}
	refusedCode(t, p.opener(), "a tower", "limit.exceeded", []byte(opaqueMail(places["unsigned"](catalogue.Deep(65)))))
	if _, err := p.opener().Open(t.Context(), strings.NewReader(opaqueMail(places["unsigned"](catalogue.Deep(50))))); err != nil {
		t.Error("the twin:", err)
	}
}

// TestD02Claims (row D02): lengths that are claimed and not there cost nothing.
func TestD02Claims(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	valid := m.Forged(filePart, nil).DER()
	if _, err := p.opener().Open(t.Context(), strings.NewReader(opaqueMail(valid))); err != nil {
		t.Fatal("the twin:", err)
	}
	nodes := forge.Nodes(valid)
	for _, claim := range [][]byte{{0x84, 0x7f, 0xff, 0xff, 0xff}, {0x84, 0xff, 0xff, 0xff, 0xff}, {0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x88, 0x00, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		for i, n := range nodes {
			hostile := slices.Concat(valid[:n.At+1], claim, valid[n.Body:])
			before := allocated()
			o := p.opener()
			if m, err := o.OpenCMS(t.Context(), io.Discard, bytes.NewReader(hostile), nil); err == nil {
				t.Errorf("element %d claims %x: %+v", i, claim, m)
			}
			if n := allocated() - before; n > 1<<20 {
				t.Errorf("element %d claims %x: %d octets allocated", i, claim, n)
			}
		}
	}
	anyAnswer(t, p.opener(), "six octets", nil, []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
}

// structures are one of each kind of CMS structure that mail has, for Bob and by Alice.
func structures(t *testing.T, p *openIdentities) map[string][]byte {
	t.Helper()
	m := newMaker(t, p)
	inner := m.SealedPart()
	all := map[string][]byte{
		"signed": m.Forged(filePart, func(s *forge.Signed) {
			s.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.SigningTime, []byte("\x17\x0d260601120000Z"))}
		}).DER(),
		"enveloped":      p.envelope(inner, nil),
		"auth-enveloped": p.authEnvelope(inner, nil),
	}
	for name, der := range all {
		o := p.opener()
		o.AllowUnsigned, o.AllowMalleable = true, true
		if _, err := o.OpenCMS(t.Context(), io.Discard, bytes.NewReader(der), nil); err != nil {
			t.Fatal("the twin", name, err)
		}
	}
	return all
}

// TestD06Nodes: rows D06 to D08, and C13. Nothing becomes of a structure with an element
// more, less, elsewhere or of another type that did not come from who signed: neither a
// panic nor another content.
func TestD06Nodes(t *testing.T) {
	p := readOpenIdentities(t)
	count := 0
	for kind, der := range structures(t, p) {
		genuine := map[string]bool{filePart: true, newMaker(t, p).SealedPart(): true}
		for name, mutant := range forge.Mutants(der) {
			count++
			o := p.opener()
			o.AllowUnsigned = kind == "auth-enveloped" // whose content the tag protects
			var b bytes.Buffer
			m, err := o.OpenCMS(t.Context(), &b, bytes.NewReader(mutant), nil)
			if (m == nil) != (err != nil) {
				t.Fatalf("%s, %s: %v, %v", kind, name, m, err)
			}
			if err == nil && !genuine[b.String()] {
				t.Errorf("%s, %s: opens to %.60q", kind, name, b.String())
			}
		}
	}
	if count < 3000 {
		t.Errorf("only %d mutants", count)
	}
	t.Log(count, "mutants")
}

// TestD09EveryOctet (row D09) changes every octet of a structure, and cuts it at every octet. No
// panic, and never another content.
func TestD09EveryOctet(t *testing.T) {
	p := readOpenIdentities(t)
	for kind, der := range structures(t, p) {
		for i := range der {
			flipped := bytes.Clone(der)
			flipped[i] ^= 1 << (i % 8)
			o := p.opener()
			var b bytes.Buffer
			if _, err := o.OpenCMS(t.Context(), &b, bytes.NewReader(flipped), nil); err == nil && b.String() != filePart {
				t.Errorf("%s, octet %d: opens to %.60q", kind, i, b.String())
			}
			if m, err := p.opener().OpenCMS(t.Context(), io.Discard, bytes.NewReader(der[:i]), nil); err == nil {
				t.Errorf("%s, cut at %d: opens %+v", kind, i, m)
			}
		}
	}
}

// TestD09EveryFile (row D09) changes octets of every message of the folder, and cuts it, at
// places that are spread over it and are others in each. What is authentic then is still
// what somebody signed.
func TestD09EveryFile(t *testing.T) {
	p := readOpenIdentities(t)
	mails, genuine := openMails(t)
	for i, mail := range mails {
		for k := range 10 {
			at := (len(mail)*k/10 + i*7919) % len(mail)
			flipped := bytes.Clone(mail)
			flipped[at] ^= 1 << ((i + k) % 8)
			for what, mutant := range map[string][]byte{"changed": flipped, "cut": mail[:at]} {
				m, err := p.opener().Open(t.Context(), bytes.NewReader(mutant))
				if err != nil {
					continue
				}
				content, _ := io.ReadAll(m.Entity())
				if sum := sha256.Sum256(content); !genuine[hex.EncodeToString(sum[:])] {
					t.Errorf("message %d %s at %d opens to %.80q", i, what, at, content)
				}
			}
		}
	}
}

// TestJ01EveryCut (row J01) cuts messages of every form at every octet. None opens, but for the loss
// of line ends behind all that counts, and none is called anything but truncated or
// malformed.
func TestJ01EveryCut(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	for name, mail := range map[string]string{
		"multipart": detachedMail(filePart, catalogue.Detached(m.Forged(filePart, nil))),
		"opaque":    opaqueMail(m.Forged(filePart, nil).DER()),
		"enveloped": sealedMail(p.envelope(m.SealedPart(), nil)),
	} {
		if _, err := p.opener().Open(t.Context(), strings.NewReader(mail)); err != nil {
			t.Fatal("the twin", name, err)
		}
		end := len(strings.TrimRight(mail, "\r\n"))
		protected := strings.Index(mail, "\r\n\r\n")
		for i := range end {
			r, err := p.opener().Inspect(t.Context(), strings.NewReader(mail[:i]))
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == smime.Authentic || i > protected && r.Verdict == smime.Unsigned {
				t.Errorf("%s, cut at %d of %d: %s", name, i, len(mail), r.Verdict)
			}
			if i > protected && !slices.ContainsFunc(r.Codes, func(c string) bool {
				return strings.HasSuffix(c, ".truncated") || strings.HasSuffix(c, ".malformed") || c == "mime.base64" || c == "decrypt.failed" || c == "mime.signed_parts"
			}) {
				t.Errorf("%s, cut at %d of %d: %q", name, i, len(mail), r.Codes)
			}
		}
	}
}

// TestD10Floods (row D10): of everything that may occur several times, as much as the limit allows,
// one more, and a hundred thousand.
func TestD10Floods(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	filler := p.eve.Certificate().Raw
	crl := p.crl
	for _, c := range []struct {
		name  string
		limit int
		of    func(n int) []byte
	}{
		{"certificates", 256, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Certificates = append(s.Certificates, slices.Repeat([][]byte{filler}, n-len(s.Certificates))...)
			}).DER()
		}},
		{"CRLs", 64, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.CRLs = slices.Repeat([][]byte{crl}, n) }).DER()
		}},
		{"signers", 16, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Infos = slices.Repeat([][]byte{s.Signers[0].DER()}, n-1) }).DER()
		}},
		{"digests", 16, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.Announced = slices.Repeat(s.Announced, n) }).DER()
		}},
		{"signed attributes", 64, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				for i := range n - 2 {
					s.Signers[0].Attributes = append(s.Signers[0].Attributes, forge.Attribute(oid.OID([]byte{0x2a, 0x84, byte(0x80 | i>>7&0x7f), byte(i & 0x7f)}), forge.Null()))
				}
			}).DER()
		}},
		{"unsigned attributes", 64, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Signers[0].Unsigned = slices.Repeat([][]byte{forge.Attribute("\x2a\x03\x04", forge.Null())}, n)
			}).DER()
		}},
		{"values of an attribute", 64, func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Signers[0].Attributes = append(s.Signers[0].Attributes, forge.Attribute("\x2a\x03\x04", slices.Repeat([][]byte{forge.Null()}, n)...))
			}).DER()
		}},
		{"recipients", 10_000, func(n int) []byte {
			return p.envelope(m.SealedPart(), func(e *forge.Enveloped) {
				other := forge.SharedKey([]byte("x"), forge.Algorithm(oid.AES256Wrap, nil), make([]byte, 40))
				e.Recipients = append(e.Recipients, slices.Repeat([][]byte{other}, n-1)...)
			})
		}},
	} {
		if _, err := p.opener().Open(t.Context(), strings.NewReader(sealedMail(c.of(c.limit)))); err != nil {
			t.Errorf("%d %s: %v", c.limit, c.name, err)
		}
		refusedCode(t, p.opener(), c.name, "limit.exceeded", []byte(sealedMail(c.of(c.limit+1))))
		if c.name != "signed attributes" && c.name != "CRLs" && c.name != "certificates" {
			refusedCode(t, p.opener(), "a flood of "+c.name, "limit.exceeded", []byte(sealedMail(c.of(100_000))))
		}
	}
}

// linear holds the time for an input against that for one eight times as large, which must
// not take much more than eight times as long: a square would be sixty-four times. It
// measures again if need be, because a machine does other things too.
func linear(t *testing.T, name string, of func(size int) func()) {
	t.Helper()
	small, large := of(1), of(8)
	fastest := func(f func()) time.Duration {
		least := time.Duration(1 << 62)
		for range 3 {
			start := time.Now()
			f()
			least = min(least, time.Since(start))
		}
		return least
	}
	var ratio float64
	for range 5 {
		if ratio = float64(fastest(large)) / float64(fastest(small)); ratio < 20 {
			return
		}
	}
	t.Errorf("%s: eight times the input takes %.0f times as long", name, ratio)
}

// TestD03Chunks (row D03): a content in octets of their own reads as one, in time that grows with
// it, and ten million of them within the bounds.
func TestD03Chunks(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	chunks := func(n int) []byte {
		content := bytes.Repeat([]byte("x"), n)
		return m.Forged(string(content), func(s *forge.Signed) {
			s.Encapsulated = forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Indefinite(forge.Element(0x24, bytes.Repeat([]byte{4, 1, 'x'}, n)))))
		}).DER()
	}
	linear(t, "chunks", func(size int) func() {
		der := chunks(size << 16)
		return func() {
			if _, err := p.opener().OpenCMS(t.Context(), io.Discard, bytes.NewReader(der), nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	der := chunks(10_000_000)
	bounded(t, "ten million chunks", func() {
		if _, err := p.opener().OpenCMS(t.Context(), io.Discard, bytes.NewReader(der), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestD04Doubling (row D04): work that could grow faster than the input does not.
func TestD04Doubling(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	name := func(rdn []byte, n int) []byte { return forge.Element(casn1.SEQUENCE, bytes.Repeat(rdn, n)) }
	comma := forge.Set(forge.Sequence(forge.OID(oid.CommonName), forge.Element(casn1.UTF8String, []byte(",,,,,,,,,,,,,,,,"))))
	for what, of := range map[string]func(n int) []byte{
		"attributes in falling order": func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				for i := range n * 8 {
					s.Signers[0].Attributes = append([][]byte{forge.Attribute(oid.OID([]byte{0x2a, 3, byte(i)}), forge.Octets(make([]byte, 4000)))}, s.Signers[0].Attributes...)
				}
			}).DER()
		},
		"an object identifier": func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) { s.ContentType = oid.OID(bytes.Repeat([]byte{0x81, 0x01}, n<<16)) }).DER()
		},
		"a name full of commas": func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Signers[0].ID = forge.IssuerAndSerial(name(comma, n*250), p.alice.Certificate().SerialNumber)
			}).DER()
		},
		"a content of nothing but line ends": func(n int) []byte { return m.Forged(strings.Repeat("\r\n", n<<18), nil).DER() },
		"a long serial number": func(n int) []byte {
			return m.Forged(filePart, func(s *forge.Signed) {
				s.Signers[0].ID = forge.Sequence(p.alice.Certificate().RawIssuer, forge.Element(casn1.INTEGER, bytes.Repeat([]byte{0x5a}, n*6000)))
			}).DER()
		},
		"recipients that are others": func(n int) []byte {
			return p.envelope(filePart, func(e *forge.Enveloped) {
				e.Recipients = slices.Repeat([][]byte{catalogue.Transport(p.eve, []byte(fileKey))}, n*1000)
			})
		},
	} {
		linear(t, what, func(size int) func() {
			der := of(size)
			return func() {
				if _, err := p.opener().InspectCMS(t.Context(), bytes.NewReader(der), nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for what, of := range map[string]func(n int) string{
		"header fields": func(n int) string {
			return strings.Repeat("X: y\r\n", n*120) + opaqueMail(m.Forged(filePart, nil).DER())
		},
		"one long field": func(n int) string {
			return "X: " + strings.Repeat("y ", n*60000) + "\r\n" + opaqueMail(m.Forged(filePart, nil).DER())
		},
		"folds":             func(n int) string { return "X: y" + strings.Repeat("\r\n y", n*30000) + "\r\n" + fileFields + "\r\n" },
		"nearly delimiters": func(n int) string { return detachedMail(strings.Repeat("--oute\r\n", n<<16), nil) },
		"hyphens":           func(n int) string { return detachedMail(strings.Repeat("-", n<<20), nil) },
		"parts": func(n int) string {
			return fileFields + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n<<14) + "--b--\r\n"
		},
		"nested multiparts": func(n int) string {
			var b strings.Builder
			b.WriteString(fileFields)
			for i := range n * 500 {
				fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
			}
			return b.String()
		},
		"comments": func(n int) string {
			return "From: " + strings.Repeat("(", n*50000) + "\r\n" + strings.TrimPrefix(fileFields, fileFrom) + "\r\n"
		},
		"encoded words": func(n int) string {
			return "Subject: " + strings.Repeat("=?utf-8?q?a?= ", n*8000) + "\r\n" + fileFrom + "\r\n"
		},
		"parameters": func(n int) string {
			return fileFrom + "Content-Type: text/plain" + strings.Repeat("; a=b", n*20000) + "\r\n\r\n"
		},
		"base64 letters": func(n int) string { return fileFields + fileOpaque + strings.Repeat("\r\n \t", n<<18) },
	} {
		linear(t, what, func(size int) func() {
			mail := of(size)
			return func() {
				if _, err := p.opener().Inspect(t.Context(), strings.NewReader(mail)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestOpenFilesMutated opens the messages of the folder with pieces of each other: half of
// one and half of the next. What is authentic then is still what somebody signed.
func TestOpenFilesMutated(t *testing.T) {
	p := readOpenIdentities(t)
	mails, genuine := openMails(t)
	for i, mail := range mails {
		other := mails[(i*7+1)%len(mails)]
		mixed := append(bytes.Clone(mail[:len(mail)/2]), other[len(other)/2:]...)
		m, err := p.opener().Open(t.Context(), bytes.NewReader(mixed))
		if err != nil {
			continue
		}
		content, _ := io.ReadAll(m.Entity())
		if sum := sha256.Sum256(content); !genuine[hex.EncodeToString(sum[:])] {
			t.Errorf("message %d with the end of %d opens to %.80q", i, (i*7+1)%len(mails), content)
		}
	}
}

// openMails are the messages of the folder in the order of their names, and the digests of
// the contents that somebody really signed.
func openMails(t *testing.T) (mails [][]byte, genuine map[string]bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(openFolder, "*.eml"))
	if err != nil || len(names) < 100 {
		t.Fatal(len(names), err)
	}
	genuine = map[string]bool{}
	for _, name := range names {
		mail, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, mail)
		if c := readExpectation(t, strings.TrimSuffix(name, ".eml")).Content; c != "" {
			genuine[c] = true
		}
	}
	return mails, genuine
}

// TestB04HugeKeys (row B04): whoever signs with a key that is the attack, or is to be
// encrypted for with one, is refused before any arithmetic, as often as a message allows.
func TestB04HugeKeys(t *testing.T) {
	p := readOpenIdentities(t)
	number := func(bits int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return n.SetBit(n, 0, 1).SetBit(n, bits/2, 1)
	}
	bitString := func(b []byte) []byte { return forge.Element(casn1.BIT_STRING, []byte{0}, b) }
	rsaKey := func(bits int, e int64) []byte {
		return forge.Sequence(forge.Algorithm(oid.RSA, forge.Null()), bitString(forge.Sequence(forge.BigInteger(number(bits)), forge.Integer(e))))
	}
	dsaKey := func(p, q int) []byte {
		return forge.Sequence(forge.Algorithm(oid.DSA, forge.Sequence(forge.BigInteger(number(p)), forge.BigInteger(number(q)), forge.Integer(2))), bitString(forge.BigInteger(number(p-1))))
	}
	with := func(spki []byte) *x509.Certificate {
		c := *p.eve.Certificate()
		at := bytes.Index(c.Raw, c.RawSubjectPublicKeyInfo)
		c.Raw = forge.Splice(c.Raw, forge.Node{At: at, Body: at + 4, End: at + len(c.RawSubjectPublicKeyInfo)}, spki)
		c.RawSubjectPublicKeyInfo = spki
		return &c
	}
	for name, spki := range map[string][]byte{
		"RSA of 16384 bits, e = 2^31-1":  rsaKey(16384, 1<<31-1),
		"RSA of 16385 bits":              rsaKey(16385, 65537),
		"RSA of 32768 bits":              rsaKey(32768, 1<<31-1),
		"RSA of 65536 bits":              rsaKey(65536, 1<<31-1),
		"RSA of 262144 bits":             rsaKey(262144, 65537),
		"RSA of 2048 bits, e = 2^62":     rsaKey(2048, 1<<62+1),
		"DSA with p of 4096 bits":        dsaKey(4096, 256),
		"DSA with p of 65536 bits":       dsaKey(65536, 256),
		"DSA with p and q of 65536 bits": dsaKey(65536, 65535),
	} {
		cert := with(spki)
		signer := forge.NewSigner(p.eve.Certificate(), p.eve.Key().(crypto.Signer), []byte(filePart))
		signer.Signature = bytes.Repeat([]byte{0x55}, 2048)
		if strings.HasPrefix(name, "DSA") {
			signer.SignatureAlgorithm, signer.Signature = forge.Algorithm(oid.DSAWithSHA256, nil), forge.Sequence(forge.Integer(5), forge.Integer(6))
		}
		s := forge.NewSigned([]byte(filePart), signer)
		s.Certificates = [][]byte{cert.Raw}
		for range 15 {
			s.Infos = append(s.Infos, signer.DER())
		}
		der := s.DER()
		least := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			r, err := p.opener().InspectCMS(t.Context(), bytes.NewReader(der), nil)
			least = min(least, time.Since(start))
			if err != nil || r.Verdict == smime.Authentic || r.Verdict == smime.Unsigned {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
		}
		most := 50 * time.Millisecond
		if strings.HasPrefix(name, "RSA of 16384 bits") { // the largest that is used at all
			most = time.Second
		}
		if least > slowdown*most {
			t.Errorf("%s: %v for sixteen signatures", name, least)
		}
		var b bytes.Buffer
		start := time.Now()
		_, err := (&smime.Composer{Recipients: []*x509.Certificate{cert}, Time: smimetest.Now}).Compose(&b, strings.NewReader(fileFields+filePart))
		if took := time.Since(start); name != "RSA of 16384 bits, e = 2^31-1" && (err == nil || b.Len() > 0 || took > slowdown*10*time.Second) {
			t.Errorf("%s: encrypted for in %v: %v", name, took, err)
		}
	}
}
