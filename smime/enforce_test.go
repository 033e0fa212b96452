package smime_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// configured composes a message as settings of Exchange say.
func configured(t *testing.T, settings, action string, from []*certstore.Identity, to ...*x509.Certificate) []byte {
	t.Helper()
	p, _, err := smime.ParseSmimeConfig(strings.NewReader(settings))
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Composer(action, from, to...)
	if err != nil {
		t.Fatal(err)
	}
	c.Time = smimetest.Now
	return composed(t, c, "From: alice@good.example\r\nTo: bob@good.example\r\nSubject: s\r\n\r\nhi\r\n")
}

// dump has OpenSSL print the CMS structure of an application/pkcs7-mime message, or of the
// signature of a multipart/signed one.
func dump(t *testing.T, mail []byte) string {
	t.Helper()
	cmd := exec.Command("openssl", "cms", "-cmsout", "-print", "-inform", "SMIME", "-noout")
	cmd.Stdin = bytes.NewReader(mail)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return string(out)
}

// TestSmimeConfigTakesEffect has OpenSSL print messages composed by each setting that
// changes what a message looks like.
func TestSmimeConfigTakesEffect(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if peertest.Required() {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	pki := smimetest.NewPKI(t)
	alice, bob := pki.Alice(), pki.Bob().Certificate()
	from := []*certstore.Identity{alice}
	rootIncluded, err := certstore.NewIdentity(alice.Certificate(), alice.Key(), append(alice.Intermediates(), pki.Root.Certificate())...)
	if err != nil {
		t.Fatal(err)
	}
	withRoot := []*certstore.Identity{rootIncluded}
	const (
		leafDN  = "subject: O=Postseal Test, CN=Alice"
		interDN = "subject: O=Postseal Test, CN=Postseal Test Issuing CA"
		rootDN  = "subject: O=Postseal Test, CN=Postseal Test Root"
	)
	for _, c := range []struct {
		what, settings, action string
		from                   []*certstore.Identity
		has, hasNot            []string
	}{
		{"defaults, signed", `{}`, "sign", withRoot, []string{"pkcs7-signedData", "sha256", leafDN, interDN, "S/MIME Capabilities"}, []string{rootDN, "eContent: \n      0000"}},
		{"SHA-512", `{"OWASigningAlgorithms":"800E;8004"}`, "sign", from, []string{"algorithm: sha512"}, []string{"sha1", "algorithm: sha256"}},
		{"only SHA-1", `{"OWASigningAlgorithms":"8004"}`, "sign", from, []string{"sha256"}, []string{"algorithm: sha1"}},
		{"no clear signing", `{"OWAClearSign":false}`, "sign", from, []string{"eContent:"}, nil},
		{"leaf only", `{"OWAIncludeCertificateChainWithoutRootCertificate":false}`, "sign", withRoot, []string{leafDN}, []string{interDN, rootDN}},
		{"chain", `{"OWAIncludeCertificateChainWithoutRootCertificate":true}`, "sign", withRoot, []string{leafDN, interDN}, []string{rootDN}},
		{"chain and root", `{"OWAIncludeCertificateChainAndRootCertificate":true}`, "sign", withRoot, []string{leafDN, interDN, rootDN}, nil},
		{"no certificates", `{"OWASignedEmailCertificateInclusion":false}`, "sign", withRoot, []string{"certificates:\n      <ABSENT>"}, []string{leafDN}},
		{"no capabilities", `{"OWAIncludeSMIMECapabilitiesInMessage":false}`, "sign", from, nil, []string{"S/MIME Capabilities"}},
		{"AES-256", `{"OWAEncryptionAlgorithms":"6610"}`, "encrypt", nil, []string{"aes-256-cbc", "d.issuerAndSerialNumber"}, nil},
		{"AES-192 before AES-128", `{"OWAEncryptionAlgorithms":"660f;660E"}`, "encrypt", nil, []string{"aes-192-cbc"}, nil},
		{"strong only", `{"OWAEncryptionAlgorithms":"6603;6602:128;660E"}`, "encrypt", nil, []string{"aes-128-cbc"}, nil},
		{"nothing strong", `{"OWAEncryptionAlgorithms":"6603;6601"}`, "encrypt", nil, []string{"aes-256-cbc"}, nil},
		{"key identifier", `{"OWAUseKeyIdentifier":true}`, "encrypt", nil, []string{"d.subjectKeyIdentifier"}, []string{"d.issuerAndSerialNumber"}},
		{"sealed", `{}`, "seal", from, []string{"pkcs7-envelopedData"}, nil},
		{"triple wrap", `{"OWATripleWrapSignedEncryptedMail":true}`, "seal", from, []string{"pkcs7-signedData", "eContent:"}, nil},
	} {
		var to []*x509.Certificate
		if c.action != "sign" {
			to = append(to, bob)
		}
		got := dump(t, configured(t, c.settings, c.action, c.from, to...))
		for _, s := range c.has {
			if !strings.Contains(got, s) {
				t.Errorf("%s: no %q in\n%s", c.what, s, got)
			}
		}
		for _, s := range c.hasNot {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q in\n%s", c.what, s, got)
			}
		}
	}
}

