package peertest_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// An opinion is what one implementation makes of a structure.
type opinion struct {
	ok      bool
	content []byte
	why     string // codes or an error, where it is not ok; remarks, where it is
}

// ourOpinion is ours: of SignedData that every signature is good by the certificates in it,
// with every exception for old mail; of EnvelopedData that it opens with the key.
func ourOpinion(der, detached []byte, cert *x509.Certificate, key crypto.PrivateKey) opinion {
	c, err := cms.Open(bytes.NewReader(der))
	if err != nil {
		return opinion{why: reason(err)}
	}
	switch c := c.(type) {
	case *cms.SignedData:
		return ourVerdict(c, detached)
	case *cms.EnvelopedData:
		i := slices.IndexFunc(c.Recipients(), func(ri *cms.RecipientInfo) bool { return ri.Matches(cert) })
		if i < 0 {
			return opinion{why: "no recipient"}
		}
		if err := c.Unlock(c.Recipients()[i], key, cms.DecryptOptions{AllowLegacyCiphers: true, AllowShortTags: true}); err != nil {
			return opinion{why: reason(err)}
		}
		content, err := io.ReadAll(c)
		if err != nil {
			return opinion{why: reason(err)}
		}
		return opinion{ok: true, content: content}
	}
	return opinion{why: "another type"}
}

func ourVerdict(sd *cms.SignedData, detached []byte) opinion {
	content, err := io.ReadAll(sd)
	if err == nil {
		err = sd.Finish()
	}
	if err != nil {
		return opinion{why: reason(err)}
	}
	if len(sd.SignerInfos()) == 0 {
		return opinion{why: "no signers"}
	}
	digests := sd.Digests()
	if !sd.HasContent() {
		if detached == nil {
			return opinion{why: "no content"}
		}
		hashes := []sigalg.Hash{sigalg.SHA256, sigalg.SHA384, sigalg.SHA512}
		for _, si := range sd.SignerInfos() {
			if h, ok := si.DigestAlgorithm(); ok {
				hashes = append(hashes, h)
			}
		}
		digests, content = cms.NewDigests(hashes...), detached
		digests.Write(detached)
	} else if detached != nil {
		return opinion{why: "two contents"}
	}
	var certs []*x509.Certificate
	for _, der := range sd.Certificates() {
		if c, err := pkix.ParseCertificate(der); err == nil {
			certs = append(certs, c)
		}
	}
	var codes []string
	ok := true
	for _, si := range sd.SignerInfos() {
		var cert *x509.Certificate
		if i := slices.IndexFunc(certs, si.Matches); i >= 0 {
			cert = certs[i]
		}
		r := si.Verify(cert, sd.EContentType(), digests, cms.VerifyOptions{AllowSHA1: true, AllowMD5: true, AllowLegacyKeys: true})
		ok = ok && r.State == "valid"
		codes = append(codes, r.Codes...)
	}
	return opinion{ok, content, strings.Join(codes, " ")}
}

// reason is the kind of an error of package cms.
func reason(err error) string {
	var (
		syntax      *cms.SyntaxError
		unsupported *cms.UnsupportedError
		weak        *cms.WeakError
		limit       *limits.Exceeded
	)
	switch {
	case err == cms.ErrDecrypt:
		return "decrypt.failed"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cms.truncated"
	case errors.As(err, &syntax), errors.Is(err, cms.ErrTrailingData):
		return "cms.malformed"
	case errors.As(err, &unsupported):
		return "cms.unsupported"
	case errors.As(err, &weak):
		return "decrypt.weak_cipher"
	case errors.As(err, &limit):
		return "limit.exceeded"
	case errors.Is(err, cms.ErrNoContent):
		return "no content"
	}
	return err.Error()
}

// A disagreement says what was found of two opinions that differ. It is "" where they agree,
// or where one of the patterns explains the difference: those of stricter are in the words
// of ours and say why we may refuse what the peer takes, those of narrower in the words of
// the peer and say why it may refuse what we take.
func disagreement(ours, theirs opinion, stricter, narrower []string) string {
	explained := func(why string, patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(why, p) })
	}
	switch {
	case ours.ok && theirs.ok && !bytes.Equal(ours.content, theirs.content):
		return fmt.Sprintf("both accept, we read %d octets %.40q, the peer %d octets %.40q", len(ours.content), ours.content, len(theirs.content), theirs.content)
	case ours.ok && !theirs.ok && !explained(theirs.why, narrower) && !explained(ours.why, narrower):
		return "only we accept; the peer says " + theirs.why
	case theirs.ok && !ours.ok && !explained(ours.why, stricter):
		return "only the peer accepts; we say " + ours.why
	}
	return ""
}

