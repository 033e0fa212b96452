package cms_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// announces returns the capabilities with the given identifiers, without parameters.
func announces(ids ...oid.OID) cms.Capabilities {
	var out cms.Capabilities
	for _, o := range ids {
		out = append(out, cms.AlgorithmIdentifier{OID: o})
	}
	return out
}

func TestCapabilities(t *testing.T) {
	own := cms.OwnCapabilities()
	back, err := cms.ParseCapabilities(own.DER())
	if err != nil || len(back) != len(own) || !bytes.Equal(back.DER(), own.DER()) {
		t.Error(err)
	}
	for _, o := range []oid.OID{oid.AES256GCM, oid.AES128CBC, oid.RSAOAEP} {
		if !back.Has(o) {
			t.Error(o, "is not announced")
		}
	}
	for _, o := range []oid.OID{oid.TripleDESCBC, oid.RC2CBC, oid.DESCBC, oid.SHA1} {
		if back.Has(o) {
			t.Error(o, "is announced")
		}
	}
	// As OpenSSL sends it: AES, 3DES, RC2 with a length, DES.
	der, _ := hex.DecodeString("306a300b060960864801650304012a300b0609608648016503040116300b0609608648016503040102300a06082a864886f70d0307300e06082a864886f70d030202020080300d06082a864886f70d0302020140300706052b0e030207300d06082a864886f70d0302020128")
	if c, err := cms.ParseCapabilities(der); err != nil || len(c) != 8 || !c.Has(oid.RC2CBC) || !bytes.Equal(c.DER(), der) {
		t.Error(err)
	}
	for name, b := range map[string][]byte{"nothing": nil, "a set": {0x31, 0}, "more": append(own.DER(), 0), "numbers": {0x30, 3, 2, 1, 1}} {
		var syntax *cms.SyntaxError
		if _, err := cms.ParseCapabilities(b); !errors.As(err, &syntax) {
			t.Error(name, err)
		}
	}
	var many cms.Capabilities
	for range limits.Attributes + 1 {
		many = append(many, own[0])
	}
	var limit *limits.Exceeded
	if _, err := cms.ParseCapabilities(many.DER()); !errors.As(err, &limit) {
		t.Error(err)
	}
}

