// Package sigalg holds the signature algorithms of CMS messages, certificates, CRLs and
// OCSP responses: it reads their identifiers and parameters, their public keys, and makes
// and verifies signatures.
//
// [Parse] reads an AlgorithmIdentifier and [PublicKey] a SubjectPublicKeyInfo;
// [Algorithm.VerifyDigest] and [Algorithm.VerifyMessage] verify. [For] names the algorithm
// a key signs with and [Algorithm.Sign] signs.
//
// # Security
//
// A signature counts only if algorithm, parameters, hash and key all agree; encodings are
// taken strictly. Sizes of keys are checked before any arithmetic. Weak hashes verify,
// because some callers must read what is old: ask [Hash.Weak] first. Nothing here can make
// a signature with a weak hash or a small key.
package sigalg