// smallstepOpinion asks the Go library in this process. It panics on hostile input, which
// is caught; what it cannot survive, nesting in the millions, is kept from it.
func smallstepOpinion(der, detached []byte, cert *x509.Certificate, key crypto.PrivateKey) (o opinion) {
	defer func() {
		if r := recover(); r != nil {
			o = opinion{why: fmt.Sprint("panic: ", r)}
		}
	}()
	if len(der) > 1<<16 {
		return opinion{why: "panic: not asked"}
	}
	p7, err := pkcs7.Parse(bytes.Clone(der))
	if err != nil {
		return opinion{why: "cannot read it: " + err.Error()}
	}
	if len(p7.Signers) > 0 || p7.Certificates != nil {
		if detached != nil {
			p7.Content = detached
		}
		if err := p7.Verify(); err != nil {
			return opinion{why: err.Error()}
		}
		return opinion{ok: true, content: p7.Content}
	}
	content, err := p7.Decrypt(cert, key)
	switch {
	case err != nil:
		return opinion{why: err.Error()}
	case noPadding(der, content):
		return opinion{why: "pkcs7: takes a padding of no octets"}
	}
	return opinion{ok: true, content: content}
}

// noPadding reports whether content is as long as the ciphertext of an EnvelopedData.
func noPadding(der, content []byte) bool {
	c, err := cms.Open(bytes.NewReader(der))
	if err != nil {
		return false
	}
	e, ok := c.(*cms.EnvelopedData)
	return ok && len(content) > 0 && e.Finish() == nil && len(content)%8 == 0 &&
		bytes.Contains(der, ber.AppendHeader(nil, ber.Context(0), false, len(content)))
}

// What we refuse and smallstep takes: it passes over what it does not look at.
var stricterThanSmallstep = []string{
	"attr.",              // checks one attribute, the message digest, and the first of that name
	"cms.malformed",      // skips fields that are out of place, and octets behind the structure
	"cms.truncated",      // guesses lengths of BER
	"limit.exceeded",     // has no limits
	"cms.unsupported",    // decrypts AES-GCM in EnvelopedData
	"alg.",               // takes a digest that is not the one of the signature algorithm, and keys below 1024 bits
	"sig.unsupported",    // does not look at the parameters of algorithms
	"digest.unannounced", // does not look at the digests announced
	"two contents",
	"no recipient", // skips what a RecipientInfo has too much
	"no content",   // verifies a detached signature over nothing
	"another type",
	"signer.no_certificate", // compares names as strings
}

// What we take and smallstep refuses.
var narrowerSmallstep = []string{
	"panic:",
	"cannot read it:",            // all of it at once, such as the key of a certificate that nobody needs
	"asn1:", "ber2der:", "x509:", // one encoding of many
	"pkcs7: ", // an algorithm, a kind of recipient or of signer that it does not have
	"unsupported", "cannot convert", "attribute type not in attributes",
	"attr.not_der", // ours: it always sorts before it verifies
	"crypto/rsa: ", "rsa: ",
}

