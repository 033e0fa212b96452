// Package cms reads and writes the Cryptographic Message Syntax (RFC 5652 and its
// extensions), as a stream in both directions.
//
// [Open] reads a structure up to its content and returns one of [SignedData],
// [EnvelopedData], [AuthenticatedData], [EncryptedData], [CompressedData], [DigestedData]
// or [Data]. Each reads as its content; Finish then reads what follows the content and says
// whether the structure is complete. To write, see [NewSignedWriter], [SignDetached],
// [NewEnvelopedWriter], [NewCompressedWriter] and [CertsOnly].
//
// # Security
//
// This package answers whether the mathematics hold, and nothing else: it trusts no
// certificate, and every time, certificate and attribute it returns is what the message
// claims. Nothing read from a content may be used before Finish succeeded and a signature
// over it was verified by [SignerInfo.Verify].
//
// # Limits
//
// Input is BER of any length and shape, read iteratively. Everything but the content is
// held in memory, within the constants of package limits.
package cms
