package main

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/postseal/postseal/certstore"
)

// openStores opens the stores of --store in order; none is no store.
func openStores(names []string) (certstore.Store, error) {
	var all []certstore.Store
	for _, name := range names {
		s, err := certstore.OpenDir(name)
		if err != nil {
			return nil, unreadable(err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return certstore.Multi(all...), nil
}

// lookup finds the newest certificate of an address.
func (o *composeOptions) lookup(address string) (*x509.Certificate, error) {
	store, err := openStores(o.stores)
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, fmt.Errorf("%s needs --store to be looked up in", address)
	}
	var best *x509.Certificate
	for e, err := range store.Certificates(context.Background(), certstore.Email(address)) {
		if err != nil {
			return nil, err
		}
		if c := e.Certificate; best == nil || c.NotBefore.After(best.NotBefore) {
			best = c
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no certificate of %s in the stores", address)
	}
	return best, nil
}
