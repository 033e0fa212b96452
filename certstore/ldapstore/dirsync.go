package ldapstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore/sync"
)

// DirSync returns a source that asks Active Directory what changed, by its directory
// synchronisation control (MS-ADTS, Section 3.1.1.3.4.1.3). It sees additions, changes and
// deletions, renames and moves, and needs no more than the right to read: it asks for what
// the account may see.
//
// The directory names changed objects with their changed attributes only; the rest is
// read again, so that what is carried is always the whole object.
func (s *Store) DirSync() sync.Source { return &source{s, (*feed).dirSync} }

const (
	// dirSyncObjectSecurity lets accounts without the right to replicate ask, and shows
	// them what they may see.
	dirSyncObjectSecurity = 1
	// dirSyncOctets bounds one answer of the server.
	dirSyncOctets = 8 << 20
	// maxChanges bounds the changed objects of one answer. That many need 128 MiB.
	maxChanges = 1_000_000
	// guidsPerSearch is how many objects one search reads again.
	guidsPerSearch = 50
)

func (f *feed) dirSync(raw []byte) error {
	root, err := f.activeDirectory()
	if err != nil {
		return err
	}
	at := f.store.readCursor(raw, "dirsync")
	if at.Cookie == nil {
		at.Naming, f.batch.Reset = true, true
	}
	// The cookie is the server's to understand: if it does not any more, because it was
	// restored or is another one, everything is read anew.
	known := at.Cookie != nil
	for {
		more, changed, cookie, err := f.dirSyncStep(root.base, at)
		var answer *ldap.Error
		if known && errors.As(err, &answer) && refusesCookie(answer.ResultCode) {
			at, known = f.store.cursor("dirsync"), false
			at.Naming = true
			f.batch.Reset = true
			continue
		}
		if err == nil {
			err = f.again(changed, at.bytes())
		}
		if err != nil {
			return err
		}
		known = false
		at.Cookie = cookie
		if !more {
			everything := at.Naming
			at.Naming = false
			return f.finish(at.bytes(), everything)
		}
		if err := f.send(at.bytes()); err != nil {
			return err
		}
	}
}

// activeDirectory describes a server that is one.
func (f *feed) activeDirectory() (*rootDSE, error) {
	root, err := f.store.describe(f.ctx, f.conn)
	if err != nil {
		return nil, err
	}
	if !root.activeDirectory || root.base == "" {
		return nil, errors.New("the server is no Active Directory")
	}
	return root, nil
}

// refusesCookie reports whether a result may mean that the cookie is no good.
func refusesCookie(code uint16) bool {
	switch code {
	case ldap.LDAPResultOperationsError, ldap.LDAPResultProtocolError, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInvalidAttributeSyntax,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnavailableCriticalExtension, ldap.LDAPResultOther:
		return true
	}
	return false
}

// A change is an object that the server names as changed. Only what the next question
// needs is kept of it: the server decides how many there are in one answer.
type change struct {
	guid string // of 16 octets
	dn   string
}

