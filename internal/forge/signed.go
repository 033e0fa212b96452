package forge

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	_ "crypto/md5"    // for crypto.Hash
	_ "crypto/sha1"   // for crypto.Hash
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512" // for crypto.Hash

	"github.com/postseal/postseal/internal/oid"
)

// A Signed is SignedData (RFC 5652, Section 5.1) with the fields as they are to be sent.
type Signed struct {
	Announced    [][]byte // digestAlgorithms
	ContentType  oid.OID
	Content      []byte // nil leaves it out
	Encapsulated []byte // encapContentInfo, instead of the two fields above
	Certificates [][]byte
	CRLs         [][]byte
	Signers      []*Signer
	Infos        [][]byte // more signerInfos, behind those of Signers
}

// NewSigned returns SignedData around content that is as it should be.
func NewSigned(content []byte, signers ...*Signer) *Signed {
	s := &Signed{ContentType: oid.Data, Content: content, Signers: signers}
	for _, who := range signers {
		s.Announced = append(s.Announced, who.DigestAlgorithm)
		s.Certificates = append(s.Certificates, who.Certificate.Raw)
	}
	return s
}

// DER returns the ContentInfo. Sets keep the order of the fields.
func (s *Signed) DER() []byte {
	encapsulated := s.Encapsulated
	if encapsulated == nil {
		content := []byte(nil)
		if s.Content != nil {
			content = Tagged(0, Octets(s.Content))
		}
		encapsulated = Sequence(OID(s.ContentType), content)
	}
	var certificates, crls []byte
	if s.Certificates != nil {
		certificates = Tagged(0, s.Certificates...)
	}
	if s.CRLs != nil {
		crls = Tagged(1, s.CRLs...)
	}
	var infos [][]byte
	for _, who := range s.Signers {
		infos = append(infos, who.DER())
	}
	infos = append(infos, s.Infos...)
	return ContentInfo(oid.SignedData, Sequence(Integer(1), Set(s.Announced...), encapsulated, certificates, crls, Set(infos...)))
}

// A Signer is a SignerInfo (RFC 5652, Section 5.3) with the fields as they are to be sent.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Hash        crypto.Hash // of what the signature covers

	ID                 []byte // sid; nil names Certificate by issuer and serial number
	DigestAlgorithm    []byte
	Attributes         [][]byte // signed attributes, in the order to be sent; nil for none
	Wire               []byte   // signedAttrs as to be sent, if not simply Attributes
	SignatureAlgorithm []byte
	Unsigned           [][]byte

	Covered   []byte // what the signature covers, if not Attributes or Content
	Content   []byte // what it covers without Attributes
	Signature []byte // if it is not to be made

	made *madeSignature // where it was read: taken as long as what it covers stays the same
}

type madeSignature struct{ covered, signature []byte }

// NewSigner returns a signer over content that is as it should be, with SHA-256.
func NewSigner(cert *x509.Certificate, key crypto.Signer, content []byte) *Signer {
	s := &Signer{Certificate: cert, Key: key, Content: content, Hash: crypto.SHA256, DigestAlgorithm: Algorithm(oid.SHA256, nil)}
	switch key.Public().(type) {
	case *rsa.PublicKey:
		s.SignatureAlgorithm = Algorithm(oid.RSA, Null())
	case *ecdsa.PublicKey:
		s.SignatureAlgorithm = Algorithm(oid.ECDSAWithSHA256, nil)
	case ed25519.PublicKey: // goes with SHA-512 (RFC 8419, Section 3)
		s.SignatureAlgorithm = Algorithm(oid.Ed25519, nil)
		s.Hash, s.DigestAlgorithm = crypto.SHA512, Algorithm(oid.SHA512, nil)
	default:
		panic("forge: a kind of key that nobody forges with")
	}
	s.Attributes = [][]byte{ContentType(oid.Data), MessageDigest(Digest(s.Hash, content))}
	return s
}

