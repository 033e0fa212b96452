//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sync

import (
	"errors"
	"os"
	"syscall"
)

// locks says that there are locks of files, which end with the process at the latest.
const locks = true

// lock locks a file until it is closed. One that another process has locked is a conflict.
func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrConflict
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
			return nil // a file system of another machine's
		}
		return err
	}
}
