package pkix

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"sort"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// A CRL is a view of a DER certificate revocation list, complete or delta, of version 1
// or 2, with an index of its entries. It is never changed once parsed.
//
//	CertificateList  ::=  SEQUENCE  {
//	     tbsCertList          TBSCertList,
//	     signatureAlgorithm   AlgorithmIdentifier,
//	     signatureValue       BIT STRING  }
//
//	TBSCertList  ::=  SEQUENCE  {
//	     version                 Version OPTIONAL,
//	     signature               AlgorithmIdentifier,
//	     issuer                  Name,
//	     thisUpdate              Time,
//	     nextUpdate              Time OPTIONAL,
//	     revokedCertificates     SEQUENCE OF SEQUENCE  {
//	          userCertificate         CertificateSerialNumber,
//	          revocationDate          Time,
//	          crlEntryExtensions      Extensions OPTIONAL } OPTIONAL,
//	     crlExtensions           [0]  EXPLICIT Extensions OPTIONAL }
type CRL struct {
	Raw, RawTBS               []byte
	InnerAlgorithm, Algorithm []byte
	RawIssuer                 []byte
	Issuer                    string // canonical
	Signature                 []byte
	Version                   int
	ThisUpdate, NextUpdate    int64
	HasNextUpdate             bool
	Number, BaseNumber        []byte // content of INTEGER, nil if absent; BaseNumber makes it a delta
	NumberCritical            bool
	AKI                       []byte
	KeepsExpired              bool          // it names certificates after their end too, of those that
	KeptSince                 int64         // ended at this time or later (X.509, expiredCertsOnCRL)
	Scope                     *IssuingPoint // issuingDistributionPoint; nil: everything of the issuer
	RawScope                  []byte        // its value, for comparing a delta with its base
	UnknownCritical           []byte        // identifier of a critical extension not known, of the list or an entry
	Entries                   int
	entries                   []byte // content of revokedCertificates
	table                     []uint32
	seed                      maphash.Seed
	issuers                   []entryIssuer // where certificateIssuer changes, in order
}

type entryIssuer struct {
	offset uint32
	name   string
}

// An IssuingPoint is an issuingDistributionPoint (RFC 5280, Section 5.2.5).
//
//	IssuingDistributionPoint ::= SEQUENCE {
//	     distributionPoint          [0] DistributionPointName OPTIONAL,
//	     onlyContainsUserCerts      [1] BOOLEAN DEFAULT FALSE,
//	     onlyContainsCACerts        [2] BOOLEAN DEFAULT FALSE,
//	     onlySomeReasons            [3] ReasonFlags OPTIONAL,
//	     indirectCRL                [4] BOOLEAN DEFAULT FALSE,
//	     onlyContainsAttributeCerts [5] BOOLEAN DEFAULT FALSE }
type IssuingPoint struct {
	Point                                  // its name and reasons
	OnlyUser, OnlyCA, Indirect, Attributes bool
}

// ParseCRL reads one DER CRL and nothing else. The entries are walked once, without an
// allocation for any of them, and indexed by serial number in 4 to 8 bytes each.
func ParseCRL(der []byte) (*CRL, error) {
	c := new(CRL)
	if part := c.parse(der); part != "" {
		return nil, &Error{"CRL", part}
	}
	return c, nil
}

func (c *CRL) parse(der []byte) (bad string) {
	if len(der) > limits.CRLSize {
		return fmt.Sprintf("size: more than %d bytes", limits.CRLSize)
	}
	in := cryptobyte.String(der)
	var outer, tbs, alg, sig cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) {
		return outerSequence(der)
	}
	if !in.Empty() {
		return "end: trailing bytes"
	}
	if !outer.ReadASN1Element(&tbs, asn1.SEQUENCE) || !outer.ReadASN1Element(&alg, asn1.SEQUENCE) {
		return "tbsCertList"
	}
	if !outer.ReadASN1(&sig, asn1.BIT_STRING) || len(sig) < 1 || !outer.Empty() {
		return "signature"
	}
	c.Raw, c.RawTBS, c.Algorithm, c.Signature = der, tbs, alg, signatureOctets(sig)
	return c.parseTBS(tbs)
}

func (c *CRL) parseTBS(element cryptobyte.String) (bad string) {
	var tbs, part cryptobyte.String
	element.ReadASN1(&tbs, asn1.SEQUENCE)
	c.Version = 1
	if tbs.PeekASN1Tag(asn1.INTEGER) {
		var v cryptobyte.String
		if !tbs.ReadASN1(&v, asn1.INTEGER) || len(v) != 1 || v[0] > 1 {
			return "version"
		}
		c.Version = int(v[0]) + 1
	}
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "signature algorithm"
	}
	c.InnerAlgorithm = part
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "issuer"
	}
	c.RawIssuer = part
	var ok bool
	if c.Issuer, ok = Canonical(part); !ok {
		return "issuer"
	}
	if !readTime(&tbs, &c.ThisUpdate) {
		return "thisUpdate"
	}
	if tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime) {
		if c.HasNextUpdate = readTime(&tbs, &c.NextUpdate); !c.HasNextUpdate {
			return "nextUpdate"
		}
	}
	if tbs.PeekASN1Tag(asn1.SEQUENCE) {
		if !tbs.ReadASN1(&part, asn1.SEQUENCE) {
			return "revokedCertificates"
		}
		c.entries = part
	}
	var has bool
	if !tbs.ReadOptionalASN1(&part, &has, asn1.Tag(0).ContextSpecific().Constructed()) || !tbs.Empty() {
		return "crlExtensions"
	}
	if has {
		if bad = c.parseExtensions(part); bad != "" {
			return bad
		}
	}
	if !c.scan() {
		return "revokedCertificates"
	}
	c.fillTable()
	return ""
}

