package chain

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// Extensions of Active Directory Certificate Services, and the names it puts into
// subjectAltName. They are shown and decide nothing.
const (
	msTemplateName oid.OID = "\x2b\x06\x01\x04\x01\x82\x37\x14\x02"     // 1.3.6.1.4.1.311.20.2
	msTemplate     oid.OID = "\x2b\x06\x01\x04\x01\x82\x37\x15\x07"     // 1.3.6.1.4.1.311.21.7
	msPolicies     oid.OID = "\x2b\x06\x01\x04\x01\x82\x37\x15\x0a"     // 1.3.6.1.4.1.311.21.10
	msSID          oid.OID = "\x2b\x06\x01\x04\x01\x82\x37\x19\x02"     // 1.3.6.1.4.1.311.25.2
	msPrincipal    oid.OID = "\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03" // 1.3.6.1.4.1.311.20.2.3
)

// microsoft notes what AD CS says about a certificate.
func microsoft(n *node, list *notes) {
	tell := func(format string, args ...any) { list.add(info, n, "ext.microsoft", fmt.Sprintf(format, args...)) }
	for e := range n.Extensions {
		switch oid.OID(e.ID) {
		case msTemplateName:
			if name := pkix.AnyText(e.Value); name != "" {
				tell("it was issued by the AD CS template %s", printable(name))
			}
		case msTemplate:
			if id, version, ok := templateVersion(e.Value); ok {
				tell("it was issued by the AD CS template %s, version %s", id, version)
			}
		case msPolicies:
			tell("it has application policies of AD CS, which do not stand in for extKeyUsage")
		case msSID:
			for form, v := range pkix.GeneralNames(e.Value) {
				if _, value, ok := pkix.OtherNameValue(v); ok && form == pkix.OtherName {
					s, sid := cryptobyte.String(value), cryptobyte.String(nil)
					if s.ReadASN1(&sid, asn1.OCTET_STRING) {
						tell("it belongs to the account with the security identifier %s", printable(string(sid)))
					}
				}
			}
		}
	}
	for form, v := range pkix.GeneralNames(n.SAN) {
		if form != pkix.OtherName {
			continue
		}
		if id, value, ok := pkix.OtherNameValue(v); ok && oid.OID(id) == msPrincipal {
			tell("it names the user principal %s, which is no mail address", printable(pkix.AnyText(value)))
		}
	}
}

// templateVersion reads
//
//	CertificateTemplateOID ::= SEQUENCE {
//	     templateID              OBJECT IDENTIFIER,
//	     templateMajorVersion    INTEGER OPTIONAL,
//	     templateMinorVersion    INTEGER OPTIONAL }
//
// ([MS-WCCE], Section 2.2.2.7.7.2).
func templateVersion(der []byte) (id, version string, ok bool) {
	s := cryptobyte.String(der)
	var body, o cryptobyte.String
	var major, minor uint
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&o, asn1.OBJECT_IDENTIFIER) {
		return "", "", false
	}
	if !body.Empty() && !body.ReadASN1Integer(&major) || !body.Empty() && !body.ReadASN1Integer(&minor) {
		return "", "", false
	}
	return oid.OID(o).String(), fmt.Sprintf("%d.%d", major, minor), true
}
