package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/certtest"
)

// keyPEM is a key with its certificate, as --identity takes them.
func keyPEM(t *testing.T, key *ecdsa.PrivateKey, c *x509.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
}

// program runs the program and returns its exit status and what it printed.
func program(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = run(args, strings.NewReader(""), &out, &errs)
	if exit != exitGood && strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("smime %s: exit status %d with %q on stderr, want one line", strings.Join(args, " "), exit, errs.String())
	}
	return exit, out.String(), errs.String()
}

func TestStores(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "Test CA")
	cert, key := ca.Issue(t, "alice@example.test")
	id := filepath.Join(dir, "alice.pem")
	roots := filepath.Join(dir, "ca.crt")
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{id: keyPEM(t, key, cert), roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const now = "--time=2026-06-01T00:00:00Z"
	db := "sqlite:" + filepath.Join(dir, "certs.db")
	other := "sqlite:" + filepath.Join(dir, "other.db")
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		// Whoever reads, or only asks what would be done, makes no database: a name that was
		// mistyped would be one that nobody is in.
		{[]string{"lookup", "--store", db, "alice@example.test", now}, exitUnreadable, "no such file"},
		{[]string{"encrypt", "--store", db, "--to", "alice@example.test", "--out", filepath.Join(dir, "out"), id, now}, exitUnreadable, "no such file"},
		{[]string{"open", "--store", db, id, now}, exitUnreadable, "no such file"},
		{[]string{"publish", "--store", db, "--identity", id, "--dry-run", now}, exitGood, "dry run"},
		{[]string{"lookup", "--store", db, "alice@example.test", now}, exitUnreadable, "no such file"},
		{[]string{"publish", "--store", db, "--identity", id, now}, exitGood, "published in alice@example.test"},
		{[]string{"lookup", "--store", db, "alice@example.test", now}, exitGood, "without --roots nobody vouches"},
		{[]string{"lookup", "--store", db, "--roots", roots, "alice@example.test", now}, exitGood, "for alice@example.test"},
		{[]string{"lookup", "--store", db, "--store", folder, "alice@example.test", "nobody@example.test", now}, exitNotGood, "1 of 2 addresses"},
		{[]string{"lookup", "--store", db, "alice@example.test", "--time=2030-01-01T00:00:00Z"}, exitNotGood, "it expired on 2027-01-01"},
		{[]string{"sync", "--from", db, "--to", other, "--dry-run", "--changes", now}, exitGood, "added 1, updated 0, removed 0, refused 0: not done"},
		{[]string{"lookup", "--store", other, "alice@example.test", now}, exitUnreadable, "no such file"},
		{[]string{"sync", "--from", db, "--to", other, "--changes", now}, exitGood, "added 1, updated 0, removed 0"},
		{[]string{"lookup", "--store", other, "alice@example.test", now}, exitGood, "until 2027-01-01"},
		{[]string{"sync", "--from", other, "--to", folder, "--state", filepath.Join(dir, "state"), now}, exitGood, "added 1"},
		{[]string{"sync", "--from", other, "--to", folder, "--state", filepath.Join(dir, "state"), now}, exitGood, "1 unchanged"},
		{[]string{"lookup", "--store", folder, "alice@example.test", now}, exitGood, "until 2027-01-01"},
		{[]string{"publish", "--store", "smimea:", "--identity", id, now}, exitGood, "_smimecert.example.test.\t3600\tIN\tSMIMEA\t3 0 0 "},

		{[]string{"lookup", "alice@example.test"}, exitUsage, "--store is needed"},
		{[]string{"lookup", "--store", db}, exitUsage, "no address"},
		{[]string{"lookup", "--store", "smimea:192.0.2.1", "alice@example.test"}, exitUsage, "could be forged"},
		{[]string{"lookup", "--store", "ldap://", "alice@example.test"}, exitUsage, "not of the form"},
		{[]string{"lookup", "--store", filepath.Join(dir, "missing"), "alice@example.test"}, exitUnreadable, "no such file"},
		{[]string{"lookup", "--store", "ldap://127.0.0.1:1", "alice@example.test"}, exitUnreadable, "connection refused"},
		{[]string{"sync", "--from", db}, exitUsage, "--from and --to"},
		{[]string{"sync", "--from", db, "--to", folder}, exitUsage, "--state is needed"},
		{[]string{"sync", "--from", db, "--to", id, "--state", "x"}, exitUsage, "cannot be written"},
		{[]string{"sync", "--from", db, "--to", other, "--method", "dirsync"}, exitUsage, "for directories"},
		{[]string{"sync", "--from", "smimea:127.0.0.1", "--to", other}, exitUsage, "end to end"},
		{[]string{"publish", "--store", db}, exitUsage, "--identity"},
		{[]string{"publish", "--store", roots, "--identity", id}, exitUsage, "cannot be written"},
	} {
		exit, stdout, stderr := program(t, test.args...)
		if exit != test.exit || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("smime %s: exit status %d, want %d with %q:\n%s%s", strings.Join(test.args, " "), exit, test.exit, test.want, stdout, stderr)
		}
	}

	_, out, _ := program(t, "lookup", "--store", db, "--json", "alice@example.test", "nobody@example.test", now)
	var report struct {
		Results []struct {
			Address, Trust string
			Candidates     []struct{ Usable bool }
			Errors         []string
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := report.Results; len(r) != 2 || r[0].Address != "alice@example.test" || r[0].Trust != "not-checked" || len(r[0].Candidates) != 1 || !r[0].Candidates[0].Usable || r[1].Candidates == nil || len(r[1].Candidates) != 0 {
		t.Errorf("%s", out)
	}
}

// A database that has gone, with the disk it was on for one, takes nobody's certificates
// with it.
func TestMissingDatabase(t *testing.T) {
	d := newDesk(t)
	db := "sqlite:" + filepath.Join(d.dir, "certs.db")
	d.run(0, "", "publish --store "+db+" --identity @alice.id")
	if err := os.Mkdir(filepath.Join(d.dir, "copy"), 0o700); err != nil {
		t.Fatal(err)
	}
	carry := "sync --from " + db + " --to @copy --state @state"
	d.run(0, "", carry)
	for _, name := range []string{"certs.db", "certs.db-wal", "certs.db-shm"} {
		os.Remove(filepath.Join(d.dir, name))
	}
	d.run(3, "", carry)
	d.missing("certs.db")
	d.run(0, "", "lookup --store @copy alice@example.com")
}

// Attack row H06: a certificate that is filed under somebody's address, but is not his, is not used for him.
func TestLookupOthersCertificate(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "Test CA")
	mallory, key := ca.Issue(t, "mallory@example.test")
	id := filepath.Join(dir, "mallory.pem")
	if err := os.WriteFile(id, keyPEM(t, key, mallory), 0o600); err != nil {
		t.Fatal(err)
	}
	db := "sqlite:" + filepath.Join(dir, "certs.db")
	const now = "--time=2026-06-01T00:00:00Z"
	if exit, _, stderr := program(t, "publish", "--store", db, "--identity", id, "--address", "alice@example.test", now); exit != exitGood {
		t.Fatal(stderr)
	}
	exit, out, _ := program(t, "lookup", "--store", db, "alice@example.test", now)
	if exit != exitNotGood || !strings.Contains(out, "does not name alice@example.test") {
		t.Errorf("exit status %d\n%s", exit, out)
	}
	exit, _, stderr := program(t, "encrypt", "--store", db, "--to", "alice@example.test", "--out", filepath.Join(dir, "out"), id, now)
	if exit != exitNotGood || !strings.Contains(stderr, "does not name") {
		t.Errorf("exit status %d: %s", exit, stderr)
	}
}

