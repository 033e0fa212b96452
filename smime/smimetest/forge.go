package smimetest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

// Forge returns what an attacker, or a careless program, makes of the message msg: it has
// the header, the content, the author and the reader of msg and the one defect. [Cases]
// says what is to be answered about it; msg itself is the valid twin.
//
// msg is signed, or signed and then encrypted, as [Case.Needs] says. It may come from any
// program. Where a defect takes a signature that is not in msg, as one of a signer who plays
// along, the signer has to be somebody whose certificate one of the newest thousand PKIs of
// this process issued; the reader of an encrypted message always has, and has an RSA key.
// Where the author's key is at hand, a header that is protected together with the content
// (RFC 9788) is protected no more, so that defects of the header are seen.
//
// The error says why the defect does not apply to msg.
func Forge(d Defect, msg []byte) (forged []byte, err error) {
	defer func() {
		if caught := recover(); caught != nil { // the makers take for granted what a message has
			forged, err = nil, fmt.Errorf("smimetest: %s does not apply to this message: %v", d, caught)
		}
	}()
	if !slices.ContainsFunc(catalogued(), func(c Case) bool { return c.Defect == d }) {
		return nil, fmt.Errorf("smimetest: no defect is called %q", string(d))
	}
	l, people, err := readLetter(msg)
	if err != nil {
		return nil, fmt.Errorf("smimetest: reading the message: %w", err)
	}
	c, err := catalogue.Forge(people, l, string(d))
	if err == nil && c.Fault != "" {
		err = errors.New("it takes " + c.Fault)
	}
	if err != nil {
		return nil, fmt.Errorf("smimetest: %s does not apply to this message: %w", d, err)
	}
	return []byte(c.Message), nil
}

// A cast is who takes part in a letter.
type cast struct {
	pki        *PKI
	alice, bob *certstore.Identity
	absent     func(*certstore.Identity) *certstore.Identity // nil if everybody's key is at hand
}

func (c *cast) Alice() *certstore.Identity { return c.alice }

func (c *cast) Bob() *certstore.Identity {
	if c.bob == nil {
		return c.pki.Bob()
	}
	return c.bob
}

func (c *cast) Eve() *certstore.Identity { return c.Other("eve") }

func (c *cast) Other(what string) *certstore.Identity {
	id := c.pki.Other(what)
	if c.absent != nil {
		return c.absent(id)
	}
	return id
}

func (c *cast) CRL() []byte             { return c.pki.Issuing.CRL(c.pki.Other("revoked").Certificate()) }
func (c *cast) Root() *x509.Certificate { return c.pki.Root.cert }
func (c *cast) Now() time.Time          { return c.pki.now }

// readLetter takes a message apart.
func readLetter(msg []byte) (*catalogue.Letter, *cast, error) {
	e, err := mimeraw.ReadEntity(bytes.NewReader(msg))
	if err != nil {
		return nil, nil, err
	}
	l := &catalogue.Letter{Header: e.Header}
	people := new(cast)
	data, part, err := structureOf(e)
	if err != nil {
		return nil, nil, err
	}
	if part == nil {
		inner, reader, err := decrypt(data)
		if err != nil {
			return nil, nil, err
		}
		if reader != nil {
			l.Encrypted, people.bob = true, reader
			if _, ok := reader.Key().(crypto.Decrypter); !ok {
				return nil, nil, errors.New("its reader's key is not RSA")
			}
			if data, part, err = structureOf(inner); err != nil {
				return nil, nil, fmt.Errorf("inside the encryption: %w", err)
			}
		}
	}
	signer, err := signerOf(data, part)
	if err != nil {
		return nil, nil, err
	}
	signed, err := forge.Parse(data, part, &catalogue.Absent{Key: signer.cert.PublicKey})
	if err != nil {
		return nil, nil, err
	}
	l.Part = string(mimeraw.Canonical(signed.Content))
	people.pki, people.alice = signer.pki, signer.id
	if signer.id != nil {
		var protected string
		l.Part, protected = withoutHeader(l.Part)
		if strings.Contains(strings.ToLower(protected), "from:") {
			inner, err := mimeraw.ReadEntity(strings.NewReader(protected + "\r\n"))
			if err != nil {
				return nil, nil, err
			}
			l.Header = inner.Header
		}
		return l, people, nil
	}
	if l.Encrypted {
		return nil, nil, errors.New("no PKI of this process issued its signer's certificate")
	}
	l.Signed = signed
	return l, people, alone(l, people, signer.cert)
}

