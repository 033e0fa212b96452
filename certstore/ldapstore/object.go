package ldapstore

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/usersmime"
)

// An object is a directory entry as far as certificates go.
type object struct {
	dn        string
	addresses []string       // the primary one first
	values    []value        // those of userSMIMECertificate first
	problems  []string       // values that cannot be read
	index     *mailbox.Index // of addresses
}

// A value is a certificate and the attribute it was found in.
type value struct {
	usersmime.Found
	attribute string
	named     []string // of the object's addresses, those that the certificate names
}

// maxAddresses bounds the addresses of an object, since each of its certificates may be
// filed under each. Exchange allows some hundreds.
const maxAddresses = 1000

func foldASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// object reads a directory entry.
func (s *Store) object(e *ldap.Entry) *object {
	o := &object{dn: e.DN}
	var block, bare []value
	var primary, more []string
	var blocks usersmime.Reader
	for _, a := range e.Attributes {
		name, _, _ := strings.Cut(a.Name, ";") // ;binary and ;range= say nothing about the meaning
		switch strings.ToLower(name) {
		case "mail":
			primary = append(primary, texts(a)...)
		case "proxyaddresses":
			for _, v := range texts(a) {
				// SMTP: marks the primary address, smtp: the others; X500: and the like are no mail addresses.
				if address, ok := cutPrefixFold(v, "smtp:"); ok {
					more = append(more, address)
				}
			}
		case "usercertificate", "cacertificate":
			for _, der := range a.ByteValues {
				c, err := pkix.ParseCertificate(der)
				if err != nil {
					o.problems = append(o.problems, fmt.Sprintf("%s: %v", name, err))
					continue
				}
				bare = append(bare, value{usersmime.Found{Certificate: c}, name, nil})
			}
		case "usersmimecertificate":
			for _, b := range a.ByteValues {
				found, warnings, err := blocks.Parse(b)
				if err != nil {
					warnings = append(warnings, err)
				}
				for _, w := range warnings {
					o.problems = append(o.problems, fmt.Sprintf("%s: %v", name, w))
				}
				for _, f := range found {
					block = append(block, value{f, name, nil})
				}
			}
		default:
			if contains(s.Addresses, name) {
				more = append(more, texts(a)...)
			}
		}
	}
	seen := map[string]bool{}
	for _, address := range append(primary, more...) {
		local, domain, ok := mailbox.Split(address)
		key := strings.Map(foldASCII, local) + "@" + domain // equal where mailbox.Compare finds them so
		if !ok || seen[key] {
			continue
		}
		if len(o.addresses) == maxAddresses {
			o.problems = append(o.problems, fmt.Sprintf("more than %d addresses: the others are left out", maxAddresses))
			break
		}
		seen[key] = true
		o.addresses = append(o.addresses, address)
	}
	o.index = mailbox.NewIndex(o.addresses)
	// A certificate counts once, with the best that is said about it.
	index := map[[32]byte]int{}
	for _, v := range append(block, bare...) {
		h := sha256.Sum256(v.Certificate.Raw)
		i, known := index[h]
		if !known {
			index[h] = len(o.values)
			o.values = append(o.values, v)
			continue
		}
		have := &o.values[i]
		have.Default = have.Default || v.Default
		have.Published = have.Published || v.Published
		have.Chain = have.Chain && v.Chain
		if have.Capabilities == nil || v.Published && v.Capabilities != nil {
			have.Capabilities = v.Capabilities
		}
	}
	for i := range o.values {
		v := &o.values[i]
		v.named = o.index.Find(mailbox.Of(v.Certificate)...)
	}
	return o
}

// textsOf returns the values of an entry's attribute that is made of text.
func textsOf(e *ldap.Entry, name string) []string {
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, name) {
			return texts(a)
		}
	}
	return nil
}

// textOf returns the first value of an attribute that is made of text, or nothing.
func textOf(e *ldap.Entry, name string) string {
	if list := textsOf(e, name); len(list) > 0 {
		return list[0]
	}
	return ""
}

// texts returns the values of an attribute that is made of text.
func texts(a *ldap.EntryAttribute) []string {
	list := make([]string, len(a.ByteValues))
	for i, v := range a.ByteValues {
		list[i] = string(v)
	}
	return list
}

// spelling returns an address of the object as the directory writes it, or nothing if the
// object does not have it.
func (o *object) spelling(address string) string {
	return first(o.index.Find(mailbox.Mailbox{Address: address}))
}

// filed returns the address of the object that a certificate is filed under where there
// is room for one: one it names if there is one, else the primary one.
func (o *object) filed(v value) string {
	if v.Chain || len(o.addresses) == 0 {
		return ""
	}
	return cmp.Or(first(v.named), o.addresses[0])
}

// first returns the first of a list, or nothing.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
