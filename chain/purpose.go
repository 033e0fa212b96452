package chain

import (
	"crypto/x509"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A Purpose is what a certificate is to be used for. Besides the two constants,
// Purpose("server-auth"), Purpose("client-auth"), Purpose("time-stamping") and
// Purpose("any") are understood; "any" looks at neither keyUsage nor extKeyUsage. Every
// other value is refused.
type Purpose string

// The purposes of mail.
const (
	// EmailSigning wants digitalSignature or nonRepudiation in keyUsage and
	// emailProtection or any in extKeyUsage, where these are present (RFC 8550, Section 4.4).
	EmailSigning Purpose = "email-signing"
	// EmailEncryption wants keyEncipherment of RSA and KEM keys, keyAgreement of EC,
	// X25519 and X448 keys, and extKeyUsage as for signing.
	EmailEncryption Purpose = "email-encryption"

	serverAuth   Purpose = "server-auth"
	clientAuth   Purpose = "client-auth"
	anyPurpose   Purpose = "any"
	timeStamping Purpose = "time-stamping"
	crlSigning   Purpose = "crl-signing" // for CRL issuers, inside this package
)

func (p Purpose) known() bool {
	switch p {
	case EmailSigning, EmailEncryption, serverAuth, clientAuth, anyPurpose, timeStamping:
		return true
	}
	return false
}

// eku returns the key purpose that extKeyUsage must list, "" if it does not matter.
func (p Purpose) eku() oid.OID {
	switch p {
	case EmailSigning, EmailEncryption:
		return oid.EmailProtection
	case serverAuth:
		return oid.ServerAuth
	case clientAuth:
		return oid.ClientAuth
	case timeStamping:
		return oid.TimeStamping
	}
	return ""
}

// web reports whether the duties RFC 5280 lays on conforming CAs are enforced rather
// than warned about. Certificates for TLS are reissued every year; mail keeps those of
// decades, and refusing an old root over a missing key identifier helps nobody.
func (p Purpose) web() bool { return p == serverAuth || p == clientAuth }

// allowsEKU reports whether extKeyUsage of c admits p. An absent one does.
func (p Purpose) allowsEKU(c *pkix.Certificate, leaf bool) bool {
	want := p.eku()
	if leaf && p == timeStamping {
		// RFC 3161, Section 2.3: critical, and this purpose alone.
		return c.Critical&pkix.ExtExtKeyUsage != 0 && c.AllowsEKU(want) && len(c.EKU) == 2+len(want)
	}
	if want == "" || !c.Has(pkix.ExtExtKeyUsage) || c.AllowsEKU(want) {
		return true
	}
	// anyExtendedKeyUsage does not make a TLS server.
	return !(leaf && p == serverAuth) && c.AllowsEKU(oid.AnyExtKeyUsage)
}

// keyUsage checks keyUsage of a leaf and returns the code of the failure, or "".
func (p Purpose) keyUsage(c *pkix.Certificate) (code, detail string) {
	if !c.Has(pkix.ExtKeyUsage) {
		return "", ""
	}
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	switch p {
	case EmailSigning, timeStamping:
		if c.KeyUsage&signing == 0 {
			return "ku.sign", "keyUsage allows neither digitalSignature nor nonRepudiation"
		}
	case EmailEncryption:
		if c.KeyUsage&x509.KeyUsageDecipherOnly != 0 && c.KeyUsage&x509.KeyUsageKeyAgreement != 0 {
			return "ku.encrypt", "keyUsage marks the key for deciphering only"
		}
		switch oid.OID(c.KeyAlgorithm) {
		case oid.ECPublicKey, oid.X25519, oid.X448:
			if c.KeyUsage&x509.KeyUsageKeyAgreement == 0 {
				return "ku.encrypt", "keyUsage does not allow keyAgreement"
			}
		case oid.RSA, oid.RSAOAEP, oid.MLKEM512, oid.MLKEM768, oid.MLKEM1024:
			if c.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
				return "ku.encrypt", "keyUsage does not allow keyEncipherment"
			}
		}
	case crlSigning:
		if c.KeyUsage&x509.KeyUsageCRLSign == 0 {
			return "crl.key_usage", "keyUsage does not allow cRLSign"
		}
	}
	return "", ""
}

// signingOnly reports whether a key of this type can never encrypt.
func signingOnly(key oid.OID) bool {
	switch key {
	case oid.DSA, oid.Ed25519, oid.Ed448, oid.RSAPSS, oid.MLDSA44, oid.MLDSA65, oid.MLDSA87:
		return true
	}
	return false
}

// knownKey reports whether a key is of a type and on a curve that anything here can use.
// Nothing is computed with it.
func knownKey(c *pkix.Certificate, rsaBits int) bool {
	switch oid.OID(c.KeyAlgorithm) {
	case oid.RSA, oid.RSAPSS, oid.RSAOAEP:
		return rsaBits > 0
	case oid.ECPublicKey:
		switch oid.OID(pkix.CurveID(c.SPKI)) {
		case oid.P224, oid.P256, oid.P384, oid.P521, oid.Secp256k1, oid.BrainpoolP256r1, oid.BrainpoolP320r1, oid.BrainpoolP384r1, oid.BrainpoolP512r1:
			return true
		}
		return false
	case oid.Ed25519, oid.Ed448, oid.X25519, oid.X448, oid.DSA, oid.MLDSA44, oid.MLDSA65, oid.MLDSA87, oid.MLKEM512, oid.MLKEM768, oid.MLKEM1024:
		return true
	}
	return false
}
