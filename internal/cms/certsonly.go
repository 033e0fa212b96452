package cms

import "crypto/x509"

// CertsOnly returns the DER of SignedData without content and signers, which carries
// certificates and the DER of CRLs in the order given (RFC 8551, Section 3.8). It vouches
// for nothing.
func CertsOnly(certs []*x509.Certificate, crls [][]byte) []byte {
	return signedData(nil, nil, certs, crls, nil)
}
