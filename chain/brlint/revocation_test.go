package brlint_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/chain/brlint"
)

// An authority issues what tells about revocation.
type authority struct {
	*x509.Certificate
	key crypto.Signer
}

func (a *authority) issue(t testing.TB, tmpl *x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := tmpl, crypto.Signer(key)
	if a != nil {
		parent, signer = a.Certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func newAuthority(t testing.TB, name string) *authority {
	var none *authority
	return none.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: name}, NotBefore: begin, NotAfter: begin.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

func codes(list []chain.Finding) string {
	var out []string
	for _, f := range list {
		if f.Reference == "" || f.Detail == "" || f.Severity != "warning" || f.Certificate == nil {
			return "incomplete finding " + f.Code
		}
		if !slices.Contains(out, f.Code) {
			out = append(out, f.Code)
		}
	}
	return strings.Join(out, " ")
}

// br.crl: the form of lists, how long they count and the reasons they give.
func TestCheckCRL(t *testing.T) {
	ca := newAuthority(t, "CA")
	leaf := ca.issue(t, strictMailbox())
	loose := strictMailbox()
	loose.Policies[0] = reserved(1, 2)
	multi := ca.issue(t, loose)
	below := ca.issue(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: stdpkix.Name{CommonName: "Sub"}, IsCA: true, BasicConstraintsValid: true})
	entry := func(reason int) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: big.NewInt(7), RevocationTime: begin, ReasonCode: reason}
	}
	revoke := func(reason int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.RevokedCertificateEntries = []x509.RevocationListEntry{entry(reason)} }
	}
	for _, tt := range []struct {
		name  string
		about *authority
		edit  func(*x509.RevocationList)
		want  string
	}{
		{"ten days", leaf, func(*x509.RevocationList) {}, ""},
		{"a second more", leaf, func(l *x509.RevocationList) { l.NextUpdate = l.NextUpdate.Add(time.Second) }, "br.crl"},
		{"a year for a CA", below, func(l *x509.RevocationList) { l.NextUpdate = l.ThisUpdate.AddDate(1, 0, 0) }, ""},
		{"two years for a CA", below, func(l *x509.RevocationList) { l.NextUpdate = l.ThisUpdate.AddDate(2, 0, 0) }, "br.crl"},
		{"a reason", leaf, revoke(1), ""},
		{"no reason", leaf, revoke(0), ""},
		{"on hold, strict", leaf, revoke(6), "br.crl"},
		{"on hold, multipurpose", multi, revoke(6), ""},
	} {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: begin.AddDate(0, 0, 10)}
		tt.edit(list)
		der, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := codes(brlint.CheckCRL(der, tt.about.Certificate)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		// A list of another issuer is nobody's business.
		if list := brlint.CheckCRL(der, newAuthority(t, "Other").Certificate); list != nil {
			t.Errorf("%s: another issuer's: %v", tt.name, list)
		}
	}
	// crypto/x509 never spells out the reason 0; here another one becomes it.
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: begin.AddDate(0, 0, 10)}
	revoke(1)(list)
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	reason, err := asn1.Marshal(stdpkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: []byte{10, 1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(der, reason)
	if i < 0 {
		t.Fatal("no reason in the list")
	}
	der[i+len(reason)-1] = 0
	if got := codes(brlint.CheckCRL(der, leaf.Certificate)); got != "br.crl" {
		t.Errorf("the reason unspecified: %q", got)
	}
	if got := codes(brlint.CheckCRL([]byte{0x30}, leaf.Certificate)); got != "br.crl" {
		t.Errorf("rubbish: %q", got)
	}
	if got := brlint.CheckCRL(nil, &x509.Certificate{}); len(got) != 1 || got[0].Code != "br.malformed" {
		t.Errorf("no certificate: %v", got)
	}
}

// br.ocsp: who answers, and for how long.
func TestCheckOCSP(t *testing.T) {
	ca, other := newAuthority(t, "CA"), newAuthority(t, "Other")
	leaf := ca.issue(t, strictMailbox())
	delegate := func(issuer *authority, signs, nocheck bool) *authority {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: stdpkix.Name{CommonName: "Responder"}, NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0)}
		if signs {
			tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		}
		if nocheck {
			tmpl.ExtraExtensions = []stdpkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
		}
		return issuer.issue(t, tmpl)
	}
	good := delegate(ca, true, true)
	for _, tt := range []struct {
		name   string
		signer *authority
		edit   func(*ocsp.Response)
		want   string
	}{
		{"by the issuer", ca, func(*ocsp.Response) {}, ""},
		{"by a delegate", good, func(*ocsp.Response) {}, ""},
		{"by a delegate not made for it", delegate(ca, false, true), func(*ocsp.Response) {}, "br.ocsp"},
		{"by a delegate without nocheck", delegate(ca, true, false), func(*ocsp.Response) {}, "br.ocsp"},
		{"by a delegate of somebody else", delegate(other, true, true), func(*ocsp.Response) {}, "br.ocsp"},
		{"by a delegate who does not say who he is", good, func(r *ocsp.Response) { r.Certificate = nil }, "br.ocsp"},
		{"eight hours", ca, func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate.Add(8 * time.Hour) }, ""},
		{"less than eight hours", ca, func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate.Add(8*time.Hour - time.Minute) }, "br.ocsp"},
		{"ten days", ca, func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate.AddDate(0, 0, 10) }, ""},
		{"more than ten days", ca, func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate.AddDate(0, 0, 10).Add(time.Minute) }, "br.ocsp"},
		{"no end", ca, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }, "br.ocsp"},
		{"revoked", ca, func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, begin, 1 }, ""},
		{"on hold", ca, func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, begin, 6 }, "br.ocsp"},
		{"about something else", ca, func(r *ocsp.Response) { r.SerialNumber, r.NextUpdate = big.NewInt(9), time.Time{} }, ""},
	} {
		tmpl := ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: begin, NextUpdate: begin.Add(24 * time.Hour)}
		if tt.signer != ca {
			tmpl.Certificate = tt.signer.Certificate
		}
		tt.edit(&tmpl)
		der, err := ocsp.CreateResponse(ca.Certificate, tt.signer.Certificate, tmpl, tt.signer.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := codes(brlint.CheckOCSP(der, leaf.Certificate, ca.Certificate)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := codes(brlint.CheckOCSP([]byte{0x30}, leaf.Certificate, ca.Certificate)); got != "br.ocsp" {
		t.Errorf("rubbish: %q", got)
	}
	if got := brlint.CheckOCSP(ocsp.TryLaterErrorResponse, leaf.Certificate, ca.Certificate); got != nil {
		t.Errorf("an error is no answer: %v", got)
	}
}