// The mailbox of a certificate may be in a SmtpUTF8Mailbox, or in its subject.
func TestPublishMailbox(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "Test CA")
	_, key := ca.Issue(t)
	der := func(v any, params string) []byte {
		b, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	other := append(der(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}, ""), der("δοκιμή@example.test", "utf8,explicit,tag:0")...)
	san := der([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: other}}, "")
	for address, change := range map[string]func(*x509.Certificate){
		"δοκιμή@example.test": func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{2, 5, 29, 17}, Value: san})
		},
		"alice@example.test": func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{1, 2, 840, 113549, 1, 9, 1}, Value: "alice@example.test"}}
		},
	} {
		id := filepath.Join(dir, "id.pem")
		if err := os.WriteFile(id, keyPEM(t, key, ca.IssueFor(t, key.Public(), change)), 0o600); err != nil {
			t.Fatal(err)
		}
		db := "sqlite:" + filepath.Join(dir, "certs.db")
		const now = "--time=2026-06-01T00:00:00Z"
		if exit, out, stderr := program(t, "publish", "--store", db, "--identity", id, now); exit != exitGood || !strings.Contains(out, address) {
			t.Errorf("%s: %s%s", address, out, stderr)
		}
		if exit, out, stderr := program(t, "lookup", "--store", db, address, now); exit != exitGood {
			t.Errorf("%s: %s%s", address, out, stderr)
		}
	}
}

// What is printed of a database, and kept as the source of entries, has no password.
func TestWithoutPassword(t *testing.T) {
	for name, want := range map[string]string{
		"postgres://user:secret@db.example.test/certs?sslmode=require":    "postgres://user@db.example.test/certs?sslmode=require",
		"postgresql://user:s/ecr:et@db1.example.test:1,db2.example.test/": "postgresql://user@db1.example.test:1,db2.example.test/",
		"postgres://db.example.test/certs?user=u&password=secret&x=y":     "postgres://db.example.test/certs?user=u&password=&x=y",
		"postgres://db.example.test:5432/certs?a=b@c":                     "postgres://db.example.test:5432/certs?a=b@c",
		"sqlite:a?password=no": "sqlite:a?password=no",
	} {
		if got := withoutPassword(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