// bobOf reads the private key and the certificate of somebody in testdata/open.
func bobOf(t testing.TB) (*x509.Certificate, crypto.PrivateKey) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/open/pki/bob.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(rest)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// openStructures are the structures of the messages in testdata/open that are a structure
// or end with a detached signature, with the part that it covers.
func openStructures(t testing.TB) (ders, parts [][]byte) {
	t.Helper()
	names, err := filepath.Glob("../../testdata/open/*.eml")
	if err != nil || len(names) < 400 {
		t.Fatal(len(names), "messages,", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		mail := string(text)
		var part []byte
		if pieces := strings.Split(mail, "\r\n--outer"); strings.Contains(mail, "multipart/signed") && len(pieces) == 4 {
			part, mail = []byte(strings.TrimPrefix(pieces[1], "\r\n")), strings.TrimPrefix(pieces[2], "\r\n")
		}
		_, body, _ := strings.Cut(mail, "\r\n\r\n")
		der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
		if err != nil || len(der) == 0 || len(der) > 20_000 {
			continue
		}
		ders, parts = append(ders, der), append(parts, part)
	}
	if len(ders) < 200 {
		t.Fatal("only", len(ders), "structures")
	}
	return ders, parts
}

// FuzzDifferential shows anything to smallstep's library and to this one. Both take it and
// read the same, or it is known why one of them does not take it.
func FuzzDifferential(f *testing.F) {
	cert, key := bobOf(f)
	ders, parts := openStructures(f)
	for i := range ders {
		f.Add(ders[i], parts[i])
	}
	f.Fuzz(func(t *testing.T, der, part []byte) {
		if len(part) == 0 {
			part = nil
		}
		ours := ourOpinion(der, part, cert, key)
		theirs := smallstepOpinion(der, part, cert, key)
		if d := disagreement(ours, theirs, stricterThanSmallstep, narrowerSmallstep); d != "" {
			t.Error(d)
		}
	})
}

// TestDifferentialSmallstep shows smallstep's library every mutant of one structure of
// each kind that it reads: see [forge.Mutants]. It must take as many as show that the
// comparison is one.
func TestDifferentialSmallstep(t *testing.T) {
	lab := peertest.New(t)
	bob := lab.PKI.ID("bob")
	agreed, n := 0, 0
	for name, der := range differentialStructures(t, lab) {
		for mutation, mutant := range forge.Mutants(der) {
			n++
			ours := ourOpinion(mutant, nil, bob.Cert, bob.Key)
			theirs := smallstepOpinion(mutant, nil, bob.Cert, bob.Key)
			if d := disagreement(ours, theirs, stricterThanSmallstep, narrowerSmallstep); d != "" {
				t.Errorf("%s, %s: %s", name, mutation, d)
			}
			if ours.ok && theirs.ok {
				agreed++
			}
		}
	}
	if n < 5000 || agreed < 20 {
		t.Error(n, "mutants,", agreed, "of them taken by both")
	}
	t.Log(n, "mutants,", agreed, "of them taken by both")
}

const differentialContent = "Content-Type: text/plain\r\n\r\nThe harbour opens at nine.\r\n"

// differentialStructures are what mutants are made of: by Alice, for Bob.
func differentialStructures(t *testing.T, lab *peertest.Lab) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, f := range map[string]peertest.Form{
		"signed with RSA":        {Kind: peertest.Signed, Who: []string{"alice"}, Digest: "sha256"},
		"signed with PSS":        {Kind: peertest.Signed, Who: []string{"alice"}, Digest: "sha256", PSS: true},
		"signed with ECDSA":      {Kind: peertest.Signed, Who: []string{"alice-ec"}, Digest: "sha256"},
		"signed by two":          {Kind: peertest.Signed, Who: []string{"alice", "alice-ec"}, Digest: "sha256", KeyID: true},
		"AES-CBC":                {Kind: peertest.Encrypted, Who: []string{"bob"}, Cipher: "aes128-cbc"},
		"AES-CBC, OAEP, two":     {Kind: peertest.Encrypted, Who: []string{"alice", "bob"}, Cipher: "aes256-cbc", OAEP: "sha256", KeyID: true},
		"AES-GCM":                {Kind: peertest.Encrypted, Who: []string{"bob"}, Cipher: "aes256-gcm"},
		"AES-CBC for many kinds": {Kind: peertest.Encrypted, Who: []string{"alice-ec", "bob"}, Cipher: "aes256-cbc"},
	} {
		der, err := ours{lab}.Write(f, []byte(differentialContent))
		if err != nil {
			t.Fatal(name, err)
		}
		out[name] = der
	}
	return out
}

// opensslOpinion asks the command line of OpenSSL.
func opensslOpinion(p *peertest.OpenSSL, dir, name string, der []byte) opinion {
	in, out := filepath.Join(dir, name+".der"), filepath.Join(dir, name+".out")
	defer os.Remove(in)
	defer os.Remove(out)
	if err := os.WriteFile(in, der, 0o600); err != nil {
		return opinion{why: err.Error()}
	}
	args := []string{"cms", "-inform", "DER", "-binary", "-in", in, "-out", out}
	if bytes.Contains(der[:min(len(der), 30)], []byte(oid.SignedData)) {
		args = append(args, "-verify", "-noverify")
	} else {
		args = append(args, "-decrypt", "-recip", "bob.pem", "-inkey", "bob.key")
	}
	if _, err := p.Run(args...); err != nil {
		return opinion{why: err.Error()}
	}
	content, err := os.ReadFile(out)
	if err != nil {
		return opinion{why: err.Error()}
	}
	return opinion{ok: true, content: content}
}

