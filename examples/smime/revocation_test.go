package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/certtest"
)

// The lists and responses that a database keeps decide about a message like those of the
// command line.
func TestDatabaseTellsRevocation(t *testing.T) {
	d := newDesk(t)
	ca := certtest.NewCA(t, "Root")
	signer := func(name string) *x509.Certificate {
		_, key := ca.IssueRSA(t)
		cert := ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
			c.EmailAddresses = []string{"alice@example.com"}
			c.CRLDistributionPoints = []string{"http://crl.example/a.crl"}
		})
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		d.write(name+".id", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))+string(certificate(cert)))
		d.run(0, "", "sign --identity @"+name+".id --out @"+name+".eml @plain.eml")
		return cert
	}
	listed, answered := signer("listed"), signer("answered")
	signer("good")
	d.write("root.pem", string(certificate(ca.Certificate)))
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at.Add(-time.Hour), NextUpdate: at.Add(time.Hour)}
	list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: listed.SerialNumber, RevocationTime: at.Add(-time.Hour)}}
	crl, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	response, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{
		Status: ocsp.Revoked, SerialNumber: answered.SerialNumber, RevokedAt: at.Add(-time.Hour), ThisUpdate: at.Add(-time.Hour), NextUpdate: at.Add(time.Hour),
	}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	name := "sqlite:" + filepath.Join(d.dir, "certs.db")
	db, err := sqlstore.Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PutCRL(context.Background(), "test", crl); err != nil {
		t.Fatal(err)
	}
	if err := db.PutOCSP(context.Background(), answered, response); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		message, options string
		exit             int
		code             string
	}{
		{"@listed.eml", "", 1, "rev.unknown"},
		{"@listed.eml", "--store " + name, 1, "rev.revoked"},
		{"@answered.eml", "--store " + name, 1, "rev.revoked"},
		{"@listed.eml", "--revocation hard --store " + name, 1, "rev.revoked"},
		{"@listed.eml", "--revocation soft --store " + name, 1, "rev.revoked"},
		{"@listed.eml", "--revocation supplied-only --store " + name, 1, "rev.unknown"},
		{"@listed.eml", "--revocation off --store " + name, 0, ""},
		{"@good.eml", "", 1, "rev.unknown"},
		{"@good.eml", "--store " + name, 0, ""},
		{"@good.eml", "--revocation hard --store " + name, 0, ""},
	} {
		got := d.report(tt.exit, tt.options+" "+tt.message)
		if tt.code != "" && !strings.Contains(strings.Join(got.Codes, " "), tt.code) {
			t.Errorf("%s %s: %v, want %s", tt.options, tt.message, got.Codes, tt.code)
		}
	}
}

// A file that was to tell about revocation and cannot is an error: going on without it
// would be another answer than the one that was asked for.
func TestRevocationFiles(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "sign --identity @alice.id --out @signed.eml @plain.eml")
	d.write("garbage", "garbage")
	d.write("der", "0\x03\x02\x01\x05")
	d.write("empty", "")
	d.write("list.pem", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("0\x03\x02\x01\x05")})))
	ca := certtest.NewCA(t, "CA")
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: certtest.Epoch(), NextUpdate: certtest.Epoch().AddDate(1, 0, 0)}, ca.Certificate, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	good := string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}))
	d.write("good.pem", good+d.read("root.pem"))
	d.run(0, "", "chain --roots @root.pem --time 2026-06-01T00:00:00Z --crl @good.pem @alice.pem")
	d.write("damaged.pem", strings.Replace(good, "M", "?", 1)+good)
	for _, name := range []string{"@garbage", "@der", "@empty", "@list.pem", "@damaged.pem", "@root.pem", "@none"} {
		for _, option := range []string{"--crl ", "--ocsp "} {
			d.run(3, "", "open --roots @root.pem "+option+name+" @signed.eml")
			d.run(2, "", "chain --roots @root.pem "+option+name+" @alice.pem")
			if r := d.report(3, option+name+" @signed.eml"); r.Verdict != "unreadable" {
				t.Errorf("%s%s: %s", option, name, r.Verdict)
			}
		}
	}
}
