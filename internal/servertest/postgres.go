//go:build unix

package servertest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Postgres starts a PostgreSQL server and returns the URL of an empty database.
func Postgres(t testing.TB) string {
	t.Helper()
	const bin = "/usr/lib/postgresql/*/bin"
	initdb, postgres, ready := Need(t, "initdb", bin), Need(t, "postgres", bin), Need(t, "pg_isready", bin)
	who := servant(t, "postgres")
	dir := folder(t, "postgres")
	password := filepath.Join(dir, "password")
	write(t, password, []byte("secret\n"))
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	give(t, dir, who)
	run(t, dir, who, []string{"LC_ALL=C.UTF-8"}, initdb, "-D", data, "-A", "scram-sha-256", "--pwfile", password, "-U", "postgres", "--no-sync", "-E", "UTF8")
	port := freePort(t)
	p := start(t, dir, who, []string{"LC_ALL=C.UTF-8"}, postgres, "-D", data, "-p", fmt.Sprint(port), "-h", "127.0.0.1", "-k", dir,
		"-c", "fsync=off", "-c", "max_connections=60")
	p.wait(t, 30*time.Second, func() error {
		return exec.Command(ready, "-h", "127.0.0.1", "-p", fmt.Sprint(port)).Run()
	})
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", "secret"), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}
