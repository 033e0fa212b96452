package cms_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// wantResult compares state and codes.
func wantResult(t testing.TB, name string, r *cms.SignatureResult, state string, codes ...string) {
	t.Helper()
	if r.State != state || strings.Join(r.Codes, " ") != strings.Join(codes, " ") {
		t.Errorf("%s: %s %v, want %s %v", name, r.State, r.Codes, state, codes)
	}
}

// Attack rows A02 and A03: what somebody signed as attributes, replayed as content.
func TestAttributeForgery(t *testing.T) {
	victim := newForge(t, content)
	signed := set(casn1.SET, victim.attrs)
	noattrs := func(content []byte) *forge {
		f := newForge(t, content)
		f.attrs = nil
		return f
	}
	long := newForge(t, content)
	long.attrs = append(long.attrs, attr(oid.SigningTime, bytes.Repeat([]byte{4, 1, 0}, 30000)))
	slices.Reverse(long.attrs)
	for _, c := range []struct {
		name    string
		content []byte
		ok      bool
	}{
		{"the twin: plain text", content, true},
		{"signed attributes", signed, false},
		{"one attribute", set(casn1.SET, victim.attrs[:1]), false},
		{"unsorted attributes", set(casn1.SET, [][]byte{victim.attrs[1], victim.attrs[0]}), false},
		{"no attributes", []byte{0x31, 0}, false},
		{"large attributes", set(casn1.SET, long.attrs), false},
		{"attributes with a long length", append([]byte{0x31, 0x82, 0, byte(len(signed) - 2)}, signed[2:]...), false},
		{"one octet more", append(bytes.Clone(signed), 0), true},
		{"one octet less", signed[:len(signed)-1], true},
		{"another tag", append([]byte{0x30}, signed[1:]...), true},
		{"a set of integers", []byte{0x31, 3, 2, 1, 5}, true},
		{"a set of sequences that are no attributes", []byte{0x31, 5, 0x30, 3, 2, 1, 5}, true},
		{"text that begins with 1", []byte("1 0"), true},
		{"empty", []byte{}, true},
	} {
		for _, form := range []string{"opaque", "detached"} {
			f := noattrs(c.content)
			var detached []byte
			if form == "detached" {
				f.covered, f.content, detached = c.content, nil, c.content
			}
			sd, _, err := openSigned(iotest.OneByteReader(bytes.NewReader(f.signedData(t))))
			if err != nil {
				t.Fatal(c.name, err)
			}
			r := verifyAll(t, sd, detached, cms.VerifyOptions{})[0]
			if c.ok {
				wantResult(t, c.name+", "+form, r, "valid")
			} else {
				wantResult(t, c.name+", "+form, r, "invalid", "attr.forgery")
			}
		}
	}
}

// Attack row A21: signed attributes must be there unless the content is id-data.
func TestContentTypeWithoutAttributes(t *testing.T) {
	f := newForge(t, content)
	f.attrs, f.contentType = nil, oid.TSTInfo
	wantResult(t, "TSTInfo without attributes", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "invalid", "attr.missing")
	f = newForge(t, content)
	f.contentType, f.attrs[0] = oid.TSTInfo, contentTypeAttr(oid.TSTInfo)
	wantResult(t, "TSTInfo with attributes", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "valid")
}