func (c *CRL) parseExtensions(part cryptobyte.String) (bad string) {
	var list cryptobyte.String
	if !part.ReadASN1(&list, asn1.SEQUENCE) || !part.Empty() {
		return "crlExtensions"
	}
	seen := map[oid.OID]bool{}
	for !list.Empty() {
		var e Extension
		if !readExtension(&list, &e) || len(seen) == maxExtensions {
			return "crlExtensions"
		}
		id := oid.OID(e.ID)
		if seen[id] {
			return "crlExtensions: " + id.String() + " comes twice"
		}
		seen[id] = true
		whole := cryptobyte.String(e.Value)
		var v cryptobyte.String
		ok := true
		switch id {
		case oid.CRLNumber:
			ok = whole.ReadASN1(&v, asn1.INTEGER) && whole.Empty()
			c.Number, c.NumberCritical = v, e.Critical
		case oid.DeltaCRLIndicator:
			ok = whole.ReadASN1(&v, asn1.INTEGER) && whole.Empty()
			c.BaseNumber = v
		case oid.AuthorityKeyID:
			var k Known
			ok = k.authorityKeyID(whole)
			c.AKI = k.AKI
		case oid.IssuingDistributionPoint:
			c.Scope, c.RawScope = new(IssuingPoint), e.Value
			ok = c.Scope.read(whole)
		case oid.ExpiredCertsOnCRL:
			c.KeepsExpired = readTime(&whole, &c.KeptSince) && whole.Empty()
		case oid.IssuerAltName, oid.FreshestCRL, oid.AuthorityInfoAccess:
		default:
			if e.Critical && c.UnknownCritical == nil {
				c.UnknownCritical = e.ID
			}
		}
		if !ok {
			return "extension " + id.String()
		}
	}
	return ""
}

func (p *IssuingPoint) read(whole cryptobyte.String) bool {
	var s, v cryptobyte.String
	if !whole.ReadASN1(&s, asn1.SEQUENCE) || !whole.Empty() {
		return false
	}
	if !s.ReadOptionalASN1(&v, &p.Named, asn1.Tag(0).ContextSpecific().Constructed()) || p.Named && !p.readName(v) {
		return false
	}
	flag := func(tag asn1.Tag, out *bool) bool {
		var has bool
		if !s.ReadOptionalASN1(&v, &has, tag.ContextSpecific()) || has && len(v) != 1 {
			return false
		}
		*out = has && v[0] != 0
		return true
	}
	if !flag(1, &p.OnlyUser) || !flag(2, &p.OnlyCA) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &p.HasReasons, asn1.Tag(3).ContextSpecific()) || p.HasReasons && !readReasons(v, &p.Reasons) {
		return false
	}
	return flag(4, &p.Indirect) && flag(5, &p.Attributes) && s.Empty()
}

// scan walks the entries: framing, critical extensions and certificateIssuer.
func (c *CRL) scan() bool {
	total := len(c.entries)
	for rest := cryptobyte.String(c.entries); !rest.Empty(); c.Entries++ {
		if _, date, n := quickEntry(rest); n > 0 &&
			(len(date) == 15 && date[0] == byte(asn1.UTCTime) && date[1] == 13 || len(date) == 17 && date[0] == byte(asn1.GeneralizedTime) && date[1] == 15) {
			rest = rest[n:]
			continue // a date and nothing else
		}
		offset := uint32(total - len(rest))
		var e, serial cryptobyte.String
		if !rest.ReadASN1(&e, asn1.SEQUENCE) || !e.ReadASN1(&serial, asn1.INTEGER) || len(serial) == 0 {
			return false
		}
		var date cryptobyte.String
		var tag asn1.Tag
		if !e.ReadAnyASN1(&date, &tag) || tag != asn1.UTCTime && tag != asn1.GeneralizedTime {
			return false
		}
		if !e.Empty() && !c.scanExtensions(e, offset) {
			return false
		}
	}
	return true
}

// quickEntry splits an entry whose lengths take one octet, as almost all do, into the serial
// number and what follows; n is its length, 0 if it is another.
func quickEntry(b []byte) (serial, rest []byte, n int) {
	if len(b) < 5 || b[0] != byte(asn1.SEQUENCE) || b[1] >= 0x80 || b[2] != byte(asn1.INTEGER) || b[3] >= 0x80 || b[3] == 0 {
		return nil, nil, 0
	}
	n = 2 + int(b[1])
	end := 4 + int(b[3])
	if n > len(b) || end > n {
		return nil, nil, 0
	}
	return b[4:end], b[end:n], n
}