// dirSyncStep asks once. It adds what it can to the batch, and returns the objects that
// have to be read again, and whether there is more to ask for. The first time an entry
// holds all its attributes, later what changed. Naming everything may take several answers,
// and who was named in one may change or go before the next.
func (f *feed) dirSyncStep(base string, at cursor) (more bool, changed []change, next []byte, err error) {
	filter := "(|(objectClass=user)(objectClass=contact))"
	first := at.Naming && at.Cookie == nil
	if first {
		// Only then: an object that was deleted or changed may not meet the filter any more.
		filter = f.store.filtered(filter)
	}
	// The list selects too: isDeleted is for deletions, name for renames and moves, and those
	// of the filter for who meets it now or does not any more. objectClass never changes: an
	// entry without it holds changes only.
	attributes := append([]string{"mail", "proxyAddresses", "userCertificate", "userSMIMECertificate", "objectGUID", "isDeleted", "name", "objectClass"}, f.store.Addresses...)
	if f.store.Filter != "" {
		own, err := ldap.CompileFilter(f.store.Filter)
		if err != nil {
			return false, nil, nil, err
		}
		attributes = filterAttributes(attributes, own)
	}
	answered := false
	err = f.conn.search(f.ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, Filter: filter,
		Attributes: attributes,
		Controls: []ldap.Control{
			ldap.NewRequestControlDirSync(dirSyncObjectSecurity, dirSyncOctets, at.Cookie),
			ldap.NewControlString(controlShowDeleted, true, ""),
		},
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		f.pulse.beat()
		o := f.store.syncObject(e)
		carried := f.covers(e.DN) && len(o.Certificates)+len(o.Problems) > 0
		switch {
		case first && (o.Deleted || !carried):
			return nil
		case first || o.Deleted:
			return f.add(o, at.bytes())
		case !at.Naming || f.store.Filter != "" || len(textsOf(e, "objectClass")) == 0:
			return remember(&changed, e)
		case !carried:
			// An earlier answer may have named it, before it left or lost them.
			return f.add(&sync.Object{ID: o.ID, Name: o.Name, Deleted: true}, at.bytes())
		}
		return f.add(o, at.bytes())
	}, func(controls []ldap.Control) error {
		if c, ok := ldap.FindControl(controls, controlDirSync).(*ldap.ControlDirSync); ok {
			more, next, answered = c.Flags != 0, c.Cookie, true
		}
		return nil
	})
	if err == nil && !answered {
		err = errors.New("the server does not answer to the DirSync control")
	}
	return more, changed, next, err
}

// filterAttributes adds the attributes that a filter looks at to names. Of group membership
// a user's entry only shows a reflection, which never counts as changed.
func filterAttributes(names []string, filter *ber.Packet) []string {
	attribute := filter // (attribute=*)
	switch filter.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		for _, f := range filter.Children {
			names = filterAttributes(names, f)
		}
		return names
	case ldap.FilterExtensibleMatch:
		i := slices.IndexFunc(filter.Children, func(c *ber.Packet) bool { return c.Tag == ldap.MatchingRuleAssertionType })
		if i < 0 {
			return names // any attribute
		}
		attribute = filter.Children[i]
	case ldap.FilterPresent:
	default:
		attribute = filter.Children[0]
	}
	if name, ok := attribute.Value.(string); ok && !strings.EqualFold(name, "memberOf") && !contains(names, name) {
		names = append(names, name)
	}
	return names
}

// remember adds an entry to the changed objects.
func remember(changed *[]change, e *ldap.Entry) error {
	guid := e.GetEqualFoldRawAttributeValue("objectGUID")
	if len(guid) != 16 {
		return fmt.Errorf("%q has no objectGUID", e.DN)
	}
	if len(*changed) == maxChanges {
		return fmt.Errorf("the server names more than %d changed objects at once", maxChanges)
	}
	*changed = append(*changed, change{string(guid), e.DN})
	return nil
}

// covers reports whether a name is below the base of the searches.
func (f *feed) covers(dn string) bool {
	base, err := ldap.ParseDN(f.base)
	if err != nil {
		return false
	}
	name, err := ldap.ParseDN(dn)
	return err == nil && (base.EqualFold(name) || base.AncestorOfFold(name))
}

// again reads the objects that changed once more, whole, and adds them to the batch. One
// that is not to be found was deleted, moved away, or hidden from us.
func (f *feed) again(changed []change, cursor []byte) error {
	for chunk := range slices.Chunk(changed, guidsPerSearch) {
		names := map[string]string{}
		var filter strings.Builder
		filter.WriteString("(|")
		for _, c := range chunk {
			names[hex.EncodeToString([]byte(c.guid))] = c.dn
			filter.WriteString("(objectGUID=" + escapeOctets([]byte(c.guid)) + ")")
		}
		filter.WriteString(")")
		err := f.search(f.base, f.store.filtered(filter.String()), nil, func(e *ldap.Entry) error {
			o := f.store.syncObject(e)
			delete(names, o.ID)
			return f.add(o, cursor)
		})
		if err != nil {
			return err
		}
		for id, dn := range names {
			if err := f.add(&sync.Object{ID: id, Name: dn, Deleted: true}, cursor); err != nil {
				return err
			}
		}
	}
	return nil
}

// escapeOctets writes octets into a filter (RFC 4515, Section 3).
func escapeOctets(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteByte('\\')
		s.WriteString(hex.EncodeToString([]byte{c}))
	}
	return s.String()
}
