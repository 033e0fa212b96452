package peertest_test

import (
	"errors"

	"github.com/postseal/postseal/internal/peertest"
)

// ours is postseal itself, as one peer among the others.
type ours struct{ lab *peertest.Lab }

func (ours) Name() string                     { return "postseal" }
func (ours) Version() string                  { return "" }
func (ours) CannotWrite(peertest.Form) string { return "" }
func (ours) CannotRead(peertest.Form) string  { return "" }

func (o ours) Write(f peertest.Form, content []byte) ([]byte, error) {
	return nil, errors.New("not yet")
}

func (o ours) Read(f peertest.Form, cms, content []byte) ([]byte, error) {
	return nil, errors.New("not yet")
}