// A card signs in a device: its type is nobody else's.
type card struct{ crypto.Signer }

func TestPolicySigner(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issue := func(name string, before time.Time) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: name, Emails: []string{"alice@good.example"}, NotBefore: before})
	}
	old, newer, same := issue("old", days(-20)), issue("new", days(-10)), issue("same", days(-10))
	smallest := newer
	if x, y := pkiSum(newer), pkiSum(same); y < x {
		smallest = same
	}
	key := card{old.Key().(crypto.Signer)}
	inCard, err := certstore.NewIdentity(old.Certificate(), key)
	if err != nil {
		t.Fatal(err)
	}
	// For each use a certificate, as most of Exchange's users have them, and the one for
	// encryption is the newest.
	other := func(change func(*smimetest.Leaf)) *certstore.Identity {
		leaf := smimetest.Leaf{Name: "other", Emails: []string{"alice@good.example"}, NotBefore: days(-1)}
		change(&leaf)
		return pki.Issue(leaf)
	}
	encrypts := other(func(l *smimetest.Leaf) { l.KeyUsage = x509.KeyUsageKeyAgreement })
	agrees := other(func(l *smimetest.Leaf) {
		l.Key, l.Change = smimetest.X25519, func(c *x509.Certificate) { c.KeyUsage = 0 }
	})
	quantum := other(func(l *smimetest.Leaf) { l.Key = smimetest.MLDSA44 })
	server := other(func(l *smimetest.Leaf) { l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	for _, c := range []struct {
		what string
		p    smime.Policy
		from []*certstore.Identity
		want *certstore.Identity // nil is an error
	}{
		{"the newest that signs", smime.Policy{}, []*certstore.Identity{old, encrypts, agrees, server}, old},
		{"none that signs", smime.Policy{}, []*certstore.Identity{encrypts, agrees, server}, nil},
		{"the newest", smime.Policy{}, []*certstore.Identity{old, newer}, newer},
		{"of equals always the same", smime.Policy{}, []*certstore.Identity{same, old, newer}, smallest},
		{"of equals always the same", smime.Policy{}, []*certstore.Identity{newer, same}, smallest},
		{"the user's choice", smime.Policy{UserChoosesSigner: true}, []*certstore.Identity{old, newer}, old},
		{"only devices", smime.Policy{HardwareKeys: true}, []*certstore.Identity{newer, inCard}, inCard},
		{"only devices, none there", smime.Policy{HardwareKeys: true}, []*certstore.Identity{newer}, nil},
		{"only devices, a new key in a file", smime.Policy{HardwareKeys: true}, []*certstore.Identity{quantum}, nil},
		{"the same without", smime.Policy{}, []*certstore.Identity{quantum}, quantum},
		{"nobody", smime.Policy{}, nil, nil},
	} {
		composer, err := c.p.Composer("sign", c.from)
		if (err == nil) != (c.want != nil) || err == nil && composer.Signers[0] != c.want {
			t.Errorf("%s: %v, %v", c.what, composer, err)
		}
	}
}

// TestPolicyEncryptionCertificate: where a person has one certificate for each use, the one
// for encryption travels with the signature, as OWASignedEmailCertificateInclusion says.
func TestPolicyEncryptionCertificate(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issue := func(name, address string, usage x509.KeyUsage, from, to int) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: name, Emails: []string{address}, KeyUsage: usage, NotBefore: days(from), NotAfter: days(to)})
	}
	const alice, signs, encrypts = "alice@good.example", x509.KeyUsageDigitalSignature, x509.KeyUsageKeyAgreement
	signing, both := issue("signing", alice, signs, -20, 20), issue("both", alice, signs|encrypts, -20, 20)
	old, good, better := issue("old", alice, encrypts, -90, -9), issue("good", alice, encrypts, -30, 30), issue("better", "ALICE@good.example", encrypts, -20, 30)
	coming, eves := issue("coming", alice, encrypts, 1, 30), issue("eves", "eve@good.example", encrypts, -1, 30)
	for _, c := range []struct {
		what, settings string
		from           []*certstore.Identity
		want           *certstore.Identity
	}{
		{"one for each use", `{}`, []*certstore.Identity{signing, good}, good},
		{"as settings say", `{"OWASignedEmailCertificateInclusion":true}`, []*certstore.Identity{good, signing}, good},
		{"the newest that is valid", `{}`, []*certstore.Identity{signing, old, good, better, coming}, better},
		{"in any order", `{}`, []*certstore.Identity{coming, better, good, old, signing}, better},
		{"none that is valid", `{}`, []*certstore.Identity{signing, old, coming}, nil},
		{"somebody else's", `{}`, []*certstore.Identity{signing, eves}, nil},
		{"the signer's own will do", `{}`, []*certstore.Identity{both, good}, nil},
		{"no certificates", `{"OWASignedEmailCertificateInclusion":false}`, []*certstore.Identity{signing, good}, nil},
	} {
		mail := configured(t, c.settings, "sign", c.from)
		_, part, _ := strings.Cut(string(mail), "\r\nContent-Transfer-Encoding: base64")
		_, part, _ = strings.Cut(part, "\r\n\r\n")
		part, _, _ = strings.Cut(part, "\r\n--")
		der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(part, "\r\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range c.from {
			c0 := id.Certificate()
			want := id == c.want || c0.KeyUsage&signs != 0 && c.what != "no certificates"
			if got := bytes.Contains(der, c0.Raw); got != want {
				t.Errorf("%s: certificate %s is included: %v", c.what, c0.Subject, got)
			}
		}
	}
}

