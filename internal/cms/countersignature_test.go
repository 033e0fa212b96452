package cms_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// signedOnce returns a forge whose signature is made.
func signedOnce(t testing.TB) *forge {
	f := newForge(t, content)
	f.signerInfo(t)
	return f
}

// Attack row A15: a countersignature covers the signature value and has no content-type.
func TestCountersignature(t *testing.T) {
	for _, c := range []struct {
		name  string
		over  func(f *forge) []byte
		attrs func(covered []byte) [][]byte
		codes string
	}{
		{"the twin", func(f *forge) []byte { return f.signature },
			func(b []byte) [][]byte { return [][]byte{digestAttr(sigalg.SHA256.Sum(b))} }, ""},
		{"without attributes", func(f *forge) []byte { return f.signature }, nil, ""},
		{"over the content", func(f *forge) []byte { return f.content },
			func(b []byte) [][]byte { return [][]byte{digestAttr(sigalg.SHA256.Sum(b))} }, "digest.mismatch"},
		{"over the content without attributes", func(f *forge) []byte { return f.content }, nil, "sig.invalid"},
		{"with content-type", func(f *forge) []byte { return f.signature },
			func(b []byte) [][]byte {
				return [][]byte{contentTypeAttr(oid.Data), digestAttr(sigalg.SHA256.Sum(b))}
			}, "attr.content_type"},
		{"without message-digest", func(f *forge) []byte { return f.signature },
			func([]byte) [][]byte { return [][]byte{} }, "attr.missing"},
	} {
		f := signedOnce(t)
		covered := c.over(f)
		inner := newForge(t, covered)
		inner.attrs = nil
		if c.attrs != nil {
			inner.attrs = c.attrs(covered)
		}
		f.unsigned = [][]byte{attr(oid.Countersignature, inner.signerInfo(t))}
		si := sd2(t, f.signedData(t)).SignerInfos()[0]
		cs, err := si.Countersignatures()
		if err != nil || len(cs) != 1 || !cs[0].Matches(inner.signer.cert) {
			t.Fatalf("%s: %d countersignatures, %v", c.name, len(cs), err)
		}
		state := "valid"
		if c.codes != "" {
			state = "invalid"
		}
		wantResult(t, c.name, cs[0].Verify(inner.signer.cert, cms.VerifyOptions{}), state, strings.Fields(c.codes)...)
		if more, err := cs[0].Countersignatures(); err != nil || len(more) != 0 {
			t.Errorf("%s: %v, %v", c.name, more, err)
		}
		// It has no say in the signature that it covers.
		wantResult(t, c.name, verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "valid")
	}
	f := signedOnce(t)
	f.unsigned = [][]byte{attr(oid.Countersignature, []byte{5, 0})}
	cs, err := sd2(t, f.signedData(t)).SignerInfos()[0].Countersignatures()
	if err != nil || len(cs) != 1 {
		t.Fatalf("%d countersignatures, %v", len(cs), err)
	}
	wantResult(t, "NULL", cs[0].Verify(f.signer.cert, cms.VerifyOptions{}), "invalid", "cms.malformed")
}

// tstInfo returns a TSTInfo over covered, with whatever follows the time.
func tstInfo(covered []byte, genTime string, more ...[]byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			addOID(b, "\x2a\x03\x04")
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(algorithmDER(oid.SHA256, nil))
				b.AddASN1OctetString(sigalg.SHA256.Sum(covered))
			})
			b.AddASN1Int64(7)
			b.AddASN1(casn1.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte(genTime)) })
			for _, der := range more {
				b.AddBytes(der)
			}
		})
	})
}