// Attack rows A07, A08, A09 and A11: every rule about signed attributes, each broken alone
// and signed by a signer who plays along.
func TestAttributeRules(t *testing.T) {
	digest := sigalg.SHA256.Sum(content)
	ct, md := contentTypeAttr(oid.Data), digestAttr(digest)
	octets := func(b []byte) []byte { return build(func(c *cryptobyte.Builder) { c.AddASN1OctetString(b) }) }
	dataOID := build(func(b *cryptobyte.Builder) { addOID(b, oid.Data) })
	sha256, ecdsa := algorithmDER(oid.SHA256, nil), algorithmDER(oid.ECDSAWithSHA256, nil)
	null := []byte{5, 0}
	protection := func(digest, sig []byte, tag byte) []byte {
		sig = append([]byte{tag}, sig[1:]...)
		return attr(oid.AlgorithmProtection, set(casn1.SEQUENCE, [][]byte{digest, sig}))
	}
	time := attr(oid.SigningTime, []byte("\x17\x0d261121120000Z"))
	for _, c := range []struct {
		name  string
		attrs [][]byte
		codes string
	}{
		{"the twin", [][]byte{ct, md}, ""},
		{"unknown attribute", [][]byte{ct, md, attr("\x2a\x03\x04", null)}, ""},
		{"unknown attribute with two values", [][]byte{ct, md, attr("\x2a\x03\x04", null, null)}, ""},
		{"unknown attribute twice", [][]byte{ct, md, attr("\x2a\x03\x04", null), attr("\x2a\x03\x04", null)}, "attr.duplicate"},
		{"empty set", [][]byte{}, "attr.missing"},
		{"no content-type", [][]byte{md}, "attr.missing"},
		{"no message-digest", [][]byte{ct}, "attr.missing"},
		{"other content-type", [][]byte{contentTypeAttr(oid.TSTInfo), md}, "attr.content_type"},
		{"content-type twice", [][]byte{ct, ct, md}, "attr.duplicate"},
		{"content-type with two values", [][]byte{attr(oid.ContentType, dataOID, dataOID), md}, "attr.duplicate attr.content_type"},
		{"content-type without value", [][]byte{attr(oid.ContentType), md}, "attr.duplicate attr.content_type"},
		{"content-type of another kind", [][]byte{attr(oid.ContentType, null), md}, "attr.content_type"},
		{"message-digest of other content", [][]byte{ct, digestAttr(sigalg.SHA256.Sum(nil))}, "digest.mismatch"},
		{"message-digest twice", [][]byte{ct, md, md}, "attr.duplicate"},
		{"two message-digests", [][]byte{ct, md, digestAttr(bytes.Repeat([]byte{0xff}, 32))}, "attr.duplicate"},
		{"message-digest with two values", [][]byte{ct, attr(oid.MessageDigest, octets(digest), octets(bytes.Repeat([]byte{0xff}, 32)))}, "attr.duplicate attr.message_digest"},
		{"message-digest empty", [][]byte{ct, digestAttr(nil)}, "attr.message_digest"},
		{"message-digest short", [][]byte{ct, digestAttr(digest[:31])}, "attr.message_digest"},
		{"message-digest long", [][]byte{ct, digestAttr(append(digest, 0))}, "attr.message_digest"},
		{"message-digest as a bit string", [][]byte{ct, attr(oid.MessageDigest, append([]byte{3, 33, 0}, digest...))}, "attr.message_digest"},
		{"signing-time", [][]byte{ct, md, time}, ""},
		{"signing-time twice", [][]byte{ct, md, time, time}, "attr.duplicate"},
		{"protection", [][]byte{ct, md, protection(sha256, ecdsa, 0xa1)}, ""},
		{"protection with NULL", [][]byte{ct, md, protection(algorithmDER(oid.SHA256, null), ecdsa, 0xa1)}, ""},
		{"protection of another digest", [][]byte{ct, md, protection(algorithmDER(oid.SHA384, nil), ecdsa, 0xa1)}, "attr.algorithm_protection"},
		{"protection of another signature", [][]byte{ct, md, protection(sha256, algorithmDER(oid.ECDSAWithSHA384, nil), 0xa1)}, "attr.algorithm_protection"},
		{"protection of a MAC", [][]byte{ct, md, protection(sha256, ecdsa, 0xa2)}, "attr.algorithm_protection"},
		{"protection of nothing", [][]byte{ct, md, attr(oid.AlgorithmProtection, set(casn1.SEQUENCE, [][]byte{sha256}))}, "attr.algorithm_protection"},
		{"protection twice", [][]byte{ct, md, protection(sha256, ecdsa, 0xa1), protection(sha256, ecdsa, 0xa1)}, "attr.duplicate"},
	} {
		f := newForge(t, content)
		f.attrs = sorted(c.attrs)
		if f.attrs == nil {
			f.attrs = [][]byte{}
		}
		state := "valid"
		if c.codes != "" {
			state = "invalid"
		}
		wantResult(t, c.name, verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], state, strings.Fields(c.codes)...)
	}
}