func pkiSum(id *certstore.Identity) string {
	h := crypto.SHA256.New()
	h.Write(id.Certificate().Raw)
	return string(h.Sum(nil))
}

// TestPolicyComposerFailsClosed: there is no composer that would do less than asked for.
func TestPolicyComposerFailsClosed(t *testing.T) {
	p := newParty(t)
	from, to := []*certstore.Identity{p.alice}, []*x509.Certificate{p.bob.Certificate()}
	for _, action := range []string{"leave", "hold", "reject", "", "Sign"} {
		if _, err := new(smime.Policy).Composer(action, from, to...); err == nil {
			t.Errorf("a composer for %q", action)
		}
	}
	for _, action := range []string{"encrypt", "seal", "triple"} {
		if _, err := new(smime.Policy).Composer(action, from); err == nil {
			t.Errorf("%s: a composer without recipients", action)
		}
	}
	if _, err := (&smime.Policy{Include: "all"}).Composer("sign", from); err == nil {
		t.Error("a composer for a senseless policy")
	}
	c, err := (&smime.Policy{Bcc: "shared"}).Composer("seal", from, to...)
	if err != nil || c.BccMode != "refuse" || !c.Opaque {
		t.Errorf("%+v, %v", c, err)
	}
	c.Time, c.Bcc = p.clock(), to
	if err := c.ComposeCopies(func([]*x509.Certificate) (io.WriteCloser, error) { return nil, io.ErrClosedPipe }, strings.NewReader(plain)); err == nil || errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("shared Bcc: %v", err)
	}
	c, err = (&smime.Policy{Ciphers: []string{"aes256-gcm", "aes192-cbc"}}).Composer("encrypt", nil, to...)
	if err != nil || c.Cipher != "aes192-cbc" {
		t.Errorf("a cipher the recipient is not known to read: %+v, %v", c, err)
	}
	c, err = (&smime.Policy{Ciphers: []string{"3des-cbc", "aes256-gcm"}, FixedCipher: true}).Composer("encrypt", nil, to...)
	if err != nil || c.Cipher != "aes256-gcm" {
		t.Errorf("a fixed cipher: %+v, %v", c, err)
	}
}

