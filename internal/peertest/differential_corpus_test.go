package peertest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
)

// corpusIdentities are everybody in the corpus whose private key the files of
// pkcs12.tsv, or these pairs of files, have.
func corpusIdentities(t *testing.T) []*certstore.Identity {
	t.Helper()
	var all []*certstore.Identity
	add := func(name string, data []byte, password string) {
		ids, err := certstore.ReadIdentities(data, password)
		if err != nil {
			t.Fatal(name, err)
		}
		all = append(all, ids...)
	}
	for i, line := range strings.Split(string(corpus.Read(t, "pkcs12.tsv")), "\n") {
		field := strings.Split(line, "\t")
		if i == 0 || len(field) < 3 || !strings.HasPrefix(field[2], "keys=1") {
			continue
		}
		password := strings.Replace(field[1], "(empty)", "", 1)
		data := corpus.Read(t, filepath.FromSlash(field[0]))
		if ids, err := certstore.ReadIdentities(data, password); err == nil {
			all = append(all, ids...)
		}
	}
	for certificate, key := range map[string]string{
		"nextcloud/tests/data/smime-certs/user@imap.localhost.crt": "nextcloud/tests/data/smime-certs/user@imap.localhost.key",
		bcMail + "cert.pem":            bcMail + "key.pem",
		"rfc4134/BobRSASignByCarl.cer": "rfc4134/BobPrivRSAEncrypt.pri",
	} {
		armoured := func(name, kind string) []byte {
			data := corpus.Read(t, filepath.FromSlash(name))
			if bytes.Contains(data, []byte("-----BEGIN")) {
				return append(data, '\n')
			}
			return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		}
		add(key, append(armoured(certificate, "CERTIFICATE"), armoured(key, "PRIVATE KEY")...), "")
	}
	if len(all) < 50 {
		t.Fatal("only", len(all), "identities")
	}
	return all
}

// A sample is a file of the corpus in which OpenSSL was asked to find S/MIME.
type sample struct {
	name string
	form string // DER or SMIME
	data []byte
}

func corpusSamples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	for i, line := range strings.Split(string(corpus.Read(t, "openssl-results.tsv")), "\n") {
		name, _, _ := strings.Cut(line, "\t")
		if i == 0 || name == "" {
			continue
		}
		data := corpus.Read(t, filepath.FromSlash(name))
		s := sample{name, "SMIME", data}
		if block, _ := pem.Decode(data); block != nil && bytes.HasPrefix(data, []byte("-----BEGIN")) {
			s.form, s.data = "DER", block.Bytes
		} else if data[0] == 0x30 {
			s.form = "DER"
		}
		all = append(all, s)
	}
	if len(all) < 300 {
		t.Fatal("only", len(all), "files")
	}
	return all
}

// TestDifferentialCorpus shows OpenSSL every message and structure of the corpus, to verify
// it whoever signed, and to decrypt it as everybody whose key is at hand and whom it names.
// What it makes of them, and the content, is what we make of them, but for the files in
// corpusDifferences.
func TestDifferentialCorpus(t *testing.T) {
	samples := corpusSamples(t)
	lab := peertest.New(t)
	openssl := lab.OpenSSL(t)
	ids := corpusIdentities(t)
	seen := map[string]bool{}
	var mu sync.Mutex
	compared, both := 0, 0
	one := func(i int) {
		s := samples[i]
		for _, c := range comparisons(t, openssl, lab.Dir, fmt.Sprint("sample", i), s, ids) {
			found := disagreement(c.ours, c.theirs, nil, nil)
			mu.Lock()
			compared++
			if c.ours.ok && c.theirs.ok {
				both++
			}
			key := s.name + c.as
			if why, known := corpusDifferences[key]; known && found == "" {
				t.Errorf("%s: no difference, though %s", key, why)
			} else if !known && found != "" {
				t.Errorf("%s: %s (ours: %s)", key, found, c.ours.why)
			}
			seen[key] = true
			mu.Unlock()
		}
	}
	work := make(chan int)
	var workers sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		workers.Go(func() {
			for i := range work {
				one(i)
			}
		})
	}
	for i := range samples {
		work <- i
	}
	close(work)
	workers.Wait()
	for key := range corpusDifferences {
		if !seen[key] {
			t.Errorf("%s was not compared", key)
		}
	}
	t.Log(len(samples), "files,", compared, "comparisons,", both, "accepted by both")
	if compared < 250 || both < 130 {
		t.Error("too few comparisons")
	}
}

