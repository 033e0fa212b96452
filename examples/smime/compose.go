package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// composeOptions are the options of sign, encrypt and seal.
type composeOptions struct {
	identities identityOptions
	to         []string
	stores     []string
	chain      chainOptions
	policy     policyFile
	out        string
	clock      string
	composer   smime.Composer
	protect    string
	signerID   string
	recipID    string
	explain    bool
	json       bool
	secret     string
	secretID   string
	passphrase string
	known      map[string][]byte // what the stores know of the recipients' capabilities, by certificate
}

func (o *composeOptions) registerSign(f *pflag.FlagSet) {
	o.identities.register(f)
	f.BoolVar(&o.composer.Opaque, "opaque", false, "sign as application/pkcs7-mime instead of multipart/signed")
	f.StringVar(&o.composer.Digest, "digest", "", "sha256, sha384, sha512, shake128 or shake256; default: what fits the key")
	f.BoolVar(&o.composer.PSS, "pss", false, "RSASSA-PSS where the key is RSA")
	f.StringVar(&o.composer.Include, "include", "chain", "certificates to send: none, leaf, chain or chain+root")
	f.StringVar(&o.signerID, "signer-id", "issuer-serial", "how to name the signer: issuer-serial or key-id")
}

func (o *composeOptions) registerEncrypt(f *pflag.FlagSet) {
	f.StringArrayVar(&o.to, "to", nil, "recipient: a certificate file, or an address to look up in --store; repeatable")
	f.StringArrayVar(&o.stores, "store", nil, "where to look up addresses: "+storeHelp)
	o.chain.registerTrust(f)
	f.StringVar(&o.composer.Cipher, "cipher", "auto", "aes128-cbc, aes192-cbc, aes256-cbc, aes128-gcm, aes192-gcm, aes256-gcm, chacha20-poly1305 or auto")
	f.StringVar(&o.composer.KeyTransport, "key-transport", "auto", "pkcs1, oaep or auto")
	f.StringVar(&o.recipID, "recipient-id", "issuer-serial", "how to name recipients: issuer-serial or key-id")
	f.StringVar(&o.secret, "secret", "", "encrypt for who has this key-encryption key too, in hexadecimal")
	f.StringVar(&o.secretID, "secret-id", "", "how to name that key for the reader, in hexadecimal")
	f.StringVar(&o.passphrase, "passphrase", "", "encrypt for who knows this password too")
	f.BoolVar(&o.composer.Compress, "compress", false, "compress before encrypting")
}

// A composeReport is the JSON of sign, encrypt and seal: what was written and what was chosen.
type composeReport struct {
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
	Cipher  string   `json:"cipher,omitempty"`
	Digests []string `json:"digests,omitempty"` // one for each signer
	Reasons []string `json:"reasons,omitempty"`
}

// composeCommand returns the command sign, encrypt or seal.
func composeCommand(name string) command {
	return func(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
		var o composeOptions
		if err := o.compose(name, args, stdin, stdout, stderr); err != nil {
			return failed(o.json, stdout, stderr, name, err)
		}
		return exitGood
	}
}

