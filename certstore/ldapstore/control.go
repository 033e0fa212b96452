package ldapstore

import (
	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// criticalPaging is a paging control the server must not ignore, as go-ldap's own may be:
// without it a large directory would be cut off at the server's limit.
type criticalPaging struct{ *ldap.ControlPaging }

func (c criticalPaging) Encode() *ber.Packet {
	p := c.ControlPaging.Encode()
	critical := ber.NewSequence("Control")
	critical.AppendChild(p.Children[0])
	critical.AppendChild(ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, "Criticality"))
	critical.AppendChild(p.Children[len(p.Children)-1])
	return critical
}
