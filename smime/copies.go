package smime

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ComposeCopies composes the message src for c.Recipients and, each by itself, for those
// in c.Bcc: nothing in one copy tells that there is another. It asks create for a writer
// for each copy, naming whom the copy is for, and closes it. The copy for c.Recipients
// comes first; if there are none, only the others are made.
//
// Certificates are checked before create is called for the first time. If the error is
// not nil, every copy must be discarded.
func (c *Composer) ComposeCopies(create func(to []*x509.Certificate) (io.WriteCloser, error), src io.ReadSeeker) error {
	groups, err := c.groups()
	if err != nil {
		return err
	}
	for i, to := range groups {
		copied := c.copyFor(to, i > 0 || !c.encrypts())
		if _, err := copied.plan(); err != nil {
			return err
		}
	}
	start, err := src.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("smime: reading the message: %w", err)
	}
	if c.CoverHeader && !c.encrypts() {
		// There is no copy for those in To and Cc.
		e, err := readMessage(src)
		if err != nil {
			return err
		}
		if err := (&plan{cover: []*x509.Certificate{}}).covered(e.Header); err != nil {
			return err
		}
	}
	for i, to := range groups {
		if _, err := src.Seek(start, io.SeekStart); err != nil {
			return fmt.Errorf("smime: reading the message again: %w", err)
		}
		if err := c.copyFor(to, i > 0 || !c.encrypts()).composeCopy(create, src); err != nil {
			return err
		}
	}
	return nil
}

func (c *Composer) composeCopy(create func([]*x509.Certificate) (io.WriteCloser, error), src io.Reader) error {
	w, err := create(c.Recipients)
	if err != nil {
		return err
	}
	if _, err = c.Compose(w, src); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// copyFor returns a composer for one copy. Those in To and Cc are covered by the copy
// that is not for Bcc recipients.
func (c *Composer) copyFor(to []*x509.Certificate, bcc bool) *Composer {
	copied := *c
	copied.Recipients, copied.Bcc = to, nil
	copied.CoverHeader = c.CoverHeader && !bcc
	if bcc {
		copied.Secret, copied.Passphrase = nil, nil
	}
	return &copied
}

// groups says who gets a copy together with whom.
func (c *Composer) groups() ([][]*x509.Certificate, error) {
	var groups [][]*x509.Certificate
	if c.Recipients != nil && len(c.Recipients) == 0 {
		return nil, errors.New("smime: the list of Recipients is empty")
	}
	if c.encrypts() {
		groups = append(groups, c.Recipients)
	}
	if len(c.Bcc) == 0 {
		if len(groups) == 0 {
			return nil, errors.New("smime: ComposeCopies needs Recipients or Bcc")
		}
		return groups, nil
	}
	if c.Draft {
		return nil, errors.New("smime: a Draft is for its author, and would name Bcc recipients in every copy")
	}
	switch c.BccMode {
	case "", "each":
		for _, cert := range c.Bcc {
			groups = append(groups, []*x509.Certificate{cert})
		}
	case "together":
		groups = append(groups, slices.Clone(c.Bcc))
	case "refuse":
		return nil, errors.New("smime: an encrypted message may not have Bcc recipients")
	default:
		return nil, fmt.Errorf("smime: BccMode %q is not each, together or refuse", c.BccMode)
	}
	return groups, nil
}
