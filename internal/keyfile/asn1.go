package keyfile

import (
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of PKCS#12 and PKCS#5 that nothing else uses.
const (
	oidKeyBag      oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01" // 1.2.840.113549.1.12.10.1.1 (RFC 7292, Section 4.2)
	oidShroudedBag oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02" // 1.2.840.113549.1.12.10.1.2
	oidCertBag     oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03" // 1.2.840.113549.1.12.10.1.3
	oidSafeBag     oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x06" // 1.2.840.113549.1.12.10.1.6
	oidX509Cert    oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01"     // 1.2.840.113549.1.9.22.1 (RFC 2985, Section 6.6)

	oidPBETripleDES oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03" // 1.2.840.113549.1.12.1.3 (RFC 7292, Appendix C)
	oidPBE2KeyDES   oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x04" // 1.2.840.113549.1.12.1.4
	oidPBERC2_128   oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05" // 1.2.840.113549.1.12.1.5
	oidPBERC2_40    oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x06" // 1.2.840.113549.1.12.1.6

	oidPBES2  oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d" // 1.2.840.113549.1.5.13 (RFC 8018, Appendix A.4)
	oidPBMAC1 oid.OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e" // 1.2.840.113549.1.5.14 (RFC 8018, Appendix A.5)
	oidScrypt oid.OID = "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b" // 1.3.6.1.4.1.11591.4.11 (RFC 7914, Section 7)
)

var tag0 = asn1.Tag(0).ContextSpecific()

// An algorithm is an AlgorithmIdentifier.
//
//	AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }
type algorithm struct {
	id     oid.OID
	params cryptobyte.String // whole element; empty if absent
}

func readAlgorithm(s *cryptobyte.String) (a algorithm, ok bool) {
	var seq, id cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
		return a, false
	}
	return algorithm{oid.OID(id), seq}, true
}

// A pfx is the outermost structure of a PKCS#12 file.
//
//	PFX ::= SEQUENCE {
//	  version  INTEGER {v3(3)}(v3,...),
//	  authSafe ContentInfo,
//	  macData  MacData OPTIONAL }
//	MacData ::= SEQUENCE {
//	  mac        DigestInfo,
//	  macSalt    OCTET STRING,
//	  iterations INTEGER DEFAULT 1 }
//	DigestInfo ::= SEQUENCE { digestAlgorithm AlgorithmIdentifier, digest OCTET STRING }
type pfx struct {
	safe       []byte // DER of AuthenticatedSafe
	signed     bool   // public-key integrity mode, which nothing writes
	hasMAC     bool
	digest     algorithm
	mac        []byte
	salt       []byte
	iterations int
}

func parsePFX(der []byte) (p pfx, ok bool) {
	var seq, mac, info cryptobyte.String
	var version int
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version != 3 {
		return p, false
	}
	t, content, ok := readContentInfo(&seq)
	if !ok {
		return p, false
	}
	if t == oid.SignedData {
		return pfx{signed: true}, true
	}
	safe := cryptobyte.String(content)
	if t != oid.Data || !safe.ReadASN1Bytes(&p.safe, asn1.OCTET_STRING) || !safe.Empty() {
		return p, false
	}
	if seq.Empty() {
		return p, true
	}
	p.hasMAC, p.iterations = true, 1
	if !seq.ReadASN1(&mac, asn1.SEQUENCE) || !seq.Empty() || !mac.ReadASN1(&info, asn1.SEQUENCE) {
		return p, false
	}
	if p.digest, ok = readAlgorithm(&info); !ok || !info.ReadASN1Bytes(&p.mac, asn1.OCTET_STRING) || !info.Empty() ||
		!mac.ReadASN1Bytes(&p.salt, asn1.OCTET_STRING) {
		return p, false
	}
	if !mac.Empty() && !mac.ReadASN1Integer(&p.iterations) {
		return p, false
	}
	return p, mac.Empty()
}

// readContentInfo reads a ContentInfo, whose content is [0] EXPLICIT (RFC 5652, Section 3).
func readContentInfo(s *cryptobyte.String) (t oid.OID, content []byte, ok bool) {
	var seq, id, c cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) ||
		!seq.ReadASN1(&c, tag0.Constructed()) || !seq.Empty() {
		return "", nil, false
	}
	return oid.OID(id), c, true
}