// alone makes what can be made where the signer is not there to sign: a key that is asked
// for says so.
func alone(l *catalogue.Letter, people *cast, cert *x509.Certificate) error {
	var lacks func(string)
	l.Watch = func(f func(string)) { lacks = f }
	missed := func() {
		lacks("the private key of " + cert.Subject.CommonName + ", whose certificate no PKI of this process issued")
	}
	people.absent = func(id *certstore.Identity) *certstore.Identity {
		same, err := certstore.NewIdentity(id.Certificate(), &catalogue.Absent{Key: id.Certificate().PublicKey, Missed: missed}, id.Intermediates()...)
		if err != nil {
			panic(err)
		}
		return same
	}
	for _, s := range l.Signed.Signers {
		s.Key = &catalogue.Absent{Key: cert.PublicKey, Missed: missed}
	}
	people.pki = New()
	people.pki.serial = 1 << 20 // nobody else's
	var err error
	people.alice, err = certstore.NewIdentity(cert, l.Signed.Signers[0].Key, people.pki.Issuing.cert)
	return err
}

// structureOf returns the CMS structure that an entity is and, of a multipart/signed, the
// signed part.
func structureOf(e *mimeraw.Entity) (data, part []byte, err error) {
	mt, err := e.MediaType()
	if err != nil {
		return nil, nil, err
	}
	if mt.Type == "multipart/signed" {
		parts, err := e.Multipart()
		if err != nil {
			return nil, nil, err
		}
		first, err := parts.NextPart()
		if err != nil {
			return nil, nil, err
		}
		if part, err = io.ReadAll(first); err != nil {
			return nil, nil, err
		}
		second, err := parts.NextPart()
		if err != nil {
			return nil, nil, err
		}
		if e, err = mimeraw.ReadEntity(second); err != nil {
			return nil, nil, err
		}
		part = append(make([]byte, 0, len(part)+1), mimeraw.Canonical(part)...)
	} else if !strings.Contains(mt.Type, "pkcs7-mime") {
		return nil, nil, fmt.Errorf("it is %s, and neither signed nor encrypted", mt.Type)
	}
	body, err := e.Decoded()
	if err != nil {
		return nil, nil, err
	}
	data, err = io.ReadAll(body)
	return data, part, err
}