func TestTimestamp(t *testing.T) {
	token := func(info []byte, named bool) []byte {
		tsa := newForge(t, info)
		tsa.contentType = oid.TSTInfo
		tsa.attrs[0] = contentTypeAttr(oid.TSTInfo)
		if named {
			hash := build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(sigalg.SHA256.Sum(tsa.signer.cert.Raw)) })
			ess := set(casn1.SEQUENCE, [][]byte{hash})
			tsa.attrs = sorted(append(tsa.attrs, attr(oid.SigningCertificateV2, set(casn1.SEQUENCE, [][]byte{set(casn1.SEQUENCE, [][]byte{ess})}))))
		}
		return tsa.signedData(t)
	}
	f := signedOnce(t)
	for _, c := range []struct {
		name  string
		token []byte
		codes string
	}{
		{"the twin", token(tstInfo(f.signature, "20261121130000.25Z"), true), ""},
		{"over the content", token(tstInfo(content, "20261121130000.25Z"), true), "digest.mismatch"},
		{"certificate not named", token(tstInfo(f.signature, "20261121130000.25Z"), false), "attr.signing_certificate"},
	} {
		f.unsigned = [][]byte{attr(oid.TimeStampToken, c.token)}
		ts, err := sd2(t, f.signedData(t)).SignerInfos()[0].Timestamps()
		if err != nil || len(ts) != 1 {
			t.Fatalf("%s: %d time stamps, %v", c.name, len(ts), err)
		}
		if want := time.Date(2026, 11, 21, 13, 0, 0, 250e6, time.UTC); !ts[0].Time.Equal(want) || ts[0].Serial.Int64() != 7 || ts[0].Policy != "\x2a\x03\x04" {
			t.Errorf("%s: %+v", c.name, ts[0])
		}
		state := "valid"
		if c.codes != "" {
			state = "invalid"
		}
		wantResult(t, c.name, ts[0].Verify(f.signer.cert, cms.VerifyOptions{}), state, strings.Fields(c.codes)...)
	}
	extension := func(critical byte) []byte {
		return []byte{0xa1, 12, 0x30, 10, 6, 3, 0x2a, 3, 4, 1, 1, critical, 4, 0}
	}
	for name, c := range map[string]struct {
		value       []byte
		state, code string
	}{
		"NULL":                    {[]byte{5, 0}, "invalid", "cms.malformed"},
		"other content":           {f.signedData(t), "unsupported", "cms.unsupported"},
		"truncated TSTInfo":       {token(tstInfo(f.signature, "20261121130000Z")[:20], true), "invalid", "cms.malformed"},
		"time in local form":      {token(tstInfo(f.signature, "20261121130000+0100"), true), "invalid", "cms.malformed"},
		"accuracy of a year":      {token(tstInfo(f.signature, "20261121130000Z", []byte{0x30, 6, 2, 4, 1, 0xe1, 0x33, 0x80}), true), "invalid", "cms.malformed"},
		"a second accuracy":       {token(tstInfo(f.signature, "20261121130000Z", []byte{0x30, 0}, []byte{0x30, 0}), true), "invalid", "cms.malformed"},
		"critical extension":      {token(tstInfo(f.signature, "20261121130000Z", extension(0xff)), true), "unsupported", "cms.unsupported"},
		"extension of no concern": {token(tstInfo(f.signature, "20261121130000Z", extension(0)), true), "valid", ""},
		"all that may follow":     {token(tstInfo(f.signature, "20261121130000Z", []byte{0x30, 7, 2, 1, 1, 0x80, 2, 1, 0xf4}, []byte{1, 1, 0xff}, []byte{2, 1, 9}, []byte{0xa0, 2, 0x82, 0}), true), "valid", ""},
	} {
		f.unsigned = [][]byte{attr(oid.TimeStampToken, c.value)}
		ts, err := sd2(t, f.signedData(t)).SignerInfos()[0].Timestamps()
		if err != nil || len(ts) != 1 {
			t.Fatalf("%s: %d time stamps, %v", name, len(ts), err)
		}
		wantResult(t, name, ts[0].Verify(f.signer.cert, cms.VerifyOptions{}), c.state, strings.Fields(c.code)...)
		if want := 1500 * time.Millisecond; name == "all that may follow" && ts[0].Accuracy != want {
			t.Errorf("%s: accuracy %v", name, ts[0].Accuracy)
		}
	}
	f.unsigned = [][]byte{attr(oid.TimeStampToken, slices.Repeat([][]byte{{5, 0}}, 17)...)}
	if ts, err := sd2(t, f.signedData(t)).SignerInfos()[0].Timestamps(); len(ts) != 16 || err == nil {
		t.Errorf("%d time stamps of 17, %v", len(ts), err)
	}
}

// Countersignatures and time stamps of other makers. Those of .NET have a content-type,
// which RFC 5652, Section 11.4, forbids: it is what tells a countersignature from a
// signature over content that happens to be a signature value.
func TestCorpusEvidence(t *testing.T) {
	allow := cms.VerifyOptions{AllowSHA1: true, AllowLegacyKeys: true}
	for _, c := range []struct {
		file                      string
		countersigned, timestamps string
	}{
		{"dotnet/SignedDocuments.CounterSignedRsaPkcs1OneSigner.cms", "invalid", ""},
		{"dotnet/SignedDocuments.OneRsaSignerTwoRsaCounterSigners.cms", "invalid invalid", ""},
		{"dotnet/SignedDocuments.RsaPkcs1CounterSignedWithNoSignature.cms", "unsupported", ""},
		{"dotnet/SignedDocuments.UnsortedSignerInfos.cms", "invalid", ""},
		{"dotnet/SignedDocuments.IndefiniteLengthContentDocument.cms", "", "valid"},
		{"bc-java/pkix/src/test/resources/org/bouncycastle/cms/test/counterSig.p7m", "valid", "valid"},
		{"rfc4134/4.4.bin", "valid", ""},
	} {
		sd, _, err := openSigned(bytes.NewReader(readCorpus(t, c.file)))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		var countersigned, timestamps []string
		for _, si := range sd.SignerInfos() {
			cs, err := si.Countersignatures()
			if err != nil {
				t.Errorf("%s: %v", c.file, err)
			}
			for _, inner := range cs {
				state := "unsupported"
				for _, cert := range corpusCertificates(t, c.file, sd) {
					if inner.Matches(cert) {
						state = inner.Verify(cert, allow).State
					}
				}
				countersigned = append(countersigned, state)
			}
			ts, err := si.Timestamps()
			if err != nil {
				t.Errorf("%s: %v", c.file, err)
			}
			for _, stamp := range ts {
				state := "unsupported"
				for _, der := range stamp.SignedData.Certificates() {
					if cert, err := pkix.ParseCertificate(der); err == nil && stamp.Signer().Matches(cert) {
						state = stamp.Verify(cert, allow).State
					}
				}
				timestamps = append(timestamps, state)
			}
		}
		if a, b := strings.Join(countersigned, " "), strings.Join(timestamps, " "); a != c.countersigned || b != c.timestamps {
			t.Errorf("%s: countersignatures %q, time stamps %q", c.file, a, b)
		}
	}
}