func TestChooseCipher(t *testing.T) {
	rsa, p256 := holders()["rsa"].cert, holders()["p256"].cert
	gcm := announces(oid.AES256GCM, oid.AES128GCM, oid.AES256CBC, oid.AES128CBC)
	for name, v := range map[string]struct {
		known  [2]cms.Capabilities
		wish   string
		cipher string
		says   string
	}{
		"nothing known":       {[2]cms.Capabilities{}, "", "aes256-cbc", "not known"},
		"all read GCM":        {[2]cms.Capabilities{gcm, gcm}, "", "aes256-gcm", "every recipient"},
		"one unknown":         {[2]cms.Capabilities{gcm, nil}, "auto", "aes256-cbc", "not known"},
		"one reads 128 only":  {[2]cms.Capabilities{gcm, announces(oid.AES128GCM)}, "", "aes128-gcm", "every recipient"},
		"ChaCha20 only":       {[2]cms.Capabilities{announces(oid.ChaCha20Poly1305), announces(oid.ChaCha20Poly1305)}, "", "chacha20-poly1305", ""},
		"CBC, 128 and 256":    {[2]cms.Capabilities{announces(oid.AES256CBC, oid.AES128CBC), announces(oid.AES128CBC)}, "", "aes128-cbc", "less than AES-256"},
		"CBC, 192":            {[2]cms.Capabilities{announces(oid.AES192CBC), nil}, "", "aes192-cbc", ""},
		"3DES is no choice":   {[2]cms.Capabilities{announces(oid.TripleDESCBC, oid.RC2CBC), nil}, "", "aes128-cbc", "nothing weaker"},
		"GCM-256 and unknown": {[2]cms.Capabilities{announces(oid.AES256GCM), nil}, "", "aes256-cbc", "not known"},
		"CBC-256 and CBC-128": {[2]cms.Capabilities{announces(oid.AES256CBC), announces(oid.AES128CBC)}, "", "aes128-cbc", "less than AES-256"},
		"no cipher announced": {[2]cms.Capabilities{announces(oid.RSAOAEP), nil}, "", "aes256-cbc", "not known"},
		"ChaCha20 or AES":     {[2]cms.Capabilities{announces(oid.ChaCha20Poly1305), announces(oid.AES256GCM)}, "", "aes128-cbc", "announces no AES"},
		"192 and 256 in GCM":  {[2]cms.Capabilities{announces(oid.AES192GCM, oid.AES128GCM), announces(oid.AES256GCM, oid.AES192GCM, oid.AES128GCM)}, "", "aes192-gcm", "every recipient"},
		"asked for":           {[2]cms.Capabilities{}, "aes128-gcm", "aes128-gcm", "although"},
		"asked for and known": {[2]cms.Capabilities{gcm, gcm}, "aes128-gcm", "aes128-gcm", "as asked"},
	} {
		c, err := cms.Choose([]*x509.Certificate{rsa, p256}, cms.Wishes{Cipher: v.wish, Capabilities: func(cert *x509.Certificate) cms.Capabilities {
			if cert == rsa {
				return v.known[0]
			}
			return v.known[1]
		}})
		if err != nil || c.Cipher != v.cipher || !strings.Contains(c.Reasons[0], v.says) {
			t.Errorf("%s: %v, %+v", name, err, c)
			continue
		}
		if c.Derive || len(c.Recipients) != 2 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, w := range []cms.Wishes{{Cipher: "3des-cbc"}, {Cipher: "AES"}, {KeyTransport: "raw"}} {
		if _, err := cms.Choose([]*x509.Certificate{rsa}, w); err == nil {
			t.Errorf("%+v accepted", w)
		}
	}
	if _, err := cms.Choose(nil, cms.Wishes{}); err == nil {
		t.Error("nobody accepted")
	}
	for name, v := range map[string]struct {
		to     []*x509.Certificate
		wishes cms.Wishes
		cipher string // empty: refused
	}{
		"a password":               {nil, cms.Wishes{Passphrase: []byte("p")}, "aes256-gcm"},
		"a short secret":           {nil, cms.Wishes{Secret: make([]byte, 16)}, "aes128-gcm"},
		"a secret and a password":  {nil, cms.Wishes{Secret: make([]byte, 32), Passphrase: []byte("p")}, "aes256-gcm"},
		"beside a certificate":     {[]*x509.Certificate{rsa}, cms.Wishes{Secret: make([]byte, 32)}, "aes256-cbc"},
		"weaker than the cipher":   {[]*x509.Certificate{rsa}, cms.Wishes{Secret: make([]byte, 16)}, ""},
		"as weak as asked":         {[]*x509.Certificate{rsa}, cms.Wishes{Secret: make([]byte, 16), Cipher: "aes128-cbc"}, "aes128-cbc"},
		"a secret of odd length":   {nil, cms.Wishes{Secret: make([]byte, 40)}, ""},
		"an empty password":        {nil, cms.Wishes{Passphrase: []byte{}}, ""},
		"a weak cipher for secret": {nil, cms.Wishes{Secret: make([]byte, 24), Cipher: "3des-cbc"}, ""},
	} {
		c, err := cms.Choose(v.to, v.wishes)
		if (err == nil) != (v.cipher != "") || err == nil && (c.Cipher != v.cipher || c.Derive) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestChooseKeyTransport(t *testing.T) {
	oaep := cms.OwnCapabilities()
	// The octets RFC 3560, Section 5 gives for SHA-256.
	old, _ := hex.DecodeString("303a303806092a864886f70d010107302b300d06096086480165030402010500301a06092a864886f70d010108300d06096086480165030402010500")
	asPrescribed, err := cms.ParseCapabilities(old)
	if err != nil {
		t.Fatal(err)
	}
	defaults := cms.Capabilities{{OID: oid.RSAOAEP, Parameters: []byte{0x30, 0}}} // SHA-1
	for name, v := range map[string]struct {
		key   string
		known cms.Capabilities
		wish  string
		want  string // what the reader sees
	}{
		"unknown":       {"rsa", nil, "", "rsa-pkcs1"},
		"announced":     {"rsa", oaep, "", "rsa-oaep-sha256"},
		"as prescribed": {"rsa", asPrescribed, "auto", "rsa-oaep-sha256"},
		"SHA-1 only":    {"rsa", defaults, "", "rsa-pkcs1"},
		"asked for":     {"rsa", nil, "oaep", "rsa-oaep-sha256"},
		"v1.5 asked":    {"rsa", oaep, "pkcs1", "rsa-pkcs1"},
		"OAEP key":      {"rsa-oaep-only", nil, "pkcs1", "rsa-oaep-sha256"},
		"curve":         {"p256", oaep, "oaep", "ecdh-sha256-aes256-wrap"},
	} {
		h := holders()[v.key]
		c, err := cms.Choose([]*x509.Certificate{h.cert}, cms.Wishes{Cipher: "aes256-cbc", KeyTransport: v.wish, KeyID: true,
			Capabilities: func(*x509.Certificate) cms.Capabilities { return v.known }})
		if err != nil {
			t.Error(name, err)
			continue
		}
		var out bytes.Buffer
		w, err := cms.NewEnvelopedWriter(&out, c.Recipients, c.Options())
		if err != nil {
			t.Fatal(name, err)
		}
		io.WriteString(w, "text")
		if err := w.Close(); err != nil {
			t.Fatal(name, err)
		}
		o, err := unseal(&out, h.cert, "", h.key, cms.DecryptOptions{})
		if err != nil || o.used.Algorithm != v.want || o.used.ID[:3] != "key" {
			t.Errorf("%s: %v, %+v", name, err, o.used)
		}
		if o.data.Derived() != (v.known.Has(oid.CEKHKDFSHA256)) {
			t.Errorf("%s: key derived: %v", name, o.data.Derived())
		}
	}
}

// A wish that means nothing is told, whether or not it matters for these recipients.
func TestChooseUnknownKeyTransport(t *testing.T) {
	for _, key := range []string{"rsa", "rsa-oaep-only", "p256"} {
		for wish, ok := range map[string]bool{"oeap": false, "OAEP": false, "oaep": true} {
			if _, err := cms.Choose([]*x509.Certificate{holders()[key].cert}, cms.Wishes{KeyTransport: wish}); (err == nil) != ok {
				t.Errorf("%s for %s: %v", wish, key, err)
			}
		}
	}
}

// A certificate can state the capabilities itself (RFC 4262).
func TestCapabilitiesInCertificate(t *testing.T) {
	cert := *holders()["p256"].cert
	cert.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}, Value: cms.OwnCapabilities().DER()}}
	c, err := cms.Choose([]*x509.Certificate{&cert}, cms.Wishes{})
	if err != nil || c.Cipher != "aes256-gcm" || !c.Derive {
		t.Errorf("%v, %+v", err, c)
	}
	cert.Extensions[0].Value = []byte{0x30}
	if c := cms.CertificateCapabilities(&cert); c != nil {
		t.Error(c)
	}
}

func FuzzParseCapabilities(f *testing.F) {
	f.Add(cms.OwnCapabilities().DER())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := cms.ParseCapabilities(b)
		var syntax *cms.SyntaxError
		var limit *limits.Exceeded
		if err != nil {
			if !errors.As(err, &syntax) && !errors.As(err, &limit) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(c.DER(), b) {
			t.Errorf("%x became %x", b, c.DER())
		}
	})
}
