package ldapstore

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore/sync"
)

// USN returns a source that asks one domain controller of Active Directory for the
// objects that changed since the last run, by their update sequence numbers. It needs no
// control of its own. The numbers mean something on one server only, whose identity is
// watched: after a restore, or on another server, everything is read anew.
func (s *Store) USN() sync.Source { return &source{s, (*feed).usn} }

func (f *feed) usn(raw []byte) error {
	root, err := f.activeDirectory()
	if err != nil {
		return err
	}
	at := f.store.readCursor(raw, "usn")
	// The number is read before the objects: what changes meanwhile is seen twice.
	highest, invocation, err := f.usnServer()
	if err != nil {
		return err
	}
	next := f.store.cursor("usn")
	next.USN, next.Invocation = highest, invocation
	if at.Invocation != invocation || at.USN == 0 || at.USN > highest {
		f.batch.Reset = true
		if err := f.named(nil); err != nil {
			return err
		}
		return f.finish(next.bytes(), true)
	}
	since := fmt.Sprintf("(uSNChanged>=%d)", at.USN+1)
	// In the whole domain and without the store's filter: what was moved out of the base, or
	// does not meet the filter any more, is there no more either.
	var changed []change
	err = pages(f.ctx, f.conn, &ldap.SearchRequest{
		BaseDN: root.base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		Filter: "(&(|(objectClass=user)(objectClass=contact))" + since + ")", Attributes: []string{"objectGUID"},
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		f.pulse.beat()
		return remember(&changed, e)
	}, nil)
	if err == nil {
		err = f.again(changed, raw)
	}
	if err != nil {
		return err
	}
	deleted := "CN=Deleted Objects," + root.base
	err = f.search(deleted, "(&(isDeleted=TRUE)"+since+")", []ldap.Control{ldap.NewControlString(controlShowDeleted, true, "")}, func(e *ldap.Entry) error {
		return f.add(&sync.Object{ID: identity(e), Name: e.DN, Deleted: true}, raw)
	})
	if err != nil {
		return fmt.Errorf("deleted objects: %w", err)
	}
	return f.finish(next.bytes(), false)
}

// usnServer returns the highest number the server has given, and which incarnation of its
// database gave it.
func (f *feed) usnServer() (highest int64, invocation string, err error) {
	var service string
	err = f.conn.search(f.ctx, &ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"highestCommittedUSN", "dsServiceName"}},
		func(e *ldap.Entry, _ []ldap.Control) error {
			highest, err = strconv.ParseInt(textOf(e, "highestCommittedUSN"), 10, 64)
			service = textOf(e, "dsServiceName")
			return err
		}, nil)
	if err != nil {
		return 0, "", fmt.Errorf("update sequence number: %w", err)
	}
	if service == "" || highest == 0 {
		return 0, "", errors.New("the server tells no update sequence numbers")
	}
	err = f.conn.search(f.ctx, &ldap.SearchRequest{BaseDN: service, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"invocationId"}},
		func(e *ldap.Entry, _ []ldap.Control) error {
			invocation = fmt.Sprintf("%x", e.GetEqualFoldRawAttributeValue("invocationId"))
			return nil
		}, nil)
	if err == nil && invocation == "" {
		err = errors.New("the server does not say which incarnation it is")
	}
	return highest, invocation, err
}
