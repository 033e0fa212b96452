package cms

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// maxAccuracy bounds what an authority may say about its clock.
const maxAccuracy = 24 * time.Hour

// parseTSTInfo reads
//
//	TSTInfo ::= SEQUENCE {
//	  version        INTEGER,
//	  policy         TSAPolicyId,
//	  messageImprint MessageImprint,
//	  serialNumber   INTEGER,
//	  genTime        GeneralizedTime,
//	  accuracy       Accuracy OPTIONAL,
//	  ordering       BOOLEAN DEFAULT FALSE,
//	  nonce          INTEGER OPTIONAL,
//	  tsa            [0] GeneralName OPTIONAL,
//	  extensions     [1] IMPLICIT Extensions OPTIONAL }
//
//	MessageImprint ::= SEQUENCE {
//	  hashAlgorithm AlgorithmIdentifier,
//	  hashedMessage OCTET STRING }
//
// (RFC 3161, Section 2.4.2). Ordering, nonce and tsa are not needed. A critical extension
// is one that nobody here knows.
func parseTSTInfo(info []byte, t *Timestamp) error {
	in := cryptobyte.String(info)
	var body, imprint, hashed, when, accuracy, part cryptobyte.String
	var version int
	var has bool
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) || version != 1 ||
		!readOID(&body, &t.Policy) || !body.ReadASN1(&imprint, casn1.SEQUENCE) ||
		!readAlgorithm(&imprint, &t.hash) || !imprint.ReadASN1(&hashed, casn1.OCTET_STRING) || !imprint.Empty() ||
		!readInteger(&body, &t.Serial) || !body.ReadASN1(&when, casn1.GeneralizedTime) {
		return malformed(0, "TSTInfo")
	}
	t.imprint = hashed
	var err error
	// With a fraction of a second, unlike other times.
	if t.Time, err = time.Parse("20060102150405.999999999Z", string(when)); err != nil {
		return malformed(0, "genTime")
	}
	if !body.ReadOptionalASN1(&accuracy, &has, casn1.SEQUENCE) || has && !readAccuracy(accuracy, &t.Accuracy) {
		return malformed(0, "accuracy")
	}
	if !body.SkipOptionalASN1(casn1.BOOLEAN) || !body.SkipOptionalASN1(casn1.INTEGER) ||
		!body.SkipOptionalASN1(casn1.Tag(0).ContextSpecific().Constructed()) ||
		!body.ReadOptionalASN1(&part, &has, casn1.Tag(1).ContextSpecific().Constructed()) || !body.Empty() {
		return malformed(0, "TSTInfo")
	}
	return refuseCritical(part)
}

// readAccuracy reads the content of
//
//	Accuracy ::= SEQUENCE {
//	  seconds INTEGER OPTIONAL,
//	  millis  [0] INTEGER (1..999) OPTIONAL,
//	  micros  [1] INTEGER (1..999) OPTIONAL }
func readAccuracy(s cryptobyte.String, d *time.Duration) bool {
	var seconds, millis, micros int64
	if s.PeekASN1Tag(casn1.INTEGER) && !s.ReadASN1Integer(&seconds) {
		return false
	}
	for n, v := range []*int64{&millis, &micros} {
		if tag := casn1.Tag(n).ContextSpecific(); s.PeekASN1Tag(tag) && (!s.ReadASN1Int64WithTag(v, tag) || *v < 0 || *v > 999) {
			return false
		}
	}
	if !s.Empty() || seconds < 0 || seconds > int64(maxAccuracy/time.Second) {
		return false
	}
	*d = time.Duration(seconds)*time.Second + time.Duration(millis)*time.Millisecond + time.Duration(micros)*time.Microsecond
	return true
}

// refuseCritical reads the content of
//
//	Extensions ::= SEQUENCE OF Extension
//
//	Extension ::= SEQUENCE {
//	  extnID    OBJECT IDENTIFIER,
//	  critical  BOOLEAN DEFAULT FALSE,
//	  extnValue OCTET STRING }
func refuseCritical(list cryptobyte.String) error {
	for !list.Empty() {
		var e, value cryptobyte.String
		var id oid.OID
		var critical bool
		if !list.ReadASN1(&e, casn1.SEQUENCE) || !readOID(&e, &id) ||
			e.PeekASN1Tag(casn1.BOOLEAN) && !e.ReadASN1Boolean(&critical) ||
			!e.ReadASN1(&value, casn1.OCTET_STRING) || !e.Empty() {
			return malformed(0, "extensions of TSTInfo")
		}
		if critical {
			return &UnsupportedError{What: "critical extension of a time-stamp token", OID: id}
		}
	}
	return nil
}