func (o *composeOptions) compose(name string, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f := newFlags(name)
	synopsis := name + " [options] MSG"
	if name != "encrypt" {
		o.registerSign(f)
		synopsis = name + " --identity ID [options] MSG"
	}
	if name != "sign" {
		o.registerEncrypt(f)
	}
	if name == "seal" {
		o.composer.Opaque = true
		f.Lookup("opaque").DefValue = "true"
		f.BoolVar(&o.composer.Pad, "pad", false, "hide how long the message is")
		f.BoolVar(&o.composer.Triple, "triple", false, "sign again outside the encryption")
	}
	// What seal writes hides the subject; sign and encrypt leave the header where it is
	// unless they are asked.
	f.StringVar(&o.protect, "protect-headers", fmt.Sprint(name == "seal"), "protect the header too (RFC 9788): true, false, or a policy: baseline, shy, no-confidentiality")
	f.Lookup("protect-headers").NoOptDefVal = "true"
	f.StringVar(&o.out, "out", "", "write the message here instead of to standard output")
	f.BoolVar(&o.json, "json", false, "one JSON object on standard output, about the message, which --out receives")
	o.policy.register(f)
	f.BoolVar(&o.explain, "explain", false, "say on standard error what was chosen and why")
	registerClock(f, &o.clock)
	if done, err := parse(f, args, synopsis, stdout); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		return wrongUsage("one message is needed; - is standard input")
	}
	if o.json && o.out == "-" {
		return wrongUsage("--json and --out - both want standard output")
	}
	for _, flag := range []string{"secret", "secret-id", "passphrase"} {
		if f.Changed(flag) && f.Lookup(flag).Value.String() == "" { // as of a variable that is not set
			return wrongUsage("--%s is empty", flag)
		}
	}
	if o.secretID != "" && o.secret == "" {
		return wrongUsage("--secret-id needs --secret")
	}
	if err := o.settle(name); err != nil {
		return err
	}
	file, closeInput, err := input(f.Arg(0), stdin)
	if err != nil {
		return err
	}
	defer closeInput()
	var msg io.Reader = file
	if o.policy.policy != nil {
		var action string
		if action, msg, err = o.decide(name, file); err != nil {
			return err
		}
		if err := o.govern(action, f.Changed); err != nil {
			return err
		}
	}
	content := stdout
	if o.json {
		content = io.Discard
	}
	w, err := newOutput(o.out, content)
	if err != nil {
		return err
	}
	defer w.discard()
	src, dst := &checkedReader{r: bufio.NewReader(msg)}, &checkedWriter{w: w}
	sum := sha256.New()
	if o.json {
		dst.w = io.MultiWriter(w, sum)
	}
	if _, err := src.r.Peek(1); err == io.EOF {
		return unreadable(errors.New("the message is empty"))
	}
	result, err := o.composer.Compose(dst, src)
	switch {
	case src.err != nil:
		return unreadable(src.err)
	case dst.err != nil:
		return unreadable(dst.err)
	case errors.Is(err, smime.ErrTooLarge):
		return unreadable(err)
	case err != nil:
		return notGood(err)
	}
	if err := w.commit(); err != nil {
		return err
	}
	o.policy.print(stderr, name)
	if o.json {
		writeJSON(stdout, composeReport{dst.n, hex.EncodeToString(sum.Sum(nil)), result.Cipher, result.Digests, result.Reasons})
	}
	if !o.explain {
		return nil
	}
	for _, d := range result.Digests {
		fmt.Fprintf(stderr, "smime: %s: signed over %s\n", name, d)
	}
	for _, reason := range result.Reasons {
		fmt.Fprintf(stderr, "smime: %s: %s\n", name, printable(reason))
	}
	return nil
}

// A checkedReader and a checkedWriter remember their errors, so that they are not taken for
// something wrong with a message.
type checkedReader struct {
	r   *bufio.Reader
	err error
}

