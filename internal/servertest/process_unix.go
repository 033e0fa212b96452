//go:build unix && !linux

package servertest

import (
	"os/user"
	"syscall"
)

// attributes puts a command into a process group of its own and has it run as who.
func attributes(who *user.User) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if who != nil {
		if uid, gid, err := ids(who); err == nil {
			a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return a
}