func (c *CRL) scanExtensions(e cryptobyte.String, offset uint32) bool {
	var list cryptobyte.String
	if !e.ReadASN1(&list, asn1.SEQUENCE) || !e.Empty() {
		return false
	}
	for !list.Empty() {
		var x Extension
		if !readExtension(&list, &x) {
			return false
		}
		switch oid.OID(x.ID) {
		case oid.ReasonCode, oid.InvalidityDate:
		case oid.CertificateIssuer:
			name, ok := "", false
			for form, v := range GeneralNames(x.Value) {
				if form == DirectoryName {
					name, ok = Canonical(v)
				}
			}
			if !ok {
				return false
			}
			if n := len(c.issuers); n == 0 || c.issuers[n-1].name != name {
				c.issuers = append(c.issuers, entryIssuer{offset, name})
			}
		default:
			if x.Critical && c.UnknownCritical == nil {
				c.UnknownCritical = x.ID
			}
		}
	}
	return true
}

// fillTable makes an open-addressing table of entry offsets plus one, half full at most.
func (c *CRL) fillTable() {
	size := 4
	for size < 2*c.Entries {
		size *= 2
	}
	c.table, c.seed = make([]uint32, size), maphash.MakeSeed()
	mask := uint32(size - 1)
	total := len(c.entries)
	for rest := cryptobyte.String(c.entries); !rest.Empty(); {
		offset := uint32(total - len(rest))
		serial, _, n := quickEntry(rest)
		if rest = rest[n:]; n == 0 {
			var e, long cryptobyte.String
			rest.ReadASN1(&e, asn1.SEQUENCE)
			e.ReadASN1(&long, asn1.INTEGER)
			serial = long
		}
		i := uint32(maphash.Bytes(c.seed, TrimSerial(serial))) & mask
		for c.table[i] != 0 {
			i = (i + 1) & mask
		}
		c.table[i] = offset + 1
	}
}

// Reasons of revocation (RFC 5280, Section 5.3.1).
const (
	Unspecified     = 0
	KeyCompromise   = 1
	CertificateHold = 6
	RemoveFromCRL   = 8
)

// A Revoked is what a CRL or an OCSP response says about a revoked certificate.
type Revoked struct {
	At            int64 // Unix seconds
	Reason        int   // Unspecified if none is given
	HasReason     bool  // it is given
	InvalidityAt  int64 // when the key is known or suspected to have been compromised
	HasInvalidity bool
}

// Lookup finds the entry for the certificate with a serial number (content octets) of the
// issuer with a canonical name. An entry may belong to another issuer than the list's
// (RFC 5280, Section 5.3.3).
func (c *CRL) Lookup(serial []byte, issuer string) (*Revoked, bool) {
	serial = TrimSerial(serial)
	mask := uint32(len(c.table) - 1)
	for i := uint32(maphash.Bytes(c.seed, serial)) & mask; c.table[i] != 0; i = (i + 1) & mask {
		offset := c.table[i] - 1
		rest := cryptobyte.String(c.entries[offset:])
		var e, s cryptobyte.String
		rest.ReadASN1(&e, asn1.SEQUENCE)
		e.ReadASN1(&s, asn1.INTEGER)
		if bytes.Equal(TrimSerial(s), serial) && c.issuerAt(offset) == issuer {
			return readEntry(e)
		}
	}
	return nil, false
}

// Revocations yields every entry in order with its serial number (content octets), whoever
// has issued the certificate.
func (c *CRL) Revocations(yield func(serial []byte, r *Revoked) bool) {
	for rest := cryptobyte.String(c.entries); !rest.Empty(); {
		var e, serial cryptobyte.String
		rest.ReadASN1(&e, asn1.SEQUENCE)
		e.ReadASN1(&serial, asn1.INTEGER)
		if r, _ := readEntry(e); !yield(serial, r) {
			return
		}
	}
}

func (c *CRL) issuerAt(offset uint32) string {
	i := sort.Search(len(c.issuers), func(i int) bool { return c.issuers[i].offset > offset })
	if i == 0 {
		return c.Issuer
	}
	return c.issuers[i-1].name
}

// readEntry decodes what follows the serial number. A date that cannot be read leaves the
// certificate revoked.
func readEntry(e cryptobyte.String) (*Revoked, bool) {
	r := new(Revoked)
	readTime(&e, &r.At)
	var list cryptobyte.String
	if !e.ReadASN1(&list, asn1.SEQUENCE) {
		return r, true
	}
	eachExtension(list, func(x Extension) bool {
		v, content := cryptobyte.String(x.Value), cryptobyte.String(nil)
		switch oid.OID(x.ID) {
		case oid.ReasonCode:
			if v.ReadASN1(&content, asn1.ENUM) && len(content) == 1 {
				r.Reason, r.HasReason = int(content[0]), true
			}
		case oid.InvalidityDate:
			r.HasInvalidity = readTime(&v, &r.InvalidityAt)
		}
		return true
	})
	return r, true
}