// Attack row A09: unsigned copies of signed attributes are nobody's word.
func TestUnsignedAttributes(t *testing.T) {
	f := newForge(t, content)
	f.unsigned = [][]byte{
		attr(oid.SigningTime, []byte("\x17\x0d991231235959Z")), contentTypeAttr(oid.TSTInfo), digestAttr(make([]byte, 32)),
		attr(oid.SMIMECapabilities, []byte{0x30, 0}), attr(oid.AlgorithmProtection, []byte{0x30, 0}),
		attr(oid.EncryptionKeyPreference, []byte{0x82, 1, 1}),
	}
	r := verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0]
	wantResult(t, "unsigned copies", r, "valid")
	if !r.ClaimedTime.IsZero() || r.Capabilities != nil || r.EncryptionCertificate != nil {
		t.Errorf("believed what nobody signed: %+v", r)
	}
}

// The certificate for replies is named in one of three ways (RFC 8551, Section 2.5.3).
func TestEncryptionKeyPreference(t *testing.T) {
	for name, value := range map[string][]byte{
		"receipentKeyId":          {0xa1, 3, 4, 1, 7},
		"subjectAltKeyIdentifier": {0x82, 1, 7},
		"none of them":            {0x83, 1, 7},
	} {
		f := newForge(t, content)
		f.attrs = append(f.attrs, attr(oid.EncryptionKeyPreference, value))
		r := verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0]
		wantResult(t, name, r, "valid", "attr.not_der") // they stand in no order
		if id := r.EncryptionCertificate; (id != nil) != (name != "none of them") || id != nil && string(id.KeyID) != "\x07" {
			t.Errorf("%s: %+v", name, id)
		}
	}
}

// Attack row A10 and interop row Q06: signed attributes that are not DER.
func TestAttributeEncoding(t *testing.T) {
	mdFirst := func(f *forge) [][]byte { return [][]byte{f.attrs[1], f.attrs[0]} }
	for _, c := range []struct {
		name      string
		change    func(*forge)
		state     string
		codes     []string
		reencoded bool
	}{
		{"the twin", func(*forge) {}, "valid", nil, false},
		{"unsorted, signed as sent", func(f *forge) { f.attrs = mdFirst(f) }, "valid", []string{"attr.not_der"}, false},
		{"unsorted, signed as DER", func(f *forge) {
			f.covered = set(casn1.SET, f.attrs)
			f.attrs = mdFirst(f)
		}, "valid", []string{"attr.not_der"}, true},
		{"indefinite, signed as DER", func(f *forge) {
			f.wire = append(append([]byte{0xa0, 0x80}, bytes.Join(f.attrs, nil)...), 0, 0)
		}, "valid", []string{"attr.not_der"}, true},
		{"indefinite, signed as sent", func(f *forge) {
			f.wire = append(append([]byte{0xa0, 0x80}, bytes.Join(f.attrs, nil)...), 0, 0)
			f.covered = append([]byte{0x31}, f.wire[1:]...)
		}, "valid", []string{"attr.not_der"}, false},
		{"sorted, signed unsorted", func(f *forge) { f.covered = set(casn1.SET, mdFirst(f)) }, "invalid", []string{"sig.invalid"}, false},
		{"signed with the tag [0]", func(f *forge) { f.covered = set(context(0), f.attrs) }, "invalid", []string{"sig.invalid"}, false},
	} {
		f := newForge(t, content)
		c.change(f)
		r := verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0]
		wantResult(t, c.name, r, c.state, c.codes...)
		if r.ReencodedAttributes != c.reencoded {
			t.Errorf("%s: reencoded %v", c.name, r.ReencodedAttributes)
		}
	}
	f := newForge(t, content)
	f.wire = append(set(context(0), f.attrs), 5, 0)
	if _, _, err := openSigned(bytes.NewReader(f.signedData(t))); err == nil {
		t.Error("data behind the attributes was overlooked")
	}
}

