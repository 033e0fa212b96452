package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime/smimetest"
)

// A key file of somebody who has a certificate for each use holds the older ones too, for
// old mail. They are neither in the way of signing and publishing nor announced.
func TestOlderIdentities(t *testing.T) {
	pki := smimetest.NewPKI(t)
	years := func(n int) time.Time { return smimetest.Now().AddDate(n, 0, 0) }
	issue := func(name string, usage x509.KeyUsage, before, after time.Time) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: name, Emails: []string{"alice@good.example"}, KeyUsage: usage, NotBefore: before, NotAfter: after})
	}
	const signs, encrypts = x509.KeyUsageDigitalSignature, x509.KeyUsageKeyAgreement
	old := issue("old", encrypts, years(-3), years(-1))
	second := issue("second", encrypts, years(-2), years(1))
	newest := issue("newest", encrypts, years(-1), years(1))
	coming := issue("coming", encrypts, years(1), years(2))
	signing := issue("signing", signs, years(-1), years(1))
	dir := t.TempDir()
	for _, order := range [][]*certstore.Identity{
		{old, second, newest, coming, signing},
		{signing, coming, newest, second, old},
	} {
		var file []byte
		for _, id := range order {
			file = append(file, identityPEM(t, id)...)
		}
		name := filepath.Join(dir, "alice.pem")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		clock := "--time=" + smimetest.Now().Format(time.RFC3339)
		if exit := run([]string{"sign", "--opaque", "--identity", name, clock, "-"}, strings.NewReader("From: alice@good.example\r\n\r\nhi\r\n"), &out, &errs); exit != exitGood {
			t.Fatalf("sign: %d, %s", exit, errs.String())
		}
		_, body, _ := strings.Cut(out.String(), "\r\n\r\n")
		der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[*certstore.Identity]bool{old: false, second: false, newest: true, coming: false, signing: true} {
			if got := bytes.Contains(der, id.Certificate().Raw); got != want {
				t.Errorf("the certificate %s is in the signature: %v, want %v", id.Certificate().Subject, got, want)
			}
		}

		out.Reset()
		db := "sqlite:" + filepath.Join(t.TempDir(), "certs.db")
		if exit := run([]string{"publish", "--json", "--store", db, "--identity", name, clock}, nil, &out, &errs); exit != exitGood {
			t.Fatalf("publish: %d, %s", exit, errs.String())
		}
		var r publishReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Changes) != 2 || r.Changes[0].SHA256 != hexSum256(signing.Certificate().Raw) || r.Changes[1].SHA256 != hexSum256(newest.Certificate().Raw) {
			t.Errorf("published %+v", r.Changes)
		}
	}
}