// What we refuse and OpenSSL takes.
var stricterThanOpenSSL = []string{
	"attr.",                 // looks at the message digest, and at content-type only where there is one
	"cms.malformed",         // reads BER more freely, and passes over octets behind the structure
	"limit.exceeded",        // allows deeper nesting
	"sig.unsupported",       // does not look at the parameters of algorithms
	"signer.no_certificate", // compares names in its own canonical form
	"cms.unsupported",       // reads AES-CBC whatever the type of the structure
	"no recipient",          // tries a key on recipients that it is not named by
	"alg.",                  // takes a digest that is not the one of the signature algorithm
}

// What we take and OpenSSL refuses.
var narrowerOpenSSL = []string{
	"asn1 encoding routines",       // one schema for all of the structure, of parts that nobody needs too
	"unknown digest algorithm",     // among those announced, of which only the signers' count for us
	"signer certificate not found", // compares names otherwise than RFC 4518 says
	"attr.not_der",                 // ours
}

// TestDifferentialOpenSSL shows OpenSSL some thousands of mutants: the structures with an
// element changed, with a bit changed and cut off, always the same ones.
func TestDifferentialOpenSSL(t *testing.T) {
	lab := peertest.New(t)
	openssl := lab.OpenSSL(t)
	bob := lab.PKI.ID("bob")
	most := 300 // of each structure
	if testing.Short() {
		most = 40
	}
	content := []byte(differentialContent)
	type job struct {
		name      string
		der       []byte
		malleable bool // encrypted without authentication
	}
	var jobs []job
	structures := differentialStructures(t, lab)
	for _, name := range slices.Sorted(maps.Keys(structures)) {
		der := structures[name]
		malleable := strings.HasPrefix(name, "AES-CBC")
		var all []job
		for mutation, mutant := range forge.Mutants(der) {
			all = append(all, job{name + ", " + mutation, mutant, malleable})
		}
		for i := range der {
			all = append(all, job{fmt.Sprintf("%s, octet %d", name, i), flipped(der, i, 1<<(i%8)), malleable},
				job{fmt.Sprintf("%s, cut at %d", name, i), der[:i], malleable})
		}
		r := rand.New(rand.NewPCG(uint64(len(jobs)), 9))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		jobs = append(append(jobs, job{name + ", the twin", der, malleable}), all[:min(most, len(all))]...)
	}
	var mu sync.Mutex
	agreed := 0
	work := make(chan int)
	var workers sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		workers.Go(func() {
			for i := range work {
				ours := ourOpinion(jobs[i].der, nil, bob.Cert, bob.Key)
				theirs := opensslOpinion(openssl, lab.Dir, fmt.Sprint("mutant", i), jobs[i].der)
				d := disagreement(ours, theirs, stricterThanOpenSSL, narrowerOpenSSL)
				if jobs[i].malleable && !bytes.Equal(ours.content, content) && !bytes.Equal(theirs.content, content) {
					d = "" // rubbish under a random key passes for padded once in some 250 times
				}
				if ours.ok && strings.HasSuffix(theirs.why, "CMS Verification failure") {
					d = "" // says no more where no digest at all is announced
				}
				mu.Lock()
				if d != "" || strings.HasSuffix(jobs[i].name, "twin") && !(ours.ok && theirs.ok) {
					t.Errorf("%s: %s (ours: %s; OpenSSL: %s)", jobs[i].name, d, ours.why, theirs.why)
				}
				if ours.ok && theirs.ok {
					agreed++
				}
				mu.Unlock()
			}
		})
	}
	for i := range jobs {
		work <- i
	}
	close(work)
	workers.Wait()
	t.Log(len(jobs), "structures,", agreed, "taken by both")
}

func flipped(der []byte, at int, bits byte) []byte {
	out := bytes.Clone(der)
	out[at] ^= bits
	return out
}
