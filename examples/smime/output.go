package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An output is a file that appears under its name only once it is complete, or standard
// output.
type output struct {
	io.Writer
	file   *os.File // nil for standard output
	name   string
	device bool // a device or a pipe has that name, which is written to and not replaced
}

// newOutput creates the file beside its final name; an existing file stays untouched
// until commit.
func newOutput(name string, stdout io.Writer) (*output, error) {
	if name == "" || name == "-" {
		return &output{Writer: stdout}, nil
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // what a link leads to is meant, /dev/stdout for one
	}
	o := &output{name: name}
	dir := filepath.Dir(name)
	switch info, err := os.Stat(name); {
	case err == nil && info.IsDir():
		return nil, unreadable(fmt.Errorf("%s is a folder", name))
	case err == nil && !info.Mode().IsRegular():
		o.device, dir = true, ""
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, unreadable(err)
	}
	o.Writer, o.file = f, f
	return o, nil
}

// commit gives the file its name.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	if o.device {
		defer o.discard()
		return o.pour()
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

// pour copies what is complete to the device.
func (o *output) pour() error {
	to, err := os.OpenFile(o.name, os.O_WRONLY, 0)
	if err == nil {
		_, err = o.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(to, o.file)
	}
	if to != nil {
		err = errors.Join(err, to.Close())
	}
	if err != nil {
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
