package cms_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

func compress(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := cms.NewCompressedWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read opens a structure and returns its content, once it is complete.
func read(r io.Reader) (cms.Content, []byte, error) {
	c, err := cms.Open(r)
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return c, nil, err
	}
	return c, b, c.Finish()
}

func TestCompressed(t *testing.T) {
	for _, in := range [][]byte{nil, []byte("x"), content, bytes.Repeat(content, 10000), bytes.Repeat([]byte{0}, 1<<20)} {
		der := compress(t, in)
		for _, r := range []io.Reader{bytes.NewReader(der), iotest.OneByteReader(bytes.NewReader(der)), iotest.DataErrReader(bytes.NewReader(der))} {
			c, got, err := read(r)
			if err != nil || !bytes.Equal(got, in) {
				t.Fatalf("%d octets: %d, %v", len(in), len(got), err)
			}
			if c.Type() != oid.CompressedData || c.(*cms.CompressedData).EContentType() != oid.Data {
				t.Error("wrong types")
			}
		}
		c, err := cms.Open(bytes.NewReader(der))
		if err != nil || c.Finish() != nil {
			t.Error("Finish without reading:", err)
		}
	}
}

// compressedData returns CompressedData around any octets.
func compressedData(algorithm, octets []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oid.CompressedData)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					b.AddBytes(algorithm)
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addOID(b, oid.Data)
						if octets != nil {
							b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(octets) })
						}
					})
				})
			})
		})
	})
}

func deflate(content []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

// Attack row C17.
func TestCompressedBad(t *testing.T) {
	alg := algorithmDER(oid.ZLIB, nil)
	good := deflate(content)
	adler := bytes.Clone(good)
	adler[len(adler)-1] ^= 1
	var dictionary bytes.Buffer
	w, err := zlib.NewWriterLevelDict(&dictionary, zlib.DefaultCompression, []byte("Dear Bob"))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	w.Close()
	type kind int
	const (
		fine kind = iota
		syntax
		unsupported
		limit
	)
	for _, c := range []struct {
		name string
		der  []byte
		want kind
	}{
		{"the twin", compressedData(alg, good), fine},
		{"parameters NULL", compressedData(algorithmDER(oid.ZLIB, []byte{5, 0}), good), fine},
		{"unknown algorithm", compressedData(algorithmDER("\x2a\x03\x04", nil), good), unsupported},
		{"other parameters", compressedData(algorithmDER(oid.ZLIB, []byte{2, 1, 1}), good), unsupported},
		{"no content", compressedData(alg, nil), syntax},
		{"empty", compressedData(alg, []byte{}), syntax},
		{"truncated", compressedData(alg, good[:len(good)-5]), syntax},
		{"wrong checksum", compressedData(alg, adler), syntax},
		{"data behind", compressedData(alg, append(bytes.Clone(good), 0)), syntax},
		{"second stream", compressedData(alg, append(bytes.Clone(good), good...)), syntax},
		{"dictionary", compressedData(alg, dictionary.Bytes()), syntax},
		{"no zlib", compressedData(alg, content), syntax},
		{"ratio", compressedData(alg, deflate(make([]byte, 4<<20))), limit},
		{"size", compressedData(alg, deflate(bytes.Repeat(incompressible(), limits.DecompressedSize/4096+1))), limit},
	} {
		_, got, err := read(bytes.NewReader(c.der))
		var ok bool
		switch c.want {
		case fine:
			ok = err == nil && bytes.Equal(got, content)
		case syntax:
			_, ok = errors.AsType[*cms.SyntaxError](err)
		case unsupported:
			_, ok = errors.AsType[*cms.UnsupportedError](err)
		case limit:
			_, ok = errors.AsType[*limits.Exceeded](err)
		}
		if !ok {
			t.Errorf("%s: %d octets, %v", c.name, len(got), err)
		}
	}
	der := compress(t, content)
	for n := range len(der) {
		if _, _, err := read(bytes.NewReader(der[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d octets: %v", n, err)
		}
	}
}

// incompressible returns 4 KiB that compress by less than the ratio allowed when repeated.
func incompressible() []byte {
	var b []byte
	for i := byte(0); len(b) < 4096; i++ {
		b = append(b, sigalg.SHA512.Sum([]byte{i})...)
	}
	return b
}

func TestDigested(t *testing.T) {
	digested := func(algorithm, digest []byte) []byte {
		return build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addOID(b, oid.DigestedData)
				b.AddASN1(context(0), func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(0)
						b.AddBytes(algorithm)
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							addOID(b, oid.Data)
							b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
						})
						b.AddASN1OctetString(digest)
					})
				})
			})
		})
	}
	sum := sigalg.SHA256.Sum(content)
	c, got, err := read(bytes.NewReader(digested(algorithmDER(oid.SHA256, nil), sum)))
	if err != nil || !bytes.Equal(got, content) || c.(*cms.DigestedData).Hash() != sigalg.SHA256 {
		t.Errorf("%q, %v", got, err)
	}
	for name, digest := range map[string][]byte{"other": make([]byte, 32), "short": sum[:31], "long": append(bytes.Clone(sum), 0), "empty": nil} {
		if _, _, err := read(bytes.NewReader(digested(algorithmDER(oid.SHA256, nil), digest))); err != cms.ErrDigest {
			t.Errorf("%s digest: %v", name, err)
		}
	}
	_, _, err = read(bytes.NewReader(digested(algorithmDER("\x2a\x03\x04", nil), sum)))
	if _, ok := errors.AsType[*cms.UnsupportedError](err); !ok {
		t.Errorf("unknown digest: %v", err)
	}
}

// Samples of other makers, in definite and indefinite lengths.
func TestCorpusContents(t *testing.T) {
	const tika = "tika/tika-parsers/tika-parsers-standard/tika-parsers-standard-modules/tika-parser-crypto-module/src/test/resources/test-documents/"
	for file, size := range map[string]int{
		tika + "testPKCS7_compressed_def_long.p7z":          440,
		tika + "testPKCS7_compressed_def_short.p7z":         136,
		tika + "testPKCS7_compressed_ind.p7z":               136,
		tika + "testPKCS7_digested.p7":                      13,
		"rustcrypto/cms/tests/examples/compressed_data.bin": 446,
		"rustcrypto/cms/tests/examples/digested_data.bin":   446,
		"rfc4134/6.0.bin":                                   28,
		"rfc4134/3.1.bin":                                   28,
		"rfc4134/3.2.bin":                                   28,
	} {
		if _, got, err := read(bytes.NewReader(readCorpus(t, file))); err != nil || len(got) != size {
			t.Errorf("%s: %d octets, %v", file, len(got), err)
		}
	}
}