// Attack row A12: the announced digests are a hint, and unknown ones end nothing.
func TestAnnouncedDigests(t *testing.T) {
	sha256, unknown := algorithmDER(oid.SHA256, nil), algorithmDER("\x2a\x03\x04", nil)
	for _, c := range []struct {
		name      string
		announced [][]byte
		state     string
		code      []string
	}{
		{"the twin", [][]byte{sha256}, "valid", nil},
		{"empty", nil, "valid", nil},
		{"unknown only", [][]byte{unknown}, "valid", nil},
		{"unknown and known", [][]byte{unknown, sha256}, "valid", nil},
		{"another", [][]byte{algorithmDER(oid.SHA512, nil)}, "invalid", []string{"digest.unannounced"}},
		{"the same often", [][]byte{sha256, sha256, sha256}, "valid", nil},
	} {
		f := newForge(t, content)
		f.announced = c.announced
		wantResult(t, c.name, verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], c.state, c.code...)
		f.content = nil
		wantResult(t, c.name+", detached", verify(t, f.signedData(t), content, cms.VerifyOptions{})[0], "valid")
	}
	f := newForge(t, content)
	f.digest = unknown
	r := verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0]
	wantResult(t, "unknown digest of the signer", r, "unsupported", "sig.unsupported")

	f = newForge(t, content)
	f.announced = [][]byte{algorithmDER(oid.SHA512, nil)}
	c, err := cms.Open(bytes.NewReader(f.signedData(t)))
	if err != nil {
		t.Fatal(err)
	}
	sd := c.(*cms.SignedData)
	sd.Compute(sigalg.SHA256)
	if err := sd.Finish(); err != nil {
		t.Fatal(err)
	}
	wantResult(t, "digest computed on request", verifyAll(t, sd, nil, cms.VerifyOptions{})[0], "valid")
}

// Attack rows A11 and B09: the digest must be that of the signature algorithm.
func TestAlgorithmMismatch(t *testing.T) {
	f := newForge(t, content)
	f.algorithm = algorithmDER(oid.ECDSAWithSHA384, nil)
	wantResult(t, "SHA-256 with ecdsa-with-SHA384", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "invalid", "alg.mismatch")

	ed := someone(t, "ed25519")
	f = newForge(t, content)
	f.signer, f.certs, f.algorithm = ed, [][]byte{ed.cert.Raw}, algorithmDER(oid.Ed25519, nil)
	wantResult(t, "Ed25519 with SHA-256", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "invalid", "alg.mismatch")
	f.digest, f.signature = algorithmDER(oid.SHA512, nil), nil
	f.announced = [][]byte{f.digest}
	f.attrs[1] = digestAttr(sigalg.SHA512.Sum(content))
	wantResult(t, "Ed25519 with SHA-512", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "valid")
	f.attrs, f.signature = nil, nil
	wantResult(t, "Ed25519 without attributes", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "valid")
	f.content, f.signature = bytes.Repeat([]byte("x"), 100<<10), nil
	wantResult(t, "Ed25519 without attributes, large", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "unsupported", "limit.exceeded")
	f.content, f.signature = content, nil
	der := f.signedData(t)
	der = bytes.Replace(der, algorithmDER(oid.Ed25519, nil), algorithmDER(oid.Ed448, nil), -1)
	if r := verify(t, der, nil, cms.VerifyOptions{})[0]; r.State == "valid" {
		t.Error("Ed25519 passes for Ed448")
	}
}