func (c *checkedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

type checkedWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// settle checks the choices and reads what they name.
func (o *composeOptions) settle(name string) error {
	for _, choice := range []struct{ flag, value, allowed string }{
		{"digest", o.composer.Digest, "|sha256|sha384|sha512|shake128|shake256"},
		{"include", o.composer.Include, "none|leaf|chain|chain+root|"},
		{"signer-id", o.signerID, "issuer-serial|key-id|"},
		{"recipient-id", o.recipID, "issuer-serial|key-id|"},
		{"cipher", o.composer.Cipher, "|auto|aes128-cbc|aes192-cbc|aes256-cbc|aes128-gcm|aes192-gcm|aes256-gcm|chacha20-poly1305"},
		{"key-transport", o.composer.KeyTransport, "|auto|pkcs1|oaep"},
	} {
		if !oneOf(choice.value, choice.allowed) {
			return wrongUsage("--%s %s is not one of %s", choice.flag, choice.value, strings.Trim(choice.allowed, "|"))
		}
	}
	switch o.composer.ProtectHeaders = o.protect; o.protect {
	case "true":
		o.composer.ProtectHeaders = ""
	case "false":
		o.composer.ProtectHeaders = "off"
	case "baseline", "shy", "no-confidentiality":
	default:
		return wrongUsage("--protect-headers %s is not true, false, baseline, shy or no-confidentiality", o.protect)
	}
	o.composer.SignerKeyID = o.signerID == "key-id"
	o.composer.RecipientKeyID = o.recipID == "key-id"
	if name != "encrypt" && len(o.identities.files) == 0 {
		return wrongUsage("--identity is needed")
	}
	if name != "sign" && len(o.to) == 0 && o.secret == "" && o.passphrase == "" {
		return wrongUsage("--to is needed")
	}
	if err := o.readSecrets(); err != nil {
		return err
	}
	err := o.policy.load()
	if err != nil {
		return err
	}
	o.chain.policy, o.chain.sending = o.policy.policy, true
	if o.composer.Time, err = parseClock(o.clock); err != nil {
		return err
	}
	if name != "encrypt" {
		ids, err := o.identities.read()
		if err != nil {
			return err
		}
		o.composer.Signers = signing(ids)
		now := time.Now()
		if o.composer.Time != nil {
			now = o.composer.Time()
		}
		o.composer.EncryptionCertificate = preferred(ids, o.composer.Signers, now)
	}
	if name != "sign" {
		if _, err := o.chain.verifier(nil); err != nil { // asked for in vain where no address is looked up
			return err
		}
		o.composer.Recipients, err = o.recipients()
		o.composer.Capabilities = func(c *x509.Certificate) []byte { return o.known[string(c.Raw)] }
	}
	return err
}

// readSecrets reads what stands for recipients without a certificate.
func (o *composeOptions) readSecrets() (err error) {
	for _, v := range []struct {
		flag, text string
		octets     *[]byte
	}{{"secret", o.secret, &o.composer.Secret}, {"secret-id", o.secretID, &o.composer.SecretID}} {
		if v.text == "" {
			continue
		}
		if *v.octets, err = hex.DecodeString(v.text); err != nil {
			return wrongUsage("--%s is not hexadecimal", v.flag)
		}
	}
	if o.passphrase != "" {
		o.composer.Passphrase = []byte(o.passphrase)
	}
	return nil
}

// signing leaves out the identities that are for encryption alone, as a file with one
// certificate for each use holds them, if any is for signing.
func signing(ids []*certstore.Identity) []*certstore.Identity {
	const signs = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	var fit []*certstore.Identity
	for _, id := range ids {
		if ku := id.Certificate().KeyUsage; ku == 0 || ku&signs != 0 {
			fit = append(fit, id)
		}
	}
	if len(fit) == 0 {
		return ids
	}
	return fit
}

// preferred returns the certificate that replies to the first signer should be encrypted to,
// where a file has one for each use: the newest for the same address that does not sign. A
// file may hold older ones too, whose keys open old mail and to which nobody encrypts.
func preferred(ids, signers []*certstore.Identity, now time.Time) (newest *x509.Certificate) {
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	for _, id := range ids {
		c := id.Certificate()
		if slices.Contains(signers, id) || c.KeyUsage&encrypts == 0 || now.Before(c.NotBefore) || now.After(c.NotAfter) ||
			newest != nil && !c.NotBefore.After(newest.NotBefore) {
			continue
		}
		for _, address := range signers[0].Certificate().EmailAddresses {
			if certstore.Email(address).Match(c) {
				newest = c
			}
		}
	}
	return newest
}

func oneOf(value, allowed string) bool {
	for s := range strings.SplitSeq(allowed, "|") {
		if s == value {
			return true
		}
	}
	return false
}

// isFile tells the name of a certificate file from an address to look up.
func isFile(to string) bool {
	_, err := os.Stat(to)
	return err == nil || !strings.Contains(to, "@")
}

// recipients reads the certificates of --to. One missing recipient stops everything.
func (o *composeOptions) recipients() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, to := range o.to {
		if !isFile(to) {
			cert, err := o.lookup(to)
			if f, ok := err.(*failure); ok {
				return nil, f // the store, not the recipient
			}
			if err != nil {
				return nil, notGood(err)
			}
			all = append(all, cert)
			continue
		}
		certs, warnings, err := readWarned(to)
		if err != nil {
			return nil, err
		}
		if len(warnings) > 0 {
			return nil, notGood(fmt.Errorf("%s: %w", to, warnings[0]))
		}
		n := len(all)
		for _, c := range certs {
			// A chain is encrypted to its end; a certificate alone is meant.
			if !c.IsCA || len(certs) == 1 {
				all = append(all, c)
			}
		}
		if len(all) == n {
			return nil, notGood(fmt.Errorf("%s holds no recipient's certificate", to))
		}
	}
	return all, nil
}
