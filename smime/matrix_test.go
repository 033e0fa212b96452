package smime_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// TestA09Repeats (row A09): each attribute of this kind none, once and twice, each with none, one
// and two values. None of them may be there twice, or with other than one value.
func TestA09Repeats(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	cert := p.alice.Certificate()
	named := forge.IssuerAndSerial(cert.RawIssuer, cert.SerialNumber)
	ess := func(h crypto.Hash) []byte {
		return forge.Sequence(forge.Sequence(forge.Sequence(forge.Octets(forge.Digest(h, cert.Raw)))))
	}
	signature := forge.Algorithm(oid.RSA, forge.Null())
	required := map[oid.OID][]byte{
		oid.ContentType:   forge.OID(oid.Data),
		oid.MessageDigest: forge.Octets(forge.Digest(crypto.SHA256, []byte(filePart))),
	}
	optional := map[oid.OID][]byte{
		oid.SigningTime:               []byte("\x17\x0d260601120000Z"),
		oid.SMIMECapabilities:         forge.Sequence(),
		oid.EncryptionKeyPreference:   append([]byte{0xa0}, named[1:]...),
		oid.MSEncryptionKeyPreference: named,
		oid.AlgorithmProtection:       forge.Sequence(forge.Algorithm(oid.SHA256, nil), append([]byte{0xa1}, signature[1:]...)),
		oid.SigningCertificate:        ess(crypto.SHA1),
		oid.SigningCertificateV2:      ess(crypto.SHA256),
	}
	try := func(probe oid.OID, value []byte, must bool) {
		for times := range 3 {
			for values := range 3 {
				var attributes [][]byte
				for o, v := range required {
					if o != probe {
						attributes = append(attributes, forge.Attribute(o, v))
					}
				}
				for range times {
					attributes = append(attributes, forge.Attribute(probe, slices.Repeat([][]byte{value}, values)...))
				}
				message := opaqueMail(m.Forged(filePart, func(s *forge.Signed) { s.Signers[0].Attributes = catalogue.Sorted(attributes) }).DER())
				want := times == 1 && values == 1 || times == 0 && !must
				_, err := p.opener().Open(t.Context(), strings.NewReader(message))
				if (err == nil) != want {
					t.Errorf("%v %d times with %d values: %v", probe, times, values, err)
				}
				if err != nil && times > 0 && !strings.Contains(err.Error(), "attr.duplicate") {
					t.Errorf("%v %d times with %d values: %v", probe, times, values, err)
				}
			}
		}
	}
	for o, v := range required {
		try(o, v, true)
	}
	for o, v := range optional {
		try(o, v, false)
	}
}

