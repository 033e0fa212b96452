package certstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/keyfile"
)

// ReadIdentities reads the identities in a key file: PKCS#12 in DER, BER or PEM, or PEM
// with private keys (PKCS#8, encrypted or not, PKCS#1, SEC 1) and certificates in any
// order. It returns one for every certificate whose key is in the file, in the file's
// order; the intermediates of each are those of the file that lead up from it, nearest
// first, and a root, if the file has it, last.
//
// Keys may be RSA, of the NIST curves, Ed25519, X25519, X448, ML-KEM, and ML-DSA with its
// seed. A key that cannot be read, or is inconsistent in itself, is an
// error, and so is a file without any identity. If the password is wrong,
// errors.Is(err, [x509.IncorrectPasswordError]) holds.
//
// A PKCS#12 file without a MAC is refused. So is PEM encrypted as OpenSSL did before 1.0
// ("Proc-Type: 4,ENCRYPTED"), which protects nothing: convert it with "openssl pkcs8 -topk8".
func ReadIdentities(data []byte, password string) ([]*Identity, error) {
	f, err := keyfile.Read(data, password)
	if err != nil {
		return nil, fmt.Errorf("certstore: reading a key file: %w", err)
	}
	ids, err := identities(f)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		what := "no private key"
		switch {
		case len(f.Keys) > 0 && len(f.Certificates) == 0:
			what = "a private key but no certificate"
		case len(f.Keys) > 0:
			what = "no certificate that belongs to the private key"
		}
		return nil, fmt.Errorf("certstore: key file holds %s", what+unread(f.Unread))
	}
	return ids, nil
}

// identities pairs the keys of f with their certificates.
func identities(f *keyfile.File) ([]*Identity, error) {
	keys := map[string][]crypto.PrivateKey{} // by public key
	for _, k := range f.Keys {
		if pub, ok := publicKey(k); ok {
			bits := string(publicBits(pub))
			keys[bits] = append(keys[bits], k)
		}
	}
	var ids []*Identity
	done := map[string]bool{}
	for _, c := range f.Certificates {
		_, _, bits, _ := splitSPKI(c.RawSubjectPublicKeyInfo)
		for _, key := range keys[string(bits)] {
			if pub, ok := publicKey(key); !ok || !ownsKey(c, pub) || done[string(c.Raw)] {
				continue
			}
			done[string(c.Raw)] = true
			id, err := NewIdentity(c, key, issuers(c, f.Certificates)...)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// unread says which certificates of a file could not be read.
func unread(errs []error) string {
	if len(errs) == 0 {
		return ""
	}
	return fmt.Sprintf(" (certificates left out: %v)", errors.Join(errs...))
}

// issuers follows the issuer names from c through certs, each used once. Key identifiers,
// where there are any, choose between issuers of one name.
func issuers(c *x509.Certificate, certs []*x509.Certificate) []*x509.Certificate {
	var chain []*x509.Certificate
	used := map[*x509.Certificate]bool{c: true}
	for {
		var next *x509.Certificate
		for _, i := range certs {
			if used[i] || bytes.Equal(c.RawIssuer, c.RawSubject) || !bytes.Equal(i.RawSubject, c.RawIssuer) || bytes.Equal(i.Raw, c.Raw) {
				continue
			}
			if len(c.AuthorityKeyId) > 0 && bytes.Equal(i.SubjectKeyId, c.AuthorityKeyId) {
				next = i
				break
			}
			if next == nil && (len(c.AuthorityKeyId) == 0 || len(i.SubjectKeyId) == 0) {
				next = i
			}
		}
		if next == nil {
			return chain
		}
		chain = append(chain, next)
		used[next] = true
		c = next
	}
}