// ContentType returns a content-type attribute.
func ContentType(t oid.OID) []byte { return Attribute(oid.ContentType, OID(t)) }

// MessageDigest returns a message-digest attribute.
func MessageDigest(digest []byte) []byte { return Attribute(oid.MessageDigest, Octets(digest)) }

// Digest returns the digest of b.
func Digest(h crypto.Hash, b []byte) []byte {
	state := h.New()
	state.Write(b)
	return state.Sum(nil)
}

// SignatureOf returns the signature that the SignerInfo of s has.
func SignatureOf(s *Signer) []byte {
	if s.Signature != nil {
		return s.Signature
	}
	covered := s.Covered
	switch {
	case covered != nil:
	case s.Attributes != nil:
		covered = Set(s.Attributes...)
	default:
		covered = s.Content
	}
	if s.made != nil && bytes.Equal(covered, s.made.covered) {
		return s.made.signature
	}
	return s.sign(covered)
}

// DER returns the SignerInfo.
func (s *Signer) DER() []byte {
	wire := s.Wire
	if wire == nil && s.Attributes != nil {
		wire = Tagged(0, s.Attributes...)
	}
	id := s.ID
	if id == nil {
		id = IssuerAndSerial(s.Certificate.RawIssuer, s.Certificate.SerialNumber)
	}
	var unsigned []byte
	if s.Unsigned != nil {
		unsigned = Tagged(1, s.Unsigned...)
	}
	return Sequence(Integer(1), id, s.DigestAlgorithm, wire, s.SignatureAlgorithm, Octets(SignatureOf(s)), unsigned)
}

func (s *Signer) sign(covered []byte) []byte {
	var sig []byte
	var err error
	if key, ok := s.Key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, covered)
	}
	sig, err = s.Key.Sign(nil, Digest(s.Hash, covered), s.Hash) // without a random source ECDSA follows RFC 6979
	if err != nil {
		panic(err)
	}
	return sig
}

// DigestInfo returns the DigestInfo that an RSA signature covers (RFC 8017, Section 9.2).
func DigestInfo(algorithm, digest []byte) []byte { return Sequence(algorithm, Octets(digest)) }

// RSASignature returns the signature that shows block, an encoded message of any form, to
// whoever verifies it.
func RSASignature(key *rsa.PrivateKey, block []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(block), key.D, key.N)
	return c.FillBytes(make([]byte, key.Size()))
}

// SignatureBlock returns 00 01, padding octets FF, 00 and info, in size octets.
func SignatureBlock(size int, info []byte) []byte {
	b := make([]byte, size)
	for i := range b[:size-len(info)-1] {
		b[i] = 0xff
	}
	b[0], b[1] = 0, 1
	copy(b[size-len(info):], info)
	return b
}

// PSSParameters returns RSASSA-PSS-params with every field spelled out, but for a trailer
// of 1 (RFC 4055, Section 3.1).
func PSSParameters(hash, mgf oid.OID, salt, trailer int) []byte {
	fields := [][]byte{Tagged(0, Algorithm(hash, Null())), Tagged(1, Algorithm(oid.MGF1, Algorithm(mgf, Null()))), Tagged(2, Integer(int64(salt)))}
	if trailer != 1 {
		fields = append(fields, Tagged(3, Integer(int64(trailer))))
	}
	return Sequence(fields...)
}

// PSSBlock returns digest encoded by EMSA-PSS for a modulus of a multiple of eight bits, in
// size octets (RFC 8017, Section 9.1.1).
func PSSBlock(size int, hash, mgf crypto.Hash, salt, digest []byte) []byte {
	h := Digest(hash, append(append(make([]byte, 8), digest...), salt...))
	b := make([]byte, size)
	db := b[:size-len(h)-1]
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	mask(db, mgf, h)
	db[0] &= 0x7f
	copy(b[len(db):], h)
	b[size-1] = 0xbc
	return b
}
