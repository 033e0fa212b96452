package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	samples "github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/kem"
	"github.com/postseal/postseal/internal/keyfile"
	pkixcert "github.com/postseal/postseal/internal/pkix"
)

// message extracts the CMS structure of a corpus file: DER or BER as it is, PEM, or the
// base64 body of a mail.
func message(t *testing.T, b []byte) []byte {
	t.Helper()
	if len(b) > 0 && b[0] == 0x30 {
		return b
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	if _, rest, ok := strings.Cut(text, "-----BEGIN "); ok {
		_, rest, _ = strings.Cut(rest, "\n")
		text, _, _ = strings.Cut(rest, "-----END ")
	} else if _, body, ok := strings.Cut(text, "\n\n"); ok {
		text = body
	}
	text = strings.Join(strings.Fields(text), "")
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readCertificate(t *testing.T, b []byte) *x509.Certificate {
	t.Helper()
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	cert, err := pkixcert.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// privateKey reads the first private key of a file.
func privateKey(t *testing.T, b []byte) crypto.PrivateKey {
	t.Helper()
	for rest := b; ; {
		block, r := pem.Decode(rest)
		if block == nil {
			break
		}
		rest, b = r, block.Bytes
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			break
		}
	}
	if k, err := x509.ParsePKCS8PrivateKey(b); err == nil {
		return k
	}
	if k, err := x509.ParsePKCS1PrivateKey(b); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(b); err == nil {
		return k
	}
	k, err := kem.ParsePKCS8(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open decrypts with the identities that match.
func openWith(b []byte, ids []holder) (content []byte, algorithm string, err error) {
	err = errNoRecipient
	for _, id := range ids {
		o, e := unseal(bytes.NewReader(b), id.cert, "", id.key, cms.DecryptOptions{AllowLegacyCiphers: true})
		if e == errNoRecipient {
			continue
		}
		if o.used != nil {
			algorithm = o.used.Algorithm
		}
		return o.content, algorithm, e
	}
	return nil, "", err
}

const bcCMS = "bc-java/pkix/src/test/resources/org/bouncycastle/cms/test/"
const bcMail = "bc-java/mail/src/test/resources/org/bouncycastle/mail/smime/test/"

// Key agreement as Bouncy Castle's authors collected it from other implementations.
func TestCorpusAgreement(t *testing.T) {
	read := func(name string) []byte { return samples.Read(t, strings.Split(bcCMS+"ecdh/"+name, "/")...) }
	id := holder{readCertificate(t, read("ecc.crt")), privateKey(t, read("ecc.key"))}
	want := bytes.ReplaceAll(read("sess.txt"), []byte("\n"), []byte("\r\n"))
	files, err := filepath.Glob(filepath.Join(samples.Path(t, strings.Split(bcCMS+"ecdh", "/")...), "encSess*.asc"))
	if err != nil || len(files) != 16 {
		t.Fatal(len(files), "files", err)
	}
	for _, f := range files {
		content, algorithm, err := openWith(message(t, read(filepath.Base(f))), []holder{id})
		if err != nil || !bytes.Equal(content, want) {
			t.Errorf("%s, %s: %v", filepath.Base(f), algorithm, err)
		}
	}
}

func pfx(t *testing.T, password string, elem ...string) holder {
	t.Helper()
	f, err := keyfile.Read(samples.Read(t, elem...), password)
	if err != nil || len(f.Keys) != 1 || len(f.Certificates) == 0 {
		t.Fatal(elem, err)
	}
	return holder{f.Certificates[0], f.Keys[0]}
}

// Messages made by Windows, as .NET's tests hold them. Every file that is an EnvelopedData
// is opened, or fails for the reason given here.
func TestCorpusDotnet(t *testing.T) {
	var ids []holder
	for _, name := range []string{"RSAKeyTransfer1Pfx", "RSAKeyTransfer2Pfx", "RSAKeyTransfer3Pfx", "RSAKeyTransferCapi1Pfx",
		"RSAKeyTransferPfx_ExplicitSki", "RSASha256KeyTransfer1Pfx", "RSASha384KeyTransfer1Pfx", "RSASha512KeyTransfer1Pfx"} {
		ids = append(ids, pfx(t, "1111", "dotnet", "Certificates.s_"+name+".pfx"))
	}
	const (
		noText      = "the structure holds no encrypted content"
		nobody      = "no recipient matches"
		unsupported = "unsupported content cipher 1.2.840.113549.3.4" // RC4
		agreement   = "unsupported key agreement 1.2.840.113549.1.9.16.3.5"
	)
	want := map[string]string{
		"ContentEncryptionAlgorithmTests.encodedMessage_4":        unsupported,
		"ContentEncryptionAlgorithmTests.encodedMessage_5":        unsupported,
		"DecryptTests.message_1":                                  noText,
		"DecryptTests.message_2":                                  noText,
		"EdgeCasesTests.content":                                  noText,
		"EdgeCasesTests.encodedMessage_2":                         cms.ErrDecrypt.Error(), // no ciphertext at all
		"StateTests.encoded":                                      noText,
		"GeneralTests.encrypted":                                  nobody,
		"KeyAgreeRecipientInfoTests.encodedMessage":               agreement,
		"KeyAgreeRecipientInfoTests.encryptedCms":                 agreement,
		"KeyAgreeRecipientInfoTests.s_KeyAgreeEncodedMessage":     agreement,
		"KeyAgreeRecipientInfoTests.s_KeyAgreeEncodedMessage_Ski": agreement,
	}
	files, err := filepath.Glob(filepath.Join(samples.Path(t, "dotnet"), "*.cms"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	opened := 0
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".cms")
		b := samples.Read(t, "dotnet", filepath.Base(f))
		c, err := cms.Open(bytes.NewReader(b))
		if _, ok := c.(*cms.EnvelopedData); err != nil || !ok {
			continue
		}
		content, _, err := openWith(b, ids)
		if w := want[name]; w != "" {
			if w == agreement { // the recipient itself says so
				err = c.(*cms.EnvelopedData).Recipients()[0].Err()
			}
			if err == nil || err.Error() != w {
				t.Errorf("%s: %v, want %s", name, err, w)
			}
			delete(want, name)
			continue
		}
		if err != nil || len(content) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		opened++
	}
	if len(want) != 0 || opened < 40 {
		t.Error(opened, "opened; not seen:", want)
	}
}

// Messages of other senders.
func TestCorpusMessages(t *testing.T) {
	const tika = "tika/tika-parsers/tika-parsers-standard/tika-parsers-standard-modules/tika-parser-crypto-module/src/test/resources/test-documents/"
	const kyber = "pqc/cms-kyber/example/"
	read := func(name string) []byte { return samples.Read(t, strings.Split(name, "/")...) }
	pair := func(cert, key string) func() holder {
		return func() holder { return holder{readCertificate(t, read(cert)), privateKey(t, read(key))} }
	}
	bob := pair("rfc4134/BobRSASignByCarl.cer", "rfc4134/BobPrivRSAEncrypt.pri")
	bc := pair(bcMail+"cert.pem", bcMail+"key.pem")
	pyca := pair("pyca/x509/custom/ca/rsa_ca.pem", "pyca/x509/custom/ca/rsa_key.pem")
	nextcloud := pair("nextcloud/tests/data/smime-certs/user@imap.localhost.crt", "nextcloud/tests/data/smime-certs/user@imap.localhost.key")
	kem512 := pair(kyber+"ML-KEM-512.pem", kyber+"ML-KEM-512-both.priv")
	secret := func(b []byte) func() holder { return func() holder { return holder{nil, cms.Secret(b)} } }
	password := func() holder { return holder{nil, cms.Passphrase("abc")} }
	for _, v := range []struct {
		file, kind string
		id         func() holder
		cipher     string
		starts     string // of the content
		err        string
	}{
		{"rfc4134/5.1.bin", "", bob, "3des-cbc", "This is some sample content.", ""},
		{"rfc4134/5.2.bin", "", bob, "rc2-cbc", "This is some sample content.", ""},
		{"rfc4134/5.2.bin", "kekri", secret([]byte("\xb7\x0a\x25\xfb\xc9\xd8\x6a\x86\x05\x0c\xe0\xd7\x11\xea\xd4\xd9")), "rc2-cbc", "This is some sample content.", ""},
		{"rfc4134/5.3.eml", "", bob, "3des-cbc", "This is some sample content.", ""},
		{bcMail + "test192.message", "", bc, "aes192-cbc", "MIME-Version: 1.0", ""},
		// The content key has not the length of the cipher that is named.
		{bcMail + "test128.message", "", bc, "aes128-cbc", "", "decrypt"},
		{bcMail + "test256.message", "", bc, "aes256-cbc", "", "decrypt"},
		{bcMail + "dotnet_encrypted_mail.eml", "", pair(bcMail+"dotnet_enc_cert.pem", bcMail+"key.pem"), "3des-cbc", "", "decrypt"},
		{"pyca/pkcs7/enveloped.pem", "", nil, "3des-cbc", "", ""},
		{"pyca/pkcs7/enveloped-rsa-oaep.pem", "", pyca, "aes128-cbc", "", ""},
		{"pyca/pkcs7/enveloped-triple-des.pem", "", pyca, "3des-cbc", "", ""},
		{"pyca/pkcs7/enveloped-no-content.der", "", pyca, "aes128-cbc", "", "the structure holds no encrypted content"},
		{"gnupg-cms/samplemsgs/pwri-sample.cbc.p7m", "pwri", password, "aes256-cbc", "", ""},
		{"gnupg-cms/samplemsgs/pwri-sample.cbc-2.p7m", "pwri", password, "aes192-cbc", "", ""},
		{"nextcloud/tests/data/encrypted-message.txt", "", nextcloud, "aes128-cbc", "Content-Type: ", ""},
		{"nextcloud/tests/data/encrypted-signed-opaque-message.txt", "", nextcloud, "3des-cbc", "MIME-Version: ", ""},
		{kyber + "ML-KEM-512.cms", "", kem512, "aes128-gcm", "Hello, world!", ""},
		{tika + "testPKCS7_enveloped_def.p7m", "", nil, "3des-cbc", "", ""},
		{tika + "testPKCS7_enveloped_ind.p7m", "", nil, "3des-cbc", "", ""},
	} {
		b := message(t, read(v.file))
		if v.id == nil { // nobody has the key: the structure alone is read
			c, err := cms.Open(bytes.NewReader(b))
			if err == nil {
				err = c.Finish()
			}
			if err != nil || c.(*cms.EnvelopedData).Cipher() != v.cipher || len(c.(*cms.EnvelopedData).Recipients()) == 0 {
				t.Errorf("%s: %v", v.file, err)
			}
			continue
		}
		id := v.id()
		o, err := unseal(bytes.NewReader(b), id.cert, v.kind, id.key, cms.DecryptOptions{AllowLegacyCiphers: true})
		if v.err != "" {
			for range 5 { // of 256 random keys in the place of a wrong one, one leaves a good padding
				if err == nil {
					_, err = unseal(bytes.NewReader(b), id.cert, v.kind, id.key, cms.DecryptOptions{AllowLegacyCiphers: true})
				}
			}
			if err == nil || !strings.Contains(err.Error(), v.err) {
				t.Errorf("%s: %v, want %s", v.file, err, v.err)
			}
			continue
		}
		if err != nil || !bytes.HasPrefix(o.content, []byte(v.starts)) || len(o.content) == 0 || o.data.Cipher() != v.cipher {
			t.Errorf("%s: %v, %q", v.file, err, o.content[:min(len(o.content), 60)])
			if o.data != nil {
				t.Log(o.data.Cipher())
			}
		}
	}
}
