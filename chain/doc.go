// Package chain decides whether a certificate may be used for mail: it builds paths from
// the certificate to the trust anchors that its caller chose, judges them by RFC 5280 and
// RFC 8550, and tells why.
//
// A [Collection] holds the anchors and the intermediate certificates; [ReadCollection]
// reads one from a file. [NewVerifier] makes a [Verifier] of it. [Verifier.Verify] returns
// a [Path], the proof that a certificate may be used for a [Purpose], or a [RejectedError].
// [Verifier.Explain] takes every input there is and returns a [Report] for people and
// programs, whatever the answer.
//
// # Security
//
// Nothing is trusted but the anchors: no root of the system, no certificate of a message,
// no answer of a store. A certificate that a message or a store brings can only help to
// build a path to an anchor. Nothing is fetched from the network unless a [Fetcher] is
// given, and the zero value of [Revocation] asks for the status of every certificate that
// says where it can be had.
//
// A Path cannot be made by anybody else: who holds one holds the proof.
//
// # Limits
//
// Building paths is bounded in signatures, in steps and by the context, so that no set of
// certificates, however it is knotted, takes more than a moment; a search that gave up is
// no answer and never a good one. Keys that are too large are refused before any
// arithmetic, and files of certificates are bounded as package certstore says.
package chain
