package sigalg

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// Parse reads the DER of a signature AlgorithmIdentifier. Unknown algorithms, and
// parameters that an algorithm does not have, are an [UnsupportedError].
func Parse(algID []byte) (*Algorithm, error) {
	o, params, ok := splitAlgorithm(algID)
	if !ok {
		return nil, &UnsupportedError{What: "signature algorithm: malformed AlgorithmIdentifier"}
	}
	a := &Algorithm{oid: o, der: bytes.Clone(algID)}
	ok = false
	switch a.scheme, a.hash = schemeByOID(o); {
	case a.scheme == 0:
		return nil, &UnsupportedError{What: "signature algorithm", OID: o}
	case o == oid.RSAPSS:
		ok = a.pss.parse(params)
		a.hash = a.pss.hash
	case o == oid.RSAPSSShake128 || o == oid.RSAPSSShake256:
		// RFC 8702, Section 3.2.1.
		a.pss = pssParameters{hash: a.hash, mgf: a.hash, salt: a.hash.Size()}
		ok = len(params) == 0
	case o == oid.ECPublicKey || o == oid.DSA:
		// QUIRK: Java and old toolkits name the key type instead of the signature
		// algorithm, parameters of the key included.
		ok = true
	case a.Pure() || a.hash == SHAKE128 || a.hash == SHAKE256:
		ok = len(params) == 0
	default:
		ok = absentOrNull(params)
	}
	if !ok {
		return nil, &UnsupportedError{What: "parameters of signature algorithm", OID: o}
	}
	return a, nil
}

// identifiers are the signature algorithms, each with the hash that it names, if it names
// one. Of several for the same the first is written. The table is never written to.
var identifiers = [...]struct {
	oid    oid.OID
	scheme scheme
	hash   Hash
}{
	{oid.RSA, rsaPKCS1, 0},
	{oid.MD5WithRSA, rsaPKCS1, MD5},
	{oid.SHA1WithRSA, rsaPKCS1, SHA1},
	{oid.SHA1WithRSAOIW, rsaPKCS1, SHA1},
	{oid.SHA224WithRSA, rsaPKCS1, SHA224},
	{oid.SHA256WithRSA, rsaPKCS1, SHA256},
	{oid.SHA384WithRSA, rsaPKCS1, SHA384},
	{oid.SHA512WithRSA, rsaPKCS1, SHA512},
	{oid.SHA512_224WithRSA, rsaPKCS1, SHA512_224},
	{oid.SHA512_256WithRSA, rsaPKCS1, SHA512_256},
	{oid.SHA3_224WithRSA, rsaPKCS1, SHA3_224},
	{oid.SHA3_256WithRSA, rsaPKCS1, SHA3_256},
	{oid.SHA3_384WithRSA, rsaPKCS1, SHA3_384},
	{oid.SHA3_512WithRSA, rsaPKCS1, SHA3_512},
	{oid.RSAPSS, rsaPSS, 0},
	{oid.RSAPSSShake128, rsaPSS, SHAKE128},
	{oid.RSAPSSShake256, rsaPSS, SHAKE256},
	{oid.ECPublicKey, ecdsaScheme, 0},
	{oid.ECDSAWithSHA1, ecdsaScheme, SHA1},
	{oid.ECDSAWithSHA224, ecdsaScheme, SHA224},
	{oid.ECDSAWithSHA256, ecdsaScheme, SHA256},
	{oid.ECDSAWithSHA384, ecdsaScheme, SHA384},
	{oid.ECDSAWithSHA512, ecdsaScheme, SHA512},
	{oid.ECDSAWithSHA3_224, ecdsaScheme, SHA3_224},
	{oid.ECDSAWithSHA3_256, ecdsaScheme, SHA3_256},
	{oid.ECDSAWithSHA3_384, ecdsaScheme, SHA3_384},
	{oid.ECDSAWithSHA3_512, ecdsaScheme, SHA3_512},
	{oid.ECDSAShake128, ecdsaScheme, SHAKE128},
	{oid.ECDSAShake256, ecdsaScheme, SHAKE256},
	{oid.DSA, dsaScheme, 0},
	{oid.DSAWithSHA1, dsaScheme, SHA1},
	{oid.DSAWithSHA224, dsaScheme, SHA224},
	{oid.DSAWithSHA256, dsaScheme, SHA256},
	{oid.DSAWithSHA384, dsaScheme, SHA384},
	{oid.DSAWithSHA512, dsaScheme, SHA512},
	{oid.Ed25519, ed25519Scheme, 0},
	{oid.Ed448, ed448Scheme, 0},
	{oid.MLDSA44, mldsaScheme, 0},
	{oid.MLDSA65, mldsaScheme, 0},
	{oid.MLDSA87, mldsaScheme, 0},
}