// TestA19Labels (row A19): six labels on six structures under three media types. The structure
// decides; a label that says something else is told.
func TestA19Labels(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	signed := m.Forged(filePart, nil)
	var compressed bytes.Buffer
	w, err := cms.NewCompressedWriter(&compressed)
	if err == nil {
		_, err = io.WriteString(w, m.SealedPart())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	certsOnly := m.Forged("", func(s *forge.Signed) { s.Signers, s.Content = nil, nil })
	labels := []string{"signed-data", "enveloped-data", "authEnveloped-data", "compressed-data", "certs-only", ""}
	for _, structure := range []struct {
		label   string
		der     []byte
		verdict smime.Verdict
		kinds   string
	}{
		{"signed-data", signed.DER(), smime.Authentic, "signed"},
		{"enveloped-data", p.envelope(m.SealedPart(), nil), smime.Authentic, "signed>encrypted"},
		{"authEnveloped-data", p.authEnvelope(m.SealedPart(), nil), smime.Authentic, "signed>encrypted"},
		{"compressed-data", compressed.Bytes(), smime.Authentic, "signed>compressed"},
		{"certs-only", certsOnly.DER(), smime.NotAuthentic, "certs-only"},
		{"signed-data", catalogue.Detached(signed), smime.NotAuthentic, "signed"},
	} {
		for _, label := range labels {
			for _, media := range []string{"application/pkcs7-mime", "application/x-pkcs7-mime", "application/octet-stream"} {
				field := "Content-Type: " + media + "; name=smime.p7m"
				if label != "" {
					field += "; smime-type=" + label
				}
				mail := fileFields + field + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(structure.der)
				r, err := p.opener().Inspect(t.Context(), strings.NewReader(mail))
				if err != nil {
					t.Fatal(err)
				}
				name := structure.label + " labelled " + label + " as " + media
				if r.Verdict != structure.verdict || kinds(r) != structure.kinds {
					t.Errorf("%s: %s %s %q", name, r.Verdict, kinds(r), r.Codes)
				}
				// Without content the label cannot tell a signature from certificates.
				bare := structure.verdict == smime.NotAuthentic && (label == "signed-data" || label == "certs-only")
				fits := label == "" || label == structure.label || bare
				if told := slices.Contains(r.Warnings, "mime.smime_type"); told == fits {
					t.Errorf("%s: warnings %q", name, r.Warnings)
				}
			}
		}
	}
}

// openers are an opener for each way to loosen what algorithms are read.
func openers(p *openIdentities) map[string]*smime.Opener {
	all := map[string]*smime.Opener{}
	for name, allow := range map[string]func(*smime.Opener){
		"strict":                func(*smime.Opener) {},
		"AllowSHA1":             func(o *smime.Opener) { o.AllowSHA1 = true },
		"AllowMD5":              func(o *smime.Opener) { o.AllowMD5 = true },
		"AllowLegacyCiphers":    func(o *smime.Opener) { o.AllowLegacyCiphers = true },
		"AllowUnsigned":         func(o *smime.Opener) { o.AllowUnsigned, o.AllowMalleable = true, true },
		"AllowMismatchedSender": func(o *smime.Opener) { o.AllowMismatchedSender = true },
	} {
		o := p.opener()
		allow(o)
		all[name] = o
	}
	return all
}

// TestB06Policies (row B06): every weak algorithm under every exception. Only its own one helps, and
// nothing weak is written under any.
func TestB06Policies(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	hashed := func(h crypto.Hash, o oid.OID) string {
		return opaqueMail(m.Forged(filePart, func(s *forge.Signed) {
			s.Announced = [][]byte{forge.Algorithm(o, nil)}
			s.Signers[0].Hash, s.Signers[0].DigestAlgorithm = h, s.Announced[0]
			s.Signers[0].Attributes[1] = forge.MessageDigest(forge.Digest(h, []byte(filePart)))
		}).DER())
	}
	type message struct{ name, mail, allow, code string }
	messages := []message{
		{"SHA-256, the twin", hashed(crypto.SHA256, oid.SHA256), "*", ""},
		{"SHA-1", hashed(crypto.SHA1, oid.SHA1), "AllowSHA1", "alg.weak_hash"},
		{"MD5", hashed(crypto.MD5, oid.MD5), "AllowMD5", "alg.weak_hash"},
		{"AES-256, the twin", sealedMail(p.envelope(m.SealedPart(), nil)), "*", ""},
	}
	for _, c := range catalogue.OldCiphers() {
		messages = append(messages, message{c.Note, sealedMail(c.Envelope(p.maker(), m.SealedPart())), "AllowLegacyCiphers", "decrypt.weak_cipher"})
	}
	for _, c := range messages {
		for policy, o := range openers(p) {
			_, err := o.Open(t.Context(), strings.NewReader(c.mail))
			if want := c.allow == "*" || c.allow == policy; (err == nil) != want {
				t.Errorf("%s, %s: %v", c.name, policy, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.code) {
				t.Errorf("%s, %s: %v, want %s", c.name, policy, err, c.code)
			}
		}
	}

	// A key that is too short, for signing and for decrypting.
	pki := smimetest.NewPKI(t)
	small := pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: smimetest.RSA1024})
	keys := new(certstore.Memory)
	keys.AddIdentity(small)
	pub := small.Certificate().PublicKey.(*rsa.PublicKey)
	sealed := sealedMail(p.envelope(m.SealedPart(), func(e *forge.Enveloped) {
		e.Recipients = [][]byte{forge.KeyTransport(small.Certificate(), forge.Algorithm(oid.RSA, forge.Null()), forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), []byte(fileKey))))}
	}))
	for policy, o := range openers(p) {
		o.Keys = keys
		if _, err := o.Open(t.Context(), strings.NewReader(sealed)); (err == nil) != (policy == "AllowLegacyCiphers") {
			t.Errorf("RSA of 1024 bits to decrypt, %s: %v", policy, err)
		}
		o.Chain = pki.Verifier()
		if _, err := o.Open(t.Context(), strings.NewReader(opaqueMail(catalogue.Forged(filePart, small).DER()))); err == nil || !strings.Contains(err.Error(), "alg.weak_key") {
			t.Errorf("RSA of 1024 bits to sign, %s: %v", policy, err)
		}
	}

	for name, change := range map[string]func(*smime.Composer){
		"3des-cbc": func(c *smime.Composer) { c.Cipher = "3des-cbc" },
		"des-cbc":  func(c *smime.Composer) { c.Cipher = "des-cbc" },
		"rc2-cbc":  func(c *smime.Composer) { c.Cipher = "rc2-cbc" },
		"sha1":     func(c *smime.Composer) { c.Digest = "sha1" },
		"md5":      func(c *smime.Composer) { c.Digest = "md5" },
		"to 1024":  func(c *smime.Composer) { c.Recipients = []*x509.Certificate{small.Certificate()} },
		"by 1024":  func(c *smime.Composer) { c.Signers = []*certstore.Identity{small} },
	} {
		c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Recipients: []*x509.Certificate{pki.Bob().Certificate()}, Time: pki.Time}
		change(c)
		var b bytes.Buffer
		if _, err := c.Compose(&b, smimetest.Mail{}.Reader()); err == nil || b.Len() > 0 {
			t.Errorf("%s is written: %v, %d octets", name, err, b.Len())
		}
	}
}