func TestPolicyOpener(t *testing.T) {
	o := new(smime.Opener)
	if (&smime.Policy{}).Opener(o); o.AllowUnsigned || o.AllowSHA1 || o.AllowMD5 || o.AllowLegacyCiphers || o.AllowMismatchedSender {
		t.Errorf("the strict policy allows %+v", o)
	}
	p := &smime.Policy{Accept: []string{"unsigned", "sha1", "md5", "legacy-ciphers", "mismatched-sender"}}
	if p.Opener(o); !o.AllowUnsigned || !o.AllowSHA1 || !o.AllowMD5 || !o.AllowLegacyCiphers || !o.AllowMismatchedSender || o.AllowMalleable {
		t.Errorf("%+v", o)
	}
}

// TestPolicyHardwareKeys: a key in memory is in no device, whatever its algorithm.
func TestPolicyHardwareKeys(t *testing.T) {
	pki := smimetest.NewPKI(t)
	kinds := []smimetest.Key{
		smimetest.RSA2048, smimetest.P256, smimetest.Ed25519, smimetest.X25519,
		smimetest.MLDSA44, smimetest.MLDSA87, smimetest.MLKEM768, smimetest.MLKEM1024,
	}
	var ids []*certstore.Identity
	for _, kind := range kinds {
		ids = append(ids, pki.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: kind}))
	}
	inCard, err := certstore.NewIdentity(ids[0].Certificate(), card{ids[0].Key().(crypto.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	o := (&smime.Policy{HardwareKeys: true}).Opener(&smime.Opener{TryKeys: append(ids, inCard)})
	if !slices.Equal(o.TryKeys, []*certstore.Identity{inCard}) {
		for _, id := range o.TryKeys {
			t.Errorf("a key of type %T is taken", id.Key())
		}
	}
}

// TestPolicyVerifier: the collection of the settings is all that is trusted, and a
// revocation status that is missing counts as the settings say.
func TestPolicyVerifier(t *testing.T) {
	pki := smimetest.NewPKI(t)
	var sst bytes.Buffer
	if err := pki.Anchors().WriteSST(&sst); err != nil {
		t.Fatal(err)
	}
	cert := pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, CRLSources: []string{"http://crl.invalid/1.crl"}}).Certificate()
	judge := func(p *smime.Policy, sending bool) (chain.Verdict, []string) {
		t.Helper()
		v, err := p.Verifier(sending, nil)
		if err != nil {
			t.Fatal(err)
		}
		v.Time = pki.Time
		r := v.Explain(t.Context(), chain.Request{Leaf: cert, Purpose: chain.EmailEncryption, Untrusted: []*x509.Certificate{pki.Issuing.Certificate()}})
		return r.Verdict, r.Codes
	}
	for _, c := range []struct {
		what    string
		p       smime.Policy
		sending bool
		want    chain.Verdict
	}{
		{"strict", smime.Policy{IssuingCAs: sst.Bytes()}, true, "indeterminate"},
		{"soft on send", smime.Policy{IssuingCAs: sst.Bytes(), SoftRevocationOnSend: true}, true, "valid"},
		{"soft on send, reading", smime.Policy{IssuingCAs: sst.Bytes(), SoftRevocationOnSend: true}, false, "indeterminate"},
		{"off", smime.Policy{IssuingCAs: sst.Bytes(), NoRevocation: true}, false, "valid"},
		{"no collection", smime.Policy{NoRevocation: true}, false, "invalid"},
	} {
		if got, codes := judge(&c.p, c.sending); got != c.want {
			t.Errorf("%s: %s %v, want %s", c.what, got, codes, c.want)
		}
	}
	if _, err := (&smime.Policy{IssuingCAs: []byte("rubbish")}).Verifier(false, nil); err == nil {
		t.Error("a verifier for rubbish")
	}
}