// parseEncryptedData reads the algorithm and the ciphertext of an EncryptedData.
//
//	EncryptedData ::= SEQUENCE { version CMSVersion, encryptedContentInfo EncryptedContentInfo, ... }
//	EncryptedContentInfo ::= SEQUENCE {
//	  contentType ContentType,
//	  contentEncryptionAlgorithm ContentEncryptionAlgorithmIdentifier,
//	  encryptedContent [0] IMPLICIT OCTET STRING OPTIONAL }
func parseEncryptedData(der []byte) (a algorithm, ciphertext []byte, ok bool) {
	var seq, info, id cryptobyte.String
	var version int
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) ||
		!seq.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || oid.OID(id) != oid.Data {
		return a, nil, false
	}
	if a, ok = readAlgorithm(&info); !ok {
		return a, nil, false
	}
	if info.PeekASN1Tag(tag0) {
		return a, ciphertext, info.ReadASN1Bytes(&ciphertext, tag0) && info.Empty()
	}
	// Segments: an implicit tag hides from the conversion to DER that this is a string.
	var segments cryptobyte.String
	if !info.ReadASN1(&segments, tag0.Constructed()) || !info.Empty() {
		return a, nil, false
	}
	for !segments.Empty() {
		var s cryptobyte.String
		if !segments.ReadASN1(&s, asn1.OCTET_STRING) {
			return a, nil, false
		}
		ciphertext = append(ciphertext, s...)
	}
	return a, ciphertext, true
}

// A bag is one SafeBag. Its attributes, names for people and links between bags, are not
// needed: a key finds its certificate by the public key.
//
//	SafeBag ::= SEQUENCE {
//	  bagId OBJECT IDENTIFIER,
//	  bagValue [0] EXPLICIT ANY,
//	  bagAttributes SET OF PKCS12Attribute OPTIONAL }
type bag struct {
	id    oid.OID
	value cryptobyte.String
}

func readBag(s *cryptobyte.String) (b bag, ok bool) {
	var seq, id cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) ||
		!seq.ReadASN1(&b.value, tag0.Constructed()) || !seq.SkipOptionalASN1(asn1.SET) || !seq.Empty() {
		return b, false
	}
	b.id = oid.OID(id)
	return b, true
}

// parseCertBag returns the certificate in a CertBag; not X.509 gives nil.
//
//	CertBag ::= SEQUENCE { certId OBJECT IDENTIFIER, certValue [0] EXPLICIT OCTET STRING }
func parseCertBag(value cryptobyte.String) (der []byte, ok bool) {
	var seq, id, c cryptobyte.String
	if !value.ReadASN1(&seq, asn1.SEQUENCE) || !value.Empty() || !seq.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
		return nil, false
	}
	if oid.OID(id) != oidX509Cert {
		return nil, true
	}
	return der, seq.ReadASN1(&c, tag0.Constructed()) && seq.Empty() && c.ReadASN1Bytes(&der, asn1.OCTET_STRING) && c.Empty()
}

// parseEncryptedKey reads an EncryptedPrivateKeyInfo (RFC 5958, Section 3).
//
//	EncryptedPrivateKeyInfo ::= SEQUENCE {
//	  encryptionAlgorithm AlgorithmIdentifier, encryptedData OCTET STRING }
func parseEncryptedKey(der []byte) (a algorithm, ciphertext []byte, ok bool) {
	var seq cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return a, nil, false
	}
	a, ok = readAlgorithm(&seq)
	return a, ciphertext, ok && seq.ReadASN1Bytes(&ciphertext, asn1.OCTET_STRING) && seq.Empty()
}

// A keyInfo is a PKCS#8 private key.
//
//	OneAsymmetricKey ::= SEQUENCE {
//	  version Version, privateKeyAlgorithm AlgorithmIdentifier, privateKey OCTET STRING,
//	  attributes [0] Attributes OPTIONAL, publicKey [1] IMPLICIT BIT STRING OPTIONAL }
type keyInfo struct {
	algorithm algorithm
	key       []byte
	public    []byte // nil if absent
}

func parseKeyInfo(der []byte) (k keyInfo, ok bool) {
	var seq cryptobyte.String
	var version int
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) || version < 0 || version > 1 {
		return k, false
	}
	if k.algorithm, ok = readAlgorithm(&seq); !ok || !seq.ReadASN1Bytes(&k.key, asn1.OCTET_STRING) ||
		!seq.SkipOptionalASN1(tag0.Constructed()) {
		return k, false
	}
	var public cryptobyte.String
	var present bool
	if !seq.ReadOptionalASN1(&public, &present, asn1.Tag(1).ContextSpecific()) || !seq.Empty() {
		return k, false
	}
	if present {
		if len(public) < 1 || public[0] != 0 {
			return k, false
		}
		k.public = public[1:]
	}
	return k, true
}