// TestB08Usages (row B08): every use that a certificate may state, composing and opening, with RSA
// and elliptic curves. What is not stated is allowed.
func TestB08Usages(t *testing.T) {
	usages := map[string]x509.KeyUsage{
		"absent": 0, "digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment,
		"keyEncipherment": x509.KeyUsageKeyEncipherment, "keyAgreement": x509.KeyUsageKeyAgreement,
		"dataEncipherment": x509.KeyUsageDataEncipherment, "keyCertSign": x509.KeyUsageCertSign, "cRLSign": x509.KeyUsageCRLSign,
		"digitalSignature+keyEncipherment": x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		"digitalSignature+keyAgreement":    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		"keyAgreement+decipherOnly":        x509.KeyUsageKeyAgreement | x509.KeyUsageDecipherOnly,
	}
	purposes := map[string][]x509.ExtKeyUsage{
		"absent": nil, "emailProtection": {x509.ExtKeyUsageEmailProtection}, "any": {x509.ExtKeyUsageAny},
		"serverAuth": {x509.ExtKeyUsageServerAuth}, "clientAuth+emailProtection": {x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection},
		"timeStamping": {x509.ExtKeyUsageTimeStamping},
	}
	mail := smimetest.Mail{}.Bytes()
	for usage, ku := range usages {
		for purpose, eku := range purposes {
			for kind, key := range map[string]smimetest.Key{"RSA": smimetest.RSA2048, "P-256": smimetest.P256} {
				name := usage + ", " + purpose + ", " + kind
				pki := smimetest.NewPKI(t) // in which Alice has the same key again
				id := pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: key,
					Change: func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = ku, eku }})
				may := purpose != "serverAuth" && purpose != "timeStamping"
				signs := may && (ku == 0 || ku&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0)
				encrypts := may && (ku == 0 || ku&x509.KeyUsageKeyEncipherment != 0)
				if kind == "P-256" {
					encrypts = may && (ku == 0 || ku&x509.KeyUsageKeyAgreement != 0 && ku&x509.KeyUsageDecipherOnly == 0)
				}
				fits := func(what string, c *smime.Composer, want bool) {
					t.Helper()
					c.Time = pki.Time
					_, err := c.Compose(io.Discard, bytes.NewReader(mail))
					var unfit *smime.RecipientError
					if (err == nil) != want || err != nil && !errors.As(err, &unfit) {
						t.Errorf("%s, %s: %v", name, what, err)
					}
				}
				fits("signing", &smime.Composer{Signers: []*certstore.Identity{id}}, signs)
				fits("encrypting", &smime.Composer{Recipients: []*x509.Certificate{id.Certificate()}}, encrypts)

				keys := new(certstore.Memory)
				keys.AddIdentity(id)
				o := &smime.Opener{Chain: pki.Verifier(), Keys: keys, AllowUnsigned: true, AllowMalleable: true}
				r, err := o.Inspect(t.Context(), strings.NewReader(opaqueMail(catalogue.Forged(filePart, id).DER())))
				if err != nil || (r.Verdict == smime.Authentic) != signs {
					t.Errorf("%s, opening: %+v, %v", name, r, err)
				}
				if s := r.Layers[0].Signatures[0]; s.Crypto != "valid" || (s.Trust == "valid") != signs {
					t.Errorf("%s, opening: %+v", name, s)
				}
			}
		}
	}
}