// Attack row B06: weak hash functions and keys are named exceptions.
func TestWeak(t *testing.T) {
	small := someone(t, "rsa1024")
	for _, c := range []struct {
		name   string
		digest oid.OID
		opt    cms.VerifyOptions
		codes  string
	}{
		{"RSA 1024", oid.SHA256, cms.VerifyOptions{}, "alg.weak_key"},
		{"RSA 1024 allowed", oid.SHA256, cms.VerifyOptions{AllowLegacyKeys: true}, ""},
		{"SHA-1", oid.SHA1, cms.VerifyOptions{AllowLegacyKeys: true, AllowMD5: true}, "alg.weak_hash"},
		{"SHA-1 allowed", oid.SHA1, cms.VerifyOptions{AllowLegacyKeys: true, AllowSHA1: true}, ""},
		{"MD5", oid.MD5, cms.VerifyOptions{AllowLegacyKeys: true, AllowSHA1: true}, "alg.weak_hash"},
		{"MD5 allowed", oid.MD5, cms.VerifyOptions{AllowLegacyKeys: true, AllowMD5: true}, ""},
	} {
		r := verify(t, legacySigned(t, small, c.digest), nil, c.opt)[0]
		state := "valid"
		if c.codes != "" {
			state = "unsupported"
		}
		wantResult(t, c.name, r, state, strings.Fields(c.codes)...)
	}
}

// Attack row A14: which certificate signed.
func TestSigningCertificate(t *testing.T) {
	alice := someone(t, "p256")
	twin := &person{alice.key, certificate(t, alice.key, "another name for the same key", 99)}
	cert := func(v2 bool, hash []byte, algorithm []byte, issuerSerial []byte) []byte {
		ess := set(casn1.SEQUENCE, [][]byte{algorithm, build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(hash) }), issuerSerial})
		value := set(casn1.SEQUENCE, [][]byte{set(casn1.SEQUENCE, [][]byte{ess})})
		if v2 {
			return attr(oid.SigningCertificateV2, value)
		}
		return attr(oid.SigningCertificate, value)
	}
	issuerSerial := func(c *x509.Certificate, n int64) []byte {
		name := set(context(4), [][]byte{c.RawIssuer})
		return set(casn1.SEQUENCE, [][]byte{set(casn1.SEQUENCE, [][]byte{name}), build(func(b *cryptobyte.Builder) { b.AddASN1BigInt(serial(n)) })})
	}
	sha1, sha256, sha512 := sigalg.SHA1.Sum(alice.cert.Raw), sigalg.SHA256.Sum(alice.cert.Raw), sigalg.SHA512.Sum(alice.cert.Raw)
	number := alice.cert.SerialNumber.Int64()
	for _, c := range []struct {
		name string
		attr []byte
		ok   bool
	}{
		{"v2", cert(true, sha256, nil, nil), true},
		{"v2 with SHA-512", cert(true, sha512, algorithmDER(oid.SHA512, nil), nil), true},
		{"v2 with issuer and serial", cert(true, sha256, nil, issuerSerial(alice.cert, number)), true},
		{"v1", cert(false, sha1, nil, nil), true},
		{"v2 of another", cert(true, sigalg.SHA256.Sum(twin.cert.Raw), nil, nil), false},
		{"v2 with another serial", cert(true, sha256, nil, issuerSerial(alice.cert, number+1)), false},
		{"v2 with another issuer", cert(true, sha256, nil, issuerSerial(twin.cert, number)), false},
		{"v2 with MD5", cert(true, sigalg.MD5.Sum(alice.cert.Raw), algorithmDER(oid.MD5, nil), nil), false},
		{"v2 with an unknown hash", cert(true, sha256, algorithmDER("\x2a\x03\x04", nil), nil), false},
		{"v1 of another", cert(false, make([]byte, 20), nil, nil), false},
		{"v2 empty", attr(oid.SigningCertificateV2, []byte{0x30, 2, 0x30, 0}), false},
		{"v2 nonsense", attr(oid.SigningCertificateV2, []byte{5, 0}), false},
	} {
		f := newForge(t, content)
		f.attrs = sorted(append(f.attrs, c.attr))
		r := verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0]
		if c.ok {
			wantResult(t, c.name, r, "valid")
		} else {
			wantResult(t, c.name, r, "invalid", "attr.signing_certificate")
		}
	}
	// What we write names the certificate: another one of the same key does not do.
	sd := sd2(t, signOpaque(t, content, alice.signer()))
	si := sd.SignerInfos()[0]
	wantResult(t, "our own", si.Verify(alice.cert, oid.Data, sd.Digests(), cms.VerifyOptions{}), "valid")
	wantInvalid(t, "the key under another name", si.Verify(twin.cert, oid.Data, sd.Digests(), cms.VerifyOptions{}), "attr.signing_certificate")
	if si.Matches(twin.cert) {
		t.Error("another certificate of the key matches the signer identifier")
	}
}

