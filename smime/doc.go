// Package smime signs, encrypts and opens Internet mail with S/MIME 4.0, as
// defined in [RFC 8551].
//
// [Sign], [Encrypt] and [Seal] turn a plain message into a protected one; a [Composer]
// has every setting beyond their defaults. An [Opener] turns a protected message back:
// [Opener.Open] returns a [Message] only after every signature and authentication tag
// has been checked, every signer's certificate has been judged by package chain and the
// author in From has been found in it. [Opener.OpenTo] does the same for messages of any
// size, and [Opener.Inspect] reports on any message at all without judging it fit.
//
// # Security
//
// There are three answers about a signature, and each stands by itself in the [Report]:
// whether the mathematics are right, whether the signer's certificate leads to an anchor
// of the caller's, and whether it names the one author in From. A message is authentic
// only if all three hold for one signature that covers exactly the bytes returned, and
// no other signature that can be checked is broken.
//
// Plaintext out of unauthenticated encryption (AES-CBC) is never called intact unless a
// signature inside the encryption makes it so (RFC 8551, Section 6). Every failure of
// decryption after a key was chosen is the one [ErrDecrypt].
//
// Nothing weak is ever written: no SHA-1, MD5, DES, 3DES or RC2.
//
// # Limits
//
// No call allocates by a length that a message merely claims, recurses, or touches
// network or files. Nesting, counts and sizes are bounded; an input beyond a bound is
// unreadable, not partly read. OpenTo, Inspect, Sign, Encrypt and Seal work in constant
// memory; Open holds at most [Opener.MaxMemory] bytes of content.
//
// [RFC 8551]: https://www.rfc-editor.org/rfc/rfc8551.html
package smime
