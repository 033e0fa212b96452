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

// schemeByOID returns the scheme that o names, and the hash, if it names one.
func schemeByOID(o oid.OID) (scheme, Hash) {
	switch o {
	case oid.RSA:
		return rsaPKCS1, 0
	case oid.MD5WithRSA:
		return rsaPKCS1, MD5
	case oid.SHA1WithRSA, oid.SHA1WithRSAOIW:
		return rsaPKCS1, SHA1
	case oid.SHA224WithRSA:
		return rsaPKCS1, SHA224
	case oid.SHA256WithRSA:
		return rsaPKCS1, SHA256
	case oid.SHA384WithRSA:
		return rsaPKCS1, SHA384
	case oid.SHA512WithRSA:
		return rsaPKCS1, SHA512
	case oid.SHA512_224WithRSA:
		return rsaPKCS1, SHA512_224
	case oid.SHA512_256WithRSA:
		return rsaPKCS1, SHA512_256
	case oid.SHA3_224WithRSA:
		return rsaPKCS1, SHA3_224
	case oid.SHA3_256WithRSA:
		return rsaPKCS1, SHA3_256
	case oid.SHA3_384WithRSA:
		return rsaPKCS1, SHA3_384
	case oid.SHA3_512WithRSA:
		return rsaPKCS1, SHA3_512
	case oid.RSAPSS:
		return rsaPSS, 0
	case oid.RSAPSSShake128:
		return rsaPSS, SHAKE128
	case oid.RSAPSSShake256:
		return rsaPSS, SHAKE256
	case oid.ECPublicKey:
		return ecdsaScheme, 0
	case oid.ECDSAWithSHA1:
		return ecdsaScheme, SHA1
	case oid.ECDSAWithSHA224:
		return ecdsaScheme, SHA224
	case oid.ECDSAWithSHA256:
		return ecdsaScheme, SHA256
	case oid.ECDSAWithSHA384:
		return ecdsaScheme, SHA384
	case oid.ECDSAWithSHA512:
		return ecdsaScheme, SHA512
	case oid.ECDSAWithSHA3_224:
		return ecdsaScheme, SHA3_224
	case oid.ECDSAWithSHA3_256:
		return ecdsaScheme, SHA3_256
	case oid.ECDSAWithSHA3_384:
		return ecdsaScheme, SHA3_384
	case oid.ECDSAWithSHA3_512:
		return ecdsaScheme, SHA3_512
	case oid.ECDSAShake128:
		return ecdsaScheme, SHAKE128
	case oid.ECDSAShake256:
		return ecdsaScheme, SHAKE256
	case oid.DSA:
		return dsaScheme, 0
	case oid.DSAWithSHA1:
		return dsaScheme, SHA1
	case oid.DSAWithSHA224:
		return dsaScheme, SHA224
	case oid.DSAWithSHA256:
		return dsaScheme, SHA256
	case oid.DSAWithSHA384:
		return dsaScheme, SHA384
	case oid.DSAWithSHA512:
		return dsaScheme, SHA512
	case oid.Ed25519:
		return ed25519Scheme, 0
	case oid.Ed448:
		return ed448Scheme, 0
	case oid.MLDSA44, oid.MLDSA65, oid.MLDSA87:
		return mldsaScheme, 0
	}
	return 0, 0
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
