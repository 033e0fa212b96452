// Package cipherstream enciphers and deciphers message content that is too large to
// hold: AES in CBC and GCM mode and ChaCha20-Poly1305 in constant memory, AES-CCM
// within a limit, and the block ciphers of old mail for reading.
//
// [NewCBCReader], [NewGCMReader], [NewChaChaReader] and [NewCCMReader] decipher;
// [NewCBCWriter], [NewGCMWriter], [NewChaChaWriter] and [NewCCMWriter] encipher.
//
// # Security
//
// A reader other than the CCM one hands out plaintext before its integrity is known.
// Nothing it returned may be acted on until it has returned io.EOF. Every fault that
// depends on a key, be it padding, length or tag, is the one error [ErrOpen], found in
// constant time. The authentication tag and the additional data may follow the
// ciphertext, as they do in AuthEnvelopedData (RFC 5083, Section 2.1): both GHASH and
// Poly1305 are polynomials, so that the additional data can be accounted for last.
//
// Large pieces are worked on by several goroutines, which end before the call returns.
package cipherstream
