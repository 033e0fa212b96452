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
// A [Resolver] finds the certificates to encrypt to by address, and learns them from
// signed mail. A [Policy] is what an administrator decides; [ParseSmimeConfig] reads one
// out of Exchange's settings.
//
// # Headers
//
// What is composed protects the header together with the content, as [RFC 9788] says: a
// copy of From, To, Subject and the rest stands inside the signature, and the subject of
// an encrypted message is hidden from everybody else. On opening, that copy is the header;
// see [Message.Header], [Report.Protection] and [Message.Response] for answering without
// giving away what was hidden. Composer.ProtectHeaders changes or ends this.
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
// [RFC 9788]: https://www.rfc-editor.org/rfc/rfc9788.html
package smime