func TestPolicyResolver(t *testing.T) {
	other := func(context.Context, string) ([]string, error) { return nil, nil }
	r := new(smime.Policy).Resolver(&smime.Resolver{Secondary: other, AllowUnknownRevocation: true})
	if r.Secondary != nil || r.AllowUnknownRevocation || r.ExpandTimeout != time.Minute {
		t.Errorf("strict: %+v", r)
	}
	r = (&smime.Policy{SecondaryAddresses: true, GroupMillis: 1500, SoftRevocationOnSend: true}).Resolver(&smime.Resolver{Secondary: other})
	if r.Secondary == nil || !r.AllowUnknownRevocation || r.ExpandTimeout != 1500*time.Millisecond {
		t.Errorf("loose: %+v", r)
	}
}

// TestPolicyInherit: an answer is protected no less than the message it answers, but for
// the signature where the policy says so (NoSignOnReply).
func TestPolicyInherit(t *testing.T) {
	p := newParty(t)
	report := func(sign, encrypt bool) *smime.Report {
		mail := []byte(plain)
		if sign || encrypt {
			mail = composed(t, p.composer(sign, encrypt, true), plain)
		}
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		p              smime.Policy
		signed, sealed bool
		action, want   string
	}{
		{smime.Policy{}, false, false, "leave", "leave"},
		{smime.Policy{}, true, false, "leave", "sign"},
		{smime.Policy{}, true, true, "leave", "seal"},
		{smime.Policy{}, false, true, "leave", "encrypt"},
		{smime.Policy{}, false, true, "sign", "seal"},
		{smime.Policy{}, true, false, "encrypt", "seal"},
		{smime.Policy{TripleWrap: true}, true, true, "leave", "triple"},
		{smime.Policy{ReplyUnsigned: true}, true, true, "leave", "encrypt"},
		{smime.Policy{ReplyUnsigned: true}, true, false, "leave", "leave"},
		{smime.Policy{ReplyUnsigned: true}, true, false, "sign", "sign"},
		{smime.Policy{}, true, true, "reject", "reject"},
		{smime.Policy{}, true, true, "hold", "hold"},
		{smime.Policy{}, true, true, "triple", "triple"},
	} {
		if got := c.p.Inherit(c.action, report(c.signed, c.sealed)); got != c.want {
			t.Errorf("%+v: %s for an answer to signed %v, encrypted %v is %s, want %s", c.p, c.action, c.signed, c.sealed, got, c.want)
		}
	}
}

func TestPolicyShowsAttributes(t *testing.T) {
	p := newParty(t)
	byCarol := p.composer(true, false, true)
	byCarol.Signers = []*certstore.Identity{p.carol}
	policy := smime.Policy{ShowAttributes: []string{"2.5.4.3", "2.5.4.11"}}
	for _, c := range []struct {
		composer *smime.Composer
		want     int
	}{{byCarol, 1}, {p.composer(true, false, true), 0}} {
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(composed(t, c.composer, plain)))
		if err != nil {
			t.Fatal(err)
		}
		got := policy.SignerAttributes(r.Layers[0].Signatures[0])
		if len(got) != c.want || c.want > 0 && !strings.HasPrefix(got[0], "2.5.4.3=Subject ") {
			t.Errorf("attributes %q", got)
		}
	}
}
