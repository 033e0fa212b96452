package ldapstore

import (
	"errors"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/postseal/postseal/certstore/sync"
)

// Syncrepl returns a source that uses content synchronisation (RFC 4533), which OpenLDAP
// offers where its syncprov overlay is loaded. Every run is one refresh.
func (s *Store) Syncrepl() sync.Source { return &source{s, (*feed).syncrepl} }

func (f *feed) syncrepl(raw []byte) error {
	at := f.store.readCursor(raw, "syncrepl")
	err := f.refresh(at, raw)
	var answer *ldap.Error
	if at.Cookie != nil && errors.As(err, &answer) && answer.ResultCode == ldap.LDAPResultSyncRefreshRequired {
		return f.refresh(f.store.cursor("syncrepl"), nil)
	}
	return err
}

// refresh runs one refresh of the content. Until its end it is not known whether the
// server names what changed, or all that is still there, so the pass begins as if it
// named everything.
func (f *feed) refresh(at cursor, raw []byte) error {
	f.batch.Reset = true
	next := at
	// deletes: the server has said what was deleted. present: it has named what is left.
	deletes, present := false, false
	request := &ldap.SearchRequest{
		BaseDN: f.base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		Filter: f.store.filtered(withCertificates), Attributes: f.store.syncAttributes(),
		Controls: []ldap.Control{ldap.NewControlSyncRequest(ldap.SyncRequestModeRefreshOnly, at.Cookie, false)},
	}
	done := false
	err := f.conn.search(f.ctx, request, func(e *ldap.Entry, controls []ldap.Control) error {
		f.pulse.beat()
		state, ok := ldap.FindControl(controls, ldap.ControlTypeSyncState).(*ldap.ControlSyncState)
		if !ok {
			return errors.New("an entry without its synchronisation state")
		}
		id := strings.ToLower(state.EntryUUID.String())
		switch state.State {
		case ldap.SyncStatePresent:
			present = true
			return f.add(&sync.Object{ID: id, Name: e.DN, Unchanged: true}, raw)
		case ldap.SyncStateDelete:
			return f.add(&sync.Object{ID: id, Name: e.DN, Deleted: true}, raw)
		}
		o := f.store.syncObject(e)
		o.ID = id // the one its deletion will name, also where the attribute is hidden from us
		return f.add(o, raw)
	}, func(controls []ldap.Control) error {
		f.pulse.beat()
		for _, control := range controls {
			switch c := control.(type) {
			case *ldap.ControlSyncInfo:
				if err := f.syncInfo(c, raw, &present); err != nil {
					return err
				}
			case *ldap.ControlSyncDone:
				done = true
				deletes = c.RefreshDeletes
				if len(c.Cookie) > 0 {
					next.Cookie = c.Cookie
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !done || len(next.Cookie) == 0 {
		return errors.New("the server does not synchronise content: it sent no cookie")
	}
	return f.finish(next.bytes(), at.Cookie == nil || present || !deletes)
}

// syncInfo takes in an intermediate message (RFC 4533, Section 2.5).
func (f *feed) syncInfo(c *ldap.ControlSyncInfo, raw []byte, present *bool) error {
	switch c.Value {
	case ldap.SyncInfoRefreshPresent:
		*present = true
	case ldap.SyncInfoSyncIdSet:
		if c.SyncIdSet == nil {
			return errors.New("a set of entries without the set")
		}
		*present = *present || !c.SyncIdSet.RefreshDeletes
		for _, id := range c.SyncIdSet.SyncUUIDs {
			o := &sync.Object{ID: strings.ToLower(uuid.UUID(id).String()), Deleted: c.SyncIdSet.RefreshDeletes, Unchanged: !c.SyncIdSet.RefreshDeletes}
			if err := f.add(o, raw); err != nil {
				return err
			}
		}
	}
	return nil
}
