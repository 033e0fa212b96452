package smime_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"fmt"
	"crypto/x509"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

func TestProbe(t *testing.T) {
	root := os.Getenv("POSTSEAL_CORPUS")
	list, _ := os.ReadFile("/tmp/mails.txt")
	keys := new(certstore.Memory)
	for f, pw := range map[string]string{
		"thunderbird/mailnews/test/data/smime/Bob.p12": "nss", "thunderbird/mail/test/browser/smime/data/Bob.p12": "nss",
		"thunderbird/mailnews/test/data/smime/Alice.p12": "nss",
		"notmuch/test/smime/bob.p12": "bob", "protected-headers/bob.p12": "bob",
		"nextcloud/src/tests/data/user@imap.localhost.p12": "", 
	} {
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil { t.Log(err); continue }
		ids, err := certstore.ReadIdentities(b, pw)
		if err != nil { t.Log(f, err); continue }
		keys.AddIdentity(ids...)
	}
	for c, k := range map[string]string{
		"nextcloud/tests/data/smime-certs/user@imap.localhost.crt": "nextcloud/tests/data/smime-certs/user@imap.localhost.key",
		"bc-java/mail/src/test/resources/org/bouncycastle/mail/smime/test/cert.pem": "bc-java/mail/src/test/resources/org/bouncycastle/mail/smime/test/key.pem",
	} {
		a, _ := os.ReadFile(filepath.Join(root, c))
		b, _ := os.ReadFile(filepath.Join(root, k))
		ids, err := certstore.ReadIdentities(append(append(a, '\n'), b...), "")
		if err != nil { t.Log(c, err); continue }
		keys.AddIdentity(ids...)
	}
	col := new(chain.Collection)
	for _, f := range []string{"thunderbird/mailnews/test/data/smime/TestCA.pem", "thunderbird/mail/test/browser/smime/data/TestCA.pem", "notmuch/test/smime/ca.crt", "protected-headers/sample-ca.pem", "nextcloud/tests/data/smime-certs/imap.localhost.ca.crt", "james/server/mailet/integration-testing/src/main/resources/smime-test-resource-set/rootCA.crt"} {
		b, err := os.Open(filepath.Join(root, f))
		if err != nil { t.Log(err); continue }
		c, err := chain.ReadCollection(b)
		if err != nil { t.Log(f, err); continue }
		col.AddAnchor(c.Certificates()...)
	}
	_ = x509.Certificate{}
	v := chain.NewVerifier(col, chain.Revocation{})
	for _, allow := range []bool{false, true} {
	for _, name := range bytes.Fields(list) {
		o := &smime.Opener{Chain: v, Keys: keys, AllowSHA1: allow, AllowLegacyCiphers: allow}
		f, err := os.Open(filepath.Join(root, string(name)))
		if err != nil { t.Log(err); continue }
		r, err := o.Inspect(t.Context(), f)
		if err != nil { t.Log(err); continue }
		var sig string
		for _, l := range r.Layers {
			for _, s := range l.Signatures { sig += fmt.Sprint(" [", s.Crypto, s.Trust, s.Address, s.Codes, "]") }
			for _, q := range l.Recipients { sig += fmt.Sprint(" {", q.Algorithm, q.Used, "}") }
		}
		fmt.Println(allow, string(name), r.Verdict, r.Codes, r.Warnings, kinds(r), sig)
		f.Close()
	}
	}
}
