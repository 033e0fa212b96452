// Package kem holds ML-KEM keys (FIPS 203, RFC 9935) that crypto/mlkem does not: the
// parameter set ML-KEM-512, and private keys of any set in their expanded form. Keys that
// crypto/mlkem takes are left to it. See [ParsePKCS8].
//
// # Security
//
// No branch and no memory access depends on a secret. A ciphertext that was not made for
// the key gives a wrong secret and no error (FIPS 203, Section 6.3).
package kem