// schemeByOID returns the scheme that o names, and the hash, if it names one.
func schemeByOID(o oid.OID) (scheme, Hash) {
	for i := range identifiers {
		if identifiers[i].oid == o {
			return identifiers[i].scheme, identifiers[i].hash
		}
	}
	return 0, 0
}

// identifier returns the identifier of a scheme with a hash.
func identifier(s scheme, h Hash) oid.OID {
	for i := range identifiers {
		if identifiers[i].scheme == s && identifiers[i].hash == h {
			return identifiers[i].oid
		}
	}
	return ""
}

// pssParameters are the parameters of RSASSA-PSS.
type pssParameters struct {
	hash Hash
	mgf  Hash // of MGF1; SHAKE128 and SHAKE256 are themselves the mask generation function
	salt int  // octets
}

// parse reads
//
//	RSASSA-PSS-params ::= SEQUENCE {
//	  hashAlgorithm    [0] HashAlgorithm DEFAULT sha1Identifier,
//	  maskGenAlgorithm [1] MaskGenAlgorithm DEFAULT mgf1SHA1Identifier,
//	  saltLength       [2] INTEGER DEFAULT 20,
//	  trailerField     [3] INTEGER DEFAULT 1 }
//
// (RFC 4055, Section 3.1). Defaults may be spelled out, though DER forbids it. The
// parameters must be present; MD5 and SHAKE are not among the hash functions.
func (p *pssParameters) parse(params cryptobyte.String) bool {
	*p = pssParameters{hash: SHA1, mgf: SHA1, salt: 20}
	var body, field cryptobyte.String
	var present bool
	if !params.ReadASN1(&body, casn1.SEQUENCE) || !params.Empty() {
		return false
	}
	tag := func(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }
	if !body.ReadOptionalASN1(&field, &present, tag(0)) || present && !parsePSSHash(field, &p.hash) {
		return false
	}
	if !body.ReadOptionalASN1(&field, &present, tag(1)) {
		return false
	}
	if present {
		o, inner, ok := splitAlgorithm(field)
		if !ok || o != oid.MGF1 || !parsePSSHash(inner, &p.mgf) {
			return false
		}
	}
	if !body.ReadOptionalASN1(&field, &present, tag(2)) ||
		present && (!field.ReadASN1Integer(&p.salt) || !field.Empty()) {
		return false
	}
	trailer := 1
	if !body.ReadOptionalASN1(&field, &present, tag(3)) ||
		present && (!field.ReadASN1Integer(&trailer) || !field.Empty()) {
		return false
	}
	return body.Empty() && trailer == 1 && p.salt >= 0
}

func parsePSSHash(algID cryptobyte.String, h *Hash) bool {
	v, err := ParseHash(algID)
	*h = v
	return err == nil && v != MD5 && v != SHAKE128 && v != SHAKE256
}

// der returns the RSASSA-PSS-params, without the fields that are at their default.
func (p pssParameters) der() []byte {
	hash := algorithmDER(p.hash.OID(), []byte{5, 0})
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		field := func(n uint8, f func(*cryptobyte.Builder)) {
			b.AddASN1(casn1.Tag(n).ContextSpecific().Constructed(), f)
		}
		field(0, func(b *cryptobyte.Builder) { b.AddBytes(hash) })
		field(1, func(b *cryptobyte.Builder) { b.AddBytes(algorithmDER(oid.MGF1, hash)) })
		field(2, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(p.salt)) })
	})
	return b.BytesOrPanic()
}