// decrypt returns what is in an encrypted structure and who can read it, or nobody for
// another structure.
func decrypt(data []byte) (*mimeraw.Entity, *certstore.Identity, error) {
	content, err := cms.Open(bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	if _, ok := content.(*cms.EnvelopedData); !ok {
		return nil, nil, nil
	}
	for id := range everybody() {
		content, err := cms.Open(bytes.NewReader(data))
		if err != nil {
			return nil, nil, err
		}
		d := content.(*cms.EnvelopedData)
		i := slices.IndexFunc(d.Recipients(), func(r *cms.RecipientInfo) bool { return r.Matches(id.identity.Certificate()) })
		if i < 0 || d.Unlock(d.Recipients()[i], id.identity.Key(), cms.DecryptOptions{}) != nil {
			continue
		}
		plain, err := io.ReadAll(d)
		if err == nil {
			err = d.Finish()
		}
		// PKIs have the same names and serial numbers, and of 256 wrong keys for CBC one
		// leaves a good padding: it is this reader's if it says what it is.
		if e, bad := mimeraw.ReadEntity(bytes.NewReader(plain)); err == nil && bad == nil {
			if _, typed := e.Header.Get("Content-Type"); typed > 0 {
				return e, id.identity, nil
			}
		}
	}
	return nil, nil, errors.New("no PKI of this process issued the certificate of any reader")
}

// A signer is who signed a letter; id is nil where nobody has the key.
type signer struct {
	pki  *PKI
	id   *certstore.Identity
	cert *x509.Certificate
}

func signerOf(data, part []byte) (*signer, error) {
	content, err := cms.Open(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	sd, ok := content.(*cms.SignedData)
	if !ok {
		return nil, errors.New("what is protected is not signed")
	}
	if sd.HasContent() != (part == nil) {
		return nil, errors.New("it has two contents, or none")
	}
	if _, err := io.Copy(io.Discard, sd); part == nil && err != nil {
		return nil, err
	}
	if err := sd.Finish(); err != nil {
		return nil, err
	}
	if len(sd.SignerInfos()) == 0 {
		return nil, errors.New("nobody signed it")
	}
	// PKIs have the same names and serial numbers, so that the certificate in the message
	// says which one it is.
	first := sd.SignerInfos()[0]
	var cert *x509.Certificate
	for _, der := range sd.Certificates() {
		if c, err := pkix.ParseCertificate(der); err == nil && first.Matches(c) {
			cert = c
		}
	}
	for id := range everybody() {
		c := id.identity.Certificate()
		if first.Matches(c) && (cert == nil || c.Equal(cert)) {
			return &signer{id.pki, id.identity, c}, nil
		}
	}
	if cert == nil {
		return nil, errors.New("its signer's certificate is not there")
	}
	return &signer{nil, nil, cert}, nil
}

// withoutHeader takes from a signed part what it says about the header of the message.
func withoutHeader(part string) (plain, protected string) {
	e, err := mimeraw.ReadEntity(strings.NewReader(part))
	if err != nil || len(e.Header.Fields) == 0 {
		return part, ""
	}
	var content, about strings.Builder
	for _, f := range e.Header.Fields {
		raw := string(f.Raw)
		switch name := strings.ToLower(f.Name); {
		case name == "content-type":
			for _, hp := range []string{"clear", "cipher"} {
				raw = strings.ReplaceAll(raw, ";\r\n\thp=\""+hp+"\"", "")
				raw = strings.ReplaceAll(raw, "; hp=\""+hp+"\"", "")
			}
			content.WriteString(raw)
		case strings.HasPrefix(name, "content-"):
			content.WriteString(raw)
		case name != "hp-outer":
			about.WriteString(raw)
		}
	}
	if content.Len() == 0 {
		content.WriteString("Content-Type: text/plain; charset=us-ascii\r\n")
	}
	_, body, _ := strings.Cut(part, "\r\n\r\n")
	return content.String() + "\r\n" + body, about.String()
}

// mostPKIs is how many PKIs Forge knows, the newest: far more than a test has.
const mostPKIs = 1000

// everyone holds the PKIs of this process.
var everyone struct {
	sync.Mutex
	pkis []*PKI
}

type known struct {
	pki      *PKI
	identity *certstore.Identity
}

// enlist makes the people of a PKI known to Forge.
func enlist(p *PKI) {
	everyone.Lock()
	defer everyone.Unlock()
	if len(everyone.pkis) == mostPKIs {
		everyone.pkis = slices.Delete(everyone.pkis, 0, 1)
	}
	everyone.pkis = append(everyone.pkis, p)
}

// everybody yields all to whom a certificate was issued.
func everybody() func(yield func(known) bool) {
	everyone.Lock()
	pkis := slices.Clone(everyone.pkis)
	everyone.Unlock()
	return func(yield func(known) bool) {
		for _, p := range pkis {
			p.mu.Lock()
			all := slices.Clone(p.identities)
			p.mu.Unlock()
			for _, id := range all {
				if !yield(known{p, id}) {
					return
				}
			}
		}
	}
}