// TestD12Times (row D12): the claimed time is read in every form that people write, and where it is
// none there is none. It decides nothing. We write the two forms of RFC 5652, Section 11.3.
func TestD12Times(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	for value, want := range map[string]string{
		"\x17\x0d260601120000Z":         "2026-06-01T12:00:00Z",
		"\x17\x0b2606011200Z":           "2026-06-01T12:00:00Z",
		"\x17\x11260601140000+0200":     "2026-06-01T12:00:00Z",
		"\x17\x0d491231235959Z":         "2049-12-31T23:59:59Z",
		"\x17\x0d500101000000Z":         "1950-01-01T00:00:00Z",
		"\x18\x0f20500101000000Z":       "2050-01-01T00:00:00Z",
		"\x18\x0f20260601120000Z":       "2026-06-01T12:00:00Z",
		"\x18\x0f99991231235959Z":       "9999-12-31T23:59:59Z",
		"\x18\x1120260601120000.5Z":     "",
		"\x17\x0d161231235960Z":         "",
		"\x17\x0d260230120000Z":         "",
		"\x17\x0d26060112000\x00Z":      "",
		"\x17\x00":                      "",
		"\x05\x00":                      "",
		"\x30\x0f\x17\x0d260601120000Z": "",
	} {
		mail := opaqueMail(m.Forged(filePart, func(s *forge.Signed) {
			s.Signers[0].Attributes = catalogue.Sorted(append(s.Signers[0].Attributes, forge.Attribute(oid.SigningTime, []byte(value))))
		}).DER())
		r, err := p.opener().Inspect(t.Context(), strings.NewReader(mail))
		if err != nil || r.Verdict != smime.Authentic {
			t.Errorf("%q: %+v, %v", value, r, err)
			continue
		}
		got := ""
		if claimed := r.Layers[0].Signatures[0].ClaimedTime; claimed != nil {
			got = claimed.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q is read as %s, want %s", value, got, want)
		}
	}
	for now, form := range map[string]string{
		"2049-12-31T23:59:59Z": "\x17\x0d491231235959Z", "2050-01-01T00:00:00Z": "\x18\x0f20500101000000Z",
		"2026-06-01T12:00:00.999Z": "\x17\x0d260601120000Z",
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		d := cms.NewDigests(sigalg.SHA256)
		der, err := cms.SignDetached(d, []*cms.Signer{{Certificate: p.alice.Certificate(), Key: p.alice.Key(), Digest: sigalg.SHA256, Time: at}}, nil)
		if err != nil || !bytes.Contains(der, []byte(form)) {
			t.Errorf("%s is not written as %q: %v", now, form, err)
		}
	}
}
