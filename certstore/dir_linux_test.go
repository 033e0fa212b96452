package certstore_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
)

// A file that could not be read is tried again: what makes it readable need not show in it.
func TestDirReadableLater(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("gives a file to somebody else")
	}
	d, path := folder(t, map[string][]byte{"alice.pem": certPEM(selfSigned(t, newKey(t), 1, "alice@example.org"))})
	name := filepath.Join(path, "alice.pem")
	long := time.Now().Add(-time.Hour)
	for _, err := range []error{os.Chmod(path, 0o755), os.Chtimes(name, long, long)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Somebody without rights, as far as this thread reads files.
	const nobody = 65534
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	as := func(user uintptr) { syscall.RawSyscall(syscall.SYS_SETFSUID, user, 0, 0) }
	defer as(0)
	for _, owner := range []int{0, nobody} {
		if err := os.Chown(name, owner, -1); err != nil {
			t.Fatal(err)
		}
		as(nobody)
		n, errs := 0, len(d.Errors())
		for _, err := range d.Certificates(t.Context(), certstore.Email("alice@example.org")) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		as(0)
		if readable := owner == nobody; (n == 1) != readable || (errs == 0) != readable {
			t.Errorf("of %d: found %d, %d errors", owner, n, errs)
		}
	}
}