// parseECPublic returns the public key that an ECPrivateKey states, nil if it states none
// (RFC 5915, Section 3).
//
//	ECPrivateKey ::= SEQUENCE {
//	  version INTEGER, privateKey OCTET STRING,
//	  parameters [0] ECParameters OPTIONAL, publicKey [1] BIT STRING OPTIONAL }
func parseECPublic(der []byte) []byte {
	var seq, public cryptobyte.String
	var key []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !seq.SkipASN1(asn1.INTEGER) || !seq.SkipASN1(asn1.OCTET_STRING) ||
		!seq.SkipOptionalASN1(tag0.Constructed()) || seq.Empty() ||
		!seq.ReadASN1(&public, asn1.Tag(1).ContextSpecific().Constructed()) || !public.ReadASN1BitStringAsBytes(&key) {
		return nil
	}
	return key
}

// A derivation is PBKDF2 or scrypt with its parameters.
//
//	PBKDF2-params ::= SEQUENCE {
//	  salt CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
//	  iterationCount INTEGER, keyLength INTEGER OPTIONAL,
//	  prf AlgorithmIdentifier DEFAULT algid-hmacWithSHA1 }
//	scrypt-params ::= SEQUENCE {
//	  salt OCTET STRING, costParameter INTEGER, blockSize INTEGER,
//	  parallelizationParameter INTEGER, keyLength INTEGER OPTIONAL }
type derivation struct {
	scrypt     bool
	salt       []byte
	iterations int // PBKDF2
	n, r, p    int // scrypt
	keyLength  int // -1 if absent
	prf        oid.OID
}

func parseDerivation(a algorithm) (d derivation, err error) {
	bad := malformed("key derivation parameters")
	var seq cryptobyte.String
	params := a.params
	if a.id != oid.PBKDF2 && a.id != oidScrypt {
		return d, &UnsupportedError{"key derivation " + a.id.String()}
	}
	if !params.ReadASN1(&seq, asn1.SEQUENCE) || !params.Empty() || !seq.ReadASN1Bytes(&d.salt, asn1.OCTET_STRING) {
		return d, bad
	}
	d.keyLength = -1
	ok := false
	if a.id == oidScrypt {
		d.scrypt = true
		ok = seq.ReadASN1Integer(&d.n) && seq.ReadASN1Integer(&d.r) && seq.ReadASN1Integer(&d.p)
	} else {
		d.prf = oid.HMACSHA1
		ok = seq.ReadASN1Integer(&d.iterations)
	}
	if !ok {
		return d, bad
	}
	if seq.PeekASN1Tag(asn1.INTEGER) && !seq.ReadASN1Integer(&d.keyLength) {
		return d, bad
	}
	if !d.scrypt && !seq.Empty() {
		prf, ok := readAlgorithm(&seq)
		if !ok {
			return d, bad
		}
		d.prf = prf.id
	}
	if !seq.Empty() {
		return d, bad
	}
	return d, nil
}

// parsePair reads the two algorithms of PBES2-params (key derivation, cipher) or of
// PBMAC1-params (key derivation, MAC): RFC 8018, Appendix A.4 and A.5.
func parsePair(params cryptobyte.String) (kdf, scheme algorithm, ok bool) {
	var seq cryptobyte.String
	if !params.ReadASN1(&seq, asn1.SEQUENCE) || !params.Empty() {
		return kdf, scheme, false
	}
	if kdf, ok = readAlgorithm(&seq); !ok {
		return kdf, scheme, false
	}
	scheme, ok = readAlgorithm(&seq)
	return kdf, scheme, ok && seq.Empty()
}

// parsePBE reads the salt and iteration count of a pkcs-12PbeParams.
//
//	pkcs-12PbeParams ::= SEQUENCE { salt OCTET STRING, iterations INTEGER }
func parsePBE(params cryptobyte.String) (salt []byte, iterations int, ok bool) {
	var seq cryptobyte.String
	ok = params.ReadASN1(&seq, asn1.SEQUENCE) && params.Empty() && seq.ReadASN1Bytes(&salt, asn1.OCTET_STRING) &&
		seq.ReadASN1Integer(&iterations) && seq.Empty()
	return salt, iterations, ok
}

// parseOctets reads params as one OCTET STRING: the IV of AES-CBC and 3DES-CBC.
func parseOctets(params cryptobyte.String) (b []byte, ok bool) {
	return b, params.ReadASN1Bytes(&b, asn1.OCTET_STRING) && params.Empty()
}
