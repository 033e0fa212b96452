package main

import (
	"io"
	"os"
	"path/filepath"
)

// An output is a file that appears under its name only once it is complete, or standard
// output.
type output struct {
	io.Writer
	file *os.File // nil for standard output
	name string
}

// newOutput creates the file beside its final name; an existing file stays untouched
// until commit.
func newOutput(name string, stdout io.Writer) (*output, error) {
	if name == "" || name == "-" {
		return &output{Writer: stdout}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, unreadable(err)
	}
	return &output{f, f, name}, nil
}

// commit gives the file its name.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	f := o.file
	o.file = nil
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), o.name)
	}
	if err != nil {
		os.Remove(f.Name())
		return unreadable(err)
	}
	return nil
}

// discard removes the file unless it was committed.
func (o *output) discard() {
	if o.file != nil {
		o.file.Close()
		os.Remove(o.file.Name())
	}
}
