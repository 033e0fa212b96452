package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// TestReportForPeople: the tree of layers, the signers, their paths and the reasons; in colour
// only where somebody looks, and no octet of the message that a terminal would obey.
func TestReportForPeople(t *testing.T) {
	dir := t.TempDir()
	pki := smimetest.NewPKI(t)
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := write("roots.der", pki.Root.Certificate().Raw)
	bob := write("bob.pem", identityPEM(t, pki.Bob()))
	open := func(args ...string) (stdout, stderr string, exit int) {
		t.Helper()
		var out, errs bytes.Buffer
		exit = run(append([]string{"open", "--roots", roots, "--time", pki.Time().Format("2006-01-02T15:04:05Z07:00")}, args...), strings.NewReader(""), &out, &errs)
		return out.String(), errs.String(), exit
	}
	triple := write("triple.eml", pki.Message(smimetest.Triple, smimetest.Mail{}))
	text, _, exit := open("--inspect", "--identity", bob, triple)
	want := []string{
		"AUTHENTIC  Encrypted, and signed by alice@good.example\n",
		"├─ from alice@good.example\n",
		"├─ subject Greetings\n",
		"└─ signed opaque\n",
		"   ├─ signer alice@good.example\n",
		"   │  ├─ answers crypto valid, trust valid, address match\n",
		"   │  ├─ path Alice < Postseal Test Issuing CA < Postseal Test Root\n",
		"   └─ encrypted aes256-cbc, decrypted\n",
		"      └─ signed opaque\n",
	}
	at := 0
	for _, line := range want {
		i := strings.Index(text[at:], line)
		if i < 0 {
			t.Errorf("%q is not there, or not there:\n%s", line, text)
			break
		}
		at += i
	}
	if exit != exitGood || strings.Contains(text, "\x1b") {
		t.Errorf("status %d, %q", exit, text)
	}
	coloured, _, _ := open("--inspect", "--identity", bob, "--color", "always", triple)
	if !strings.Contains(coloured, "\x1b[32mAUTHENTIC\x1b[0m") || stripped(coloured) != text {
		t.Errorf("in colour: %q", coloured)
	}
	if _, _, exit := open("--color", "sometimes", triple); exit != exitUsage {
		t.Errorf("--color sometimes: status %d", exit)
	}

	// A refusal has its one line, and standard output stays free for content.
	forged, err := smimetest.Forge(smimetest.OtherSigner, pki.Message(smimetest.Clear, smimetest.Mail{}))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, exit := open(write("forged.eml", forged))
	if exit != exitNotGood || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, %q, %q", exit, stdout, stderr)
	}

	// What a message says is not what a terminal does.
	const hostile = "\x1b]0;owned\x07 \x1b[2J \u009b31m \u202elia\u202c \u2066x\u2069\u2028"
	evil := pki.Message(smimetest.Clear, smimetest.Mail{Subject: "=?utf-8?q?=1B]0;owned=07_=1B[2J_=C2=9B31m_=E2=80=AElia?="})
	raw := strings.Replace(string(evil), "From: Alice <alice@good.example>", "From: "+hostile+strings.Repeat("long ", 1000), 1)
	for name, message := range map[string]string{"encoded": string(evil), "raw": raw} {
		text, _, _ := open("--inspect", write(name+".eml", []byte(message)))
		if strings.ContainsAny(text, "\x1b\x07\u009b\u202e\u202c\u2066\u2069\u2028") {
			t.Errorf("%s: %q", name, text)
		}
		for line := range strings.Lines(text) {
			if len([]rune(line)) > maxShown+50 {
				t.Errorf("%s: a line of %d characters", name, len(line))
			}
		}
	}
	var b bytes.Buffer
	printReport(&b, &smime.Report{Verdict: smime.NotAuthentic, Summary: hostile, From: hostile, Subject: hostile, Codes: []string{"a.b"}, Warnings: []string{"c.d"},
		Notes:  []smime.Note{{About: "Subject", Code: "header.changed", Severity: "warning", Detail: hostile}},
		Parts:  []*smime.Layer{{Place: "1.2", Kind: "signed"}},
		Layers: []*smime.Layer{{Kind: "signed", Signatures: []*smime.Signature{{Signer: &smime.Signer{Subject: hostile, Mailboxes: []string{hostile}}}}}, {Kind: "encrypted", Recipients: []*smime.Recipient{{ID: hostile}}}}}, false)
	if strings.ContainsAny(b.String(), "\x1b\x07\u009b\u202e\u202c\u2066\u2069\u2028") {
		t.Errorf("%q", b.String())
	}
}

// stripped takes the colours out of a text.
func stripped(text string) string {
	for {
		i := strings.Index(text, "\x1b[")
		if i < 0 {
			return text
		}
		j := strings.IndexByte(text[i:], 'm')
		text = text[:i] + text[i+j+1:]
	}
}

// identityPEM returns a private key and its certificates.
func identityPEM(t *testing.T, id *certstore.Identity) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(id.Key())
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, c := range append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