// A comparison is one question that both were asked.
type comparison struct {
	as           string // for whom it was decrypted
	ours, theirs opinion
}

func comparisons(t *testing.T, openssl *peertest.OpenSSL, dir, stem string, s sample, ids []*certstore.Identity) (all []comparison) {
	in, out := filepath.Join(dir, stem+".in"), filepath.Join(dir, stem+".out")
	if err := os.WriteFile(in, s.data, 0o600); err != nil {
		t.Error(err)
		return nil
	}
	ask := func(args ...string) opinion {
		defer os.Remove(out)
		args = append([]string{"cms", "-inform", s.form, "-in", in, "-out", out, "-provider", "default", "-provider", "legacy"}, args...)
		if s.form == "DER" {
			args = append(args, "-binary")
		}
		if _, err := openssl.Run(args...); err != nil {
			return opinion{why: err.Error()}
		}
		content, err := os.ReadFile(out)
		if err != nil {
			return opinion{why: err.Error()}
		}
		return opinion{ok: true, content: content}
	}
	if s.form == "SMIME" {
		ours, encrypted := ourMailOpinion(t, s.data, ids)
		if encrypted { // the structure in it
			_, body, _ := bytes.Cut(unixLines(s.data), []byte("\n\n"))
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
			if err != nil {
				return nil // part of a multipart
			}
			return comparisons(t, openssl, dir, stem, sample{s.name, "DER", der}, ids)
		}
		theirs := ask("-verify", "-noverify")
		ours.content, theirs.content = unixLines(ours.content), unixLines(theirs.content)
		return append(all, comparison{"", ours, theirs})
	}
	if bytes.Contains(s.data[:min(len(s.data), 40)], []byte(oid.SignedData)) {
		return append(all, comparison{"", ourOpinion(s.data, nil, nil, nil), ask("-verify", "-noverify")})
	}
	c, err := cms.Open(bytes.NewReader(s.data))
	if err != nil {
		return append(all, comparison{"", opinion{why: reason(err)}, ask("-decrypt", "-secretkey", peertest.SecretKey)})
	}
	e, ok := c.(*cms.EnvelopedData)
	if !ok {
		return nil // neither signed nor for anybody
	}
	for i, id := range ids {
		cert := id.Certificate()
		if !slices.ContainsFunc(e.Recipients(), func(ri *cms.RecipientInfo) bool { return ri.Matches(cert) }) {
			continue
		}
		key, err := x509.MarshalPKCS8PrivateKey(id.Key())
		if err != nil {
			continue
		}
		who := filepath.Join(dir, fmt.Sprint(stem, "-", i))
		if err := os.WriteFile(who+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(who+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
			t.Error(err)
		}
		all = append(all, comparison{" as " + cert.Subject.CommonName,
			twice(func() opinion { return ourOpinion(s.data, nil, cert, crypto.PrivateKey(id.Key())) }),
			twice(func() opinion { return ask("-decrypt", "-recip", who+".pem", "-inkey", who+".key") })})
	}
	return all
}

// twice is an opinion that stays the same. Where a key does not fit, a random one takes its
// place, and one in 256 of those finds a padding.
func twice(ask func() opinion) opinion {
	first := ask()
	if !first.ok {
		return first
	}
	again := ask()
	if again.ok && !bytes.Equal(again.content, first.content) {
		return opinion{why: "a random key"}
	}
	return again
}

// ourMailOpinion is what we make of a message: that the outermost layer is a signature and
// every signature in it good. What it decrypts to is told of structures alone.
func ourMailOpinion(t *testing.T, mail []byte, ids []*certstore.Identity) (o opinion, encrypted bool) {
	t.Helper()
	keys := new(certstore.Memory)
	keys.AddIdentity(ids...)
	opener := &smime.Opener{Chain: chain.NewVerifier(new(chain.Collection), chain.Revocation{}), Keys: keys,
		AllowSHA1: true, AllowMD5: true, AllowLegacyCiphers: true}
	report, err := opener.Inspect(context.Background(), bytes.NewReader(mail))
	if err != nil {
		t.Error(err)
		return opinion{why: err.Error()}, false
	}
	if len(report.Layers) == 0 {
		return opinion{why: strings.Join(report.Codes, " ")}, false
	}
	outer := report.Layers[0]
	if outer.Kind == "encrypted" {
		return opinion{}, true
	}
	o = opinion{ok: len(outer.Signatures) > 0, why: strings.Join(report.Codes, " ")}
	for _, s := range outer.Signatures {
		o.ok = o.ok && s.Crypto == "valid"
	}
	var content bytes.Buffer
	opener.OpenTo(context.Background(), &content, bytes.NewReader(mail)) // what it has written is for the comparison alone
	o.content = content.Bytes()
	return o, false
}

func unixLines(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }

// corpusDifferences are the files of which OpenSSL 3.0 and we do not say the same, with the
// reason.
var corpusDifferences = map[string]string{
	bcMail + "basicAS2.message": "OpenSSL reads a MIME part of CMS in base64 only, and this one is in binary",
	bcMail + "rawAS2.message":   "OpenSSL reads a MIME part of CMS in base64 only, and this one is in binary",

	"bc-java/pkix/src/test/resources/org/bouncycastle/cms/test/SignedMSPkcs7.sig":           notOctets,
	"dotnet/SignedDocuments.SignedCmsOverEnvelopedCms_IssuerSerial_NetFx.cms":               notOctets,
	"rustcrypto/cms/tests/examples/authroot.stl":                                            notOctets,
	"dotnet/DecryptTests.encryptedMessage_4.cms as RSAKeyTransfer1":                         noExtension,
	"dotnet/EdgeCasesTests.encodedMessage_1.cms as RSAKeyTransfer1":                         noExtension,
	"dotnet/EdgeCasesTests.encodedMessage_8.cms as RSAKeyTransfer1":                         noExtension,
	"dotnet/KeyTransRecipientInfoTests.s_KeyTransEncodedMessage_Ski.cms as RSAKeyTransfer1": noExtension,
	bcMail + "outlook_2010_beta_sime_msg.eml as John Doe":                                   noExtension,
	"dotnet/SignedDocuments.OneDsa1024.cms":                                                 noExtension,
	"dotnet/SignedDocuments.SignedCmsOverEnvelopedCms_SKID_CoreFx.cms":                      noExtension,
	"dotnet/SignedDocuments.SignedCmsOverEnvelopedCms_SKID_NetFx.cms":                       noExtension,
	"dotnet/SignedDocuments.RsaPkcs1SignedSha1DeclaredSha256WithRsa.cms":                    "the digest is SHA-1 and the signature algorithm has SHA-256 in it, which we refuse (RFC 5652, Section 5.3)",
}

const (
	bcMail      = "bc-java/mail/src/test/resources/org/bouncycastle/mail/smime/test/"
	notOctets   = "the content stands there as it is, without an OCTET STRING around it, as in RFC 2315, Section 7, which OpenSSL reads with another command"
	noExtension = "named by a key identifier that the certificate does not state: we compute it, OpenSSL does not"
)