// Interop rows Q08 to Q10: how a signer is named.
func TestMatches(t *testing.T) {
	alice, bob := someone(t, "p256"), someone(t, "p384")
	sd := func(keyID bool) *cms.SignerInfo {
		s := alice.signer()
		s.KeyID = keyID
		return sd2(t, signOpaque(t, content, s)).SignerInfos()[0]
	}
	for _, keyID := range []bool{false, true} {
		si := sd(keyID)
		if !si.Matches(alice.cert) || si.Matches(bob.cert) {
			t.Errorf("key id %v: matches the wrong certificate", keyID)
		}
		if id := si.SignerID(); keyID != (id.KeyID != nil) || keyID == (id.Serial != nil) || id.String() == "" {
			t.Errorf("key id %v: %v", keyID, id)
		}
	}
	// The issuer with another string type, and in capitals (RFC 5280, Section 7.1).
	f := newForge(t, content)
	name := bytes.Replace(f.signer.cert.RawIssuer, []byte("\x0c\x04p256"), []byte("\x13\x04P256"), 1)
	f.sid = set(casn1.SEQUENCE, [][]byte{name, build(func(b *cryptobyte.Builder) { b.AddASN1BigInt(f.signer.cert.SerialNumber) })})
	if si := sd2(t, f.signedData(t)).SignerInfos()[0]; !si.Matches(alice.cert) || si.Matches(bob.cert) {
		t.Error("the issuer is not compared as RFC 5280 says")
	}
	// A key identifier without octets matches nobody.
	f.sid = []byte{0x80, 0}
	if _, _, err := openSigned(bytes.NewReader(f.signedData(t))); err == nil {
		t.Error("an empty key identifier was taken")
	}
}

// No certificate is no verdict, unless the content is already wrong.
func TestNoCertificate(t *testing.T) {
	f := newForge(t, content)
	f.certs = nil
	wantResult(t, "no certificate", verify(t, f.signedData(t), nil, cms.VerifyOptions{})[0], "unsupported", "signer.no_certificate")
	f.content = nil
	wantResult(t, "no certificate, altered", verify(t, f.signedData(t), []byte("x"), cms.VerifyOptions{})[0], "invalid", "digest.mismatch", "signer.no_certificate")
	si := sd2(t, f.signedData(t)).SignerInfos()[0]
	wantResult(t, "no content", si.Verify(f.signer.cert, oid.Data, nil, cms.VerifyOptions{}), "invalid", "cms.no_content")
}

// Attributes we sign are DER and in order, whatever the signer.
func TestOwnAttributes(t *testing.T) {
	sd := sd2(t, signOpaque(t, content, someone(t, "rsa").signer()))
	r := verifyAll(t, sd, nil, cms.VerifyOptions{})[0]
	if fmt.Sprint(r.Codes) != "[]" {
		t.Error(r.Codes)
	}
	if r.Capabilities[0] != 0x30 {
		t.Errorf("capabilities %x", r.Capabilities)
	}
	if der, err := ber.ToDER(r.Capabilities, 1000); err != nil || !bytes.Equal(der, r.Capabilities) {
		t.Errorf("capabilities %x, %v", r.Capabilities, err)
	}
}
