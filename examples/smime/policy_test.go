package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postseal/postseal/smime"
)

// What an administrator decides holds for what the commands write, in the form of a policy
// and in that of Exchange's settings.
func TestPolicyFiles(t *testing.T) {
	d := newDesk(t)
	d.write("opaque.json", `{"opaque":true,"digests":["sha512"],"include":"leaf"}`)
	d.write("exchange.json", `{"OWAClearSign":false,"OWASigningAlgorithms":"800E;8004","OWAIncludeCertificateChainWithoutRootCertificate":false}`)
	d.write("exchange.txt", "OWAClearSign : False\nOWASigningAlgorithms : 800E;8004\n")
	for _, policy := range []string{"opaque.json", "exchange.json", "exchange.txt"} {
		d.run(0, "", "sign --policy @"+policy+" --identity @alice.id --out @signed.eml @plain.eml")
		if mail := d.read("signed.eml"); !strings.Contains(mail, "application/pkcs7-mime") {
			t.Errorf("%s: not opaque:\n%.300s", policy, mail)
		}
		r := d.report(0, "@signed.eml")
		if got := r.Layers[0].Signatures[0].Digest; got != "sha512" {
			t.Errorf("%s: digest %s", policy, got)
		}
	}
	// What the command line says of taste goes before.
	d.run(0, "", "sign --policy @opaque.json --opaque=false --digest sha256 --identity @alice.id --out @signed.eml @plain.eml")
	if mail := d.read("signed.eml"); !strings.Contains(mail, "multipart/signed") || !strings.Contains(mail, "sha-256") {
		t.Errorf("the command line does not count:\n%.300s", mail)
	}

	d.write("encrypt.json", `{"encrypt":true,"ciphers":["aes128-cbc"],"fixed_cipher":true,"recipient_key_id":true}`)
	d.run(1, "", "sign --policy @encrypt.json --identity @alice.id --out @refused.eml @plain.eml")
	d.missing("refused.eml")
	d.run(0, "", "encrypt --policy @encrypt.json --to @bob.pem --out @sealed.eml @plain.eml")
	if r := d.report(1, "--identity @bob.id @sealed.eml"); r.Layers[0].Cipher != "aes128-cbc" {
		t.Errorf("cipher %s", r.Layers[0].Cipher)
	}
	d.run(0, "", "encrypt --policy @encrypt.json --to @bob.pem --out @cbc.eml @plain.eml")
	d.write("wrap.json", `{"OWAAlwaysSign":true,"OWAAlwaysEncrypt":true,"OWATripleWrapSignedEncryptedMail":true}`)
	d.run(1, "", "encrypt --policy @wrap.json --to @bob.pem --out @refused.eml @plain.eml")
	d.missing("refused.eml")
	d.run(0, "", "seal --policy @wrap.json --identity @alice.id --to @bob.pem --out @wrapped.eml @plain.eml")
	if r := d.report(0, "--identity @bob.id @wrapped.eml"); len(r.Layers) != 3 {
		t.Errorf("%d layers", len(r.Layers))
	}

	// Rules.
	d.write("rules.json", `{"rules":[
		{"name":"secrets","header":{"Subject":"secret"},"action":"reject"},
		{"name":"partners","to":["@example.com"],"max_size":1000,"action":"sign"}]}`)
	d.write("secret.eml", strings.Replace(plain, "hello", "top secret", 1))
	d.run(1, "", "sign --policy @rules.json --identity @alice.id --out @refused.eml @secret.eml")
	d.missing("refused.eml")
	d.run(1, "", "encrypt --policy @rules.json --to @bob.pem --out @refused.eml @plain.eml")
	d.missing("refused.eml")
	d.run(0, plain, "sign --policy @rules.json --identity @alice.id --out @signed.eml -")
	d.report(0, "@signed.eml")

	// A card is wanted, and a file is none.
	d.write("card.json", `{"OWAOnlyUseSmartCard":true}`)
	d.run(1, "", "sign --policy @card.json --identity @alice.id --out @refused.eml @plain.eml")
	d.missing("refused.eml")
	d.run(0, "", "seal --identity @alice.id --to @bob.pem --out @sealed.eml @plain.eml")
	d.report(1, "--policy @card.json --identity @bob.id @sealed.eml")

	// Reading: what is accepted, and whom to trust.
	d.write("accept.json", `{"accept":["mismatched-sender","unsigned"]}`)
	d.write("other.eml", strings.Replace(plain, "alice@", "somebody@", 1))
	d.run(0, "", "sign --identity @alice.id --out @mismatch.eml @other.eml")
	d.report(1, "@mismatch.eml")
	d.report(0, "--policy @accept.json @mismatch.eml")
	d.report(1, "@plain.eml")
	d.report(0, "--policy @accept.json @plain.eml")
	// What has no signature may have been altered under CBC: that is for one message at a time.
	d.report(1, "--policy @accept.json --identity @bob.id @cbc.eml")
	d.report(0, "--allow unsigned --identity @bob.id @cbc.eml")
	trust, err := json.Marshal(&smime.Policy{IssuingCAs: files()["root.pem"]})
	if err != nil {
		t.Fatal(err)
	}
	d.write("trust.json", string(trust))
	d.run(1, "", "open --out @refused.txt @signed.eml")
	d.run(0, "", "open --policy @trust.json --out @content.txt @signed.eml")
	d.run(1, "", "encrypt --policy @trust.json --to carol@example.com --store @store --out @refused.eml @plain.eml")
	d.run(0, "", "encrypt --policy @trust.json --to bob@example.com --store @store --out @found.eml @plain.eml")

	// However it is written, a policy is one; Windows marks text with its encoding.
	for name, policy := range map[string]string{"capital.json": `{"Encrypt":true}`, "marked.json": "\ufeff" + `{"encrypt":true}`} {
		d.write(name, policy)
		d.run(1, "", "sign --policy @"+name+" --identity @alice.id --out @refused.eml @plain.eml")
		d.missing("refused.eml")
		d.run(0, "", "encrypt --policy @"+name+" --to @bob.pem --out @sealed.eml @plain.eml")
	}
	for name, policy := range map[string]string{"list.json": `[{"encrypt":true}]`, "both.json": `{"OWAAlwaysSign":true,"Encrypt":true}`} {
		d.write(name, policy)
		d.run(3, "", "sign --policy @"+name+" --identity @alice.id --out @refused.eml @plain.eml")
		d.missing("refused.eml")
	}
	// A rule about people holds however their addresses are written.
	d.write("people.json", `{"rules":[{"to":["@example.com"],"action":"encrypt"}]}`)
	for _, to := range []string{"Bob <bob@example.com>", `"bob smith"@example.com`, "bob@example.com, nobody <", "team: bob@example.com;"} {
		d.write("people.eml", strings.Replace(plain, "To: bob@example.com", "To: "+to, 1))
		d.run(1, "", "sign --policy @people.json --identity @alice.id --out @refused.eml @people.eml")
		d.missing("refused.eml")
	}
	for _, to := range []string{`"bob smith"@elsewhere.example`, "undisclosed-recipients:;"} {
		d.write("people.eml", strings.Replace(plain, "To: bob@example.com", "To: "+to, 1))
		d.run(0, "", "sign --policy @people.json --identity @alice.id --out @signed.eml @people.eml")
	}

	// What is no policy.
	d.write("odd.json", `{"sgin":true}`)
	d.write("weak.json", `{"digests":["sha3"]}`)
	for _, name := range []string{"odd.json", "weak.json", "missing.json"} {
		d.run(3, "", "sign --policy @"+name+" --identity @alice.id --out @refused.eml @plain.eml")
		d.missing("refused.eml")
		d.run(3, "", "open --policy @"+name+" --out @refused.txt @signed.eml")
	}
}
