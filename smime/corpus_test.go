package smime_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/smime"
)

// corpusFolders are the folders of real messages. Every file in them that is labelled as
// S/MIME stands in corpusMessages.
var corpusFolders = []string{"bc-java", "james", "mimekit", "nextcloud", "notmuch", "protected-headers", "rfc4134", "thunderbird"}

// corpusAnchors and corpusKeys are what the makers of the messages published.
var corpusAnchors = []string{
	"thunderbird/mailnews/test/data/smime/TestCA.pem", "thunderbird/mail/test/browser/smime/data/TestCA.pem",
	"notmuch/test/smime/ca.crt", "protected-headers/sample-ca.pem",
	"nextcloud/tests/data/smime-certs/imap.localhost.ca.crt", james + "rootCA.crt",
}

var corpusKeys = []struct{ password, certificate, key string }{
	{"nss", "", "thunderbird/mailnews/test/data/smime/Bob.p12"},
	{"nss", "", "thunderbird/mail/test/browser/smime/data/Bob.p12"},
	{"bob", "", "protected-headers/bob.p12"},
	{"", "nextcloud/tests/data/smime-certs/user@imap.localhost.crt", "nextcloud/tests/data/smime-certs/user@imap.localhost.key"},
	{"", bc + "cert.pem", bc + "key.pem"},
	{"", "rfc4134/BobRSASignByCarl.cer", "rfc4134/BobPrivRSAEncrypt.pri"},
}

const (
	bc    = "bc-java/mail/src/test/resources/org/bouncycastle/mail/smime/test/"
	james = "james/server/mailet/integration-testing/src/main/resources/smime-test-resource-set/"
)

// A corpusMessage is a real message and what Inspect must say of it: with every default,
// and with each exception named that old mail may need (old says so only where it differs).
// A line is the verdict, the layers from the inside out, the three answers about the first
// signature and the codes.
type corpusMessage struct{ file, want, old string }

// TestCorpus opens real messages of many programs. The expectations follow the
// expected.tsv of each folder and the RFCs; where they differ from what a maker's own
// program says, the reason stands beside the message.
func TestCorpus(t *testing.T) {
	anchors, keys := new(chain.Collection), new(certstore.Memory)
	for _, file := range corpusAnchors {
		c, err := chain.ReadCollection(bytes.NewReader(corpus.Read(t, filepath.FromSlash(file))))
		if err != nil {
			t.Fatal(file, err)
		}
		anchors.AddAnchor(c.Certificates()...)
	}
	for _, k := range corpusKeys {
		data := corpus.Read(t, filepath.FromSlash(k.key))
		if k.certificate != "" {
			data = slices.Concat(armoured(corpus.Read(t, filepath.FromSlash(k.certificate)), "CERTIFICATE"), []byte("\n"), armoured(data, "PRIVATE KEY"))
		}
		ids, err := certstore.ReadIdentities(data, k.password)
		if err != nil {
			t.Fatal(k.key, err)
		}
		keys.AddIdentity(ids...)
	}
	strict := chain.NewVerifier(anchors, chain.Revocation{})
	legacy := chain.NewVerifier(anchors, chain.Revocation{})
	legacy.AllowSHA1 = true
	strict.Time = func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }
	legacy.Time = strict.Time
	for _, m := range corpusMessages {
		t.Run(m.file, func(t *testing.T) {
			mail := corpus.Read(t, filepath.FromSlash(m.file))
			o := &smime.Opener{Chain: strict, Keys: keys}
			if got := inspected(t, o, mail); got != m.want {
				t.Errorf("\ngot  %s\nwant %s", got, m.want)
			}
			o = &smime.Opener{Chain: legacy, Keys: keys, AllowSHA1: true, AllowMD5: true, AllowLegacyCiphers: true, AllowMismatchedSender: true}
			want := m.old
			if want == "" {
				want = m.want
			}
			if got := inspected(t, o, mail); got != want {
				t.Errorf("with exceptions\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

// armoured returns data in PEM.
func armoured(data []byte, kind string) []byte {
	if bytes.Contains(data, []byte("-----BEGIN")) {
		return data
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
}

// inspected is one line about a message.
func inspected(t *testing.T, o *smime.Opener, mail []byte) string {
	t.Helper()
	r, err := o.Inspect(t.Context(), bytes.NewReader(mail))
	if err != nil {
		t.Fatal(err)
	}
	answers := ""
	for _, l := range r.Layers {
		if len(l.Signatures) > 0 {
			s := l.Signatures[0]
			answers = fmt.Sprintf(" crypto:%s trust:%s address:%s", s.Crypto, s.Trust, s.Address)
		}
	}
	line := strings.TrimSpace(string(r.Verdict)+" "+kinds(r)) + answers
	if len(r.Codes) > 0 {
		line += " " + strings.Join(r.Codes, " ")
	}
	return line
}

// No message of the corpus is left out.
func TestCorpusIsComplete(t *testing.T) {
	known := map[string]bool{}
	for _, m := range corpusMessages {
		known[m.file] = true
	}
	n := 0
	for _, folder := range corpusFolders {
		root := corpus.Path(t, folder)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil || !labelled(data) {
				return err
			}
			n++
			rel, err := filepath.Rel(filepath.Dir(root), path)
			if file := filepath.ToSlash(rel); !known[file] {
				t.Errorf("%s is not in the table", file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 90 {
		t.Errorf("only %d messages found", n)
	}
}

// labelled reports whether a line of the text announces S/MIME.
func labelled(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.ToLower(line)
		if bytes.HasPrefix(line, []byte("content-type:")) && (bytes.Contains(line, []byte("pkcs7")) || bytes.Contains(line, []byte("multipart/signed"))) {
			return true
		}
	}
	return false
}
