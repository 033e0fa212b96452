package chain

import (
	"crypto/sha256"
	"crypto/x509"
)

// ForgetSignatureOf drops what is remembered about the signature and the paths of one
// certificate, so that a benchmark can verify the same leaf as if it were new.
func (v *Verifier) ForgetSignatureOf(c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	v.edges.mu.Lock()
	for k := range v.edges.now {
		if k.child == sum {
			delete(v.edges.now, k)
		}
	}
	v.edges.mu.Unlock()
	answers := &v.members().answers
	answers.mu.Lock()
	for k := range answers.now {
		if k.leaf == sum {
			delete(answers.now, k)
		}
	}
	answers.mu.Unlock()
}

// Remembered returns how many whole paths and how many signatures are remembered.
func (v *Verifier) Remembered() (paths, signatures int) {
	ix := v.members()
	return len(ix.answers.now) + len(ix.answers.old), len(v.edges.now) + len(v.edges.old)
}

// ForgetSignatures drops every signature, and no path.
func (v *Verifier) ForgetSignatures() { v.edges.now, v.edges.old = nil, nil }

// RememberLess makes both memories so small that they turn over all the time.
func (v *Verifier) RememberLess() { v.edges.max, v.members().answers.max = 2, 2 }
