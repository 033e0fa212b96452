package smimetest

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

// A Kind is a kind of protected message.
type Kind string

// The kinds of messages that [PKI.Message] makes.
const (
	Clear      Kind = "clear"      // multipart/signed
	Opaque     Kind = "opaque"     // signed as application/pkcs7-mime
	Encrypted  Kind = "encrypted"  // with AES-CBC, and signed by nobody
	Sealed     Kind = "sealed"     // signed, then encrypted with AES-CBC
	SealedGCM  Kind = "sealed-gcm" // signed, then encrypted with AES-GCM
	Triple     Kind = "triple"     // signed, encrypted, signed again
	Compressed Kind = "compressed" // signed, then compressed
	CertsOnly  Kind = "certs-only" // a delivery of Alice's certificates
	Forwarded  Kind = "forwarded"  // a signed message in one that is not
	List       Kind = "list"       // a signed message that a mailing list put beside a footer
	Winmail    Kind = "winmail"    // an opaque signed message that Exchange made winmail.dat of
)

// Kinds lists all of them.
func Kinds() []Kind {
	return []Kind{Clear, Opaque, Encrypted, Sealed, SealedGCM, Triple, Compressed, CertsOnly, Forwarded, List, Winmail}
}

// Message protects a message from Alice to Bob. Its header is not protected with it: what
// stands there is what everybody reads. For anything else there is [smime.Composer].
func (p *PKI) Message(kind Kind, m Mail) []byte {
	msg, err := p.message(kind, m)
	if err != nil {
		p.fail(err)
	}
	return msg
}

func (p *PKI) message(kind Kind, m Mail) ([]byte, error) {
	c := &smime.Composer{Time: p.Time, ProtectHeaders: "off", Opaque: true}
	switch kind {
	case Clear, Forwarded, List:
		c.Opaque = false
	case Sealed:
		c.Cipher = "aes256-cbc"
	case SealedGCM:
		c.Cipher = "aes256-gcm"
	case Encrypted:
		c.Cipher = "aes256-cbc"
	case Triple:
		c.Triple = true
	case Compressed:
		c.Compress = true
	case CertsOnly:
		return p.certificates(m)
	case Opaque, Winmail:
	default:
		return nil, fmt.Errorf("no kind of message is called %q", string(kind))
	}
	if kind != Encrypted {
		c.Signers = []*certstore.Identity{p.Alice()}
	}
	if kind == Encrypted || kind == Sealed || kind == SealedGCM || kind == Triple {
		c.Recipients = []*x509.Certificate{p.Bob().Certificate()}
	}
	var b bytes.Buffer
	if _, err := c.Compose(&b, m.Reader()); err != nil {
		return nil, err
	}
	switch kind {
	case Forwarded, List, Winmail:
		return wrapped(kind, m, b.Bytes())
	}
	return b.Bytes(), nil
}

// header returns the fields of a message that are not about its content, and the rest.
func header(msg []byte) (fields, entity string) {
	i := bytes.Index(msg, []byte("MIME-Version:"))
	j := i + bytes.IndexByte(msg[i:], '\n') + 1
	return string(msg[:j]), string(msg[j:])
}

func (p *PKI) certificates(m Mail) ([]byte, error) {
	fields, _ := header(m.Bytes())
	alice := p.Alice()
	der := cms.CertsOnly(append([]*x509.Certificate{alice.Certificate()}, alice.Intermediates()...), nil)
	return []byte(fields + "Content-Type: application/pkcs7-mime; smime-type=certs-only; name=smime.p7c\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(der)), nil
}

// wrapped puts a signed message into another.
func wrapped(kind Kind, m Mail, signed []byte) ([]byte, error) {
	fields, entity := header(signed)
	const text = "Content-Type: text/plain\r\n\r\nNobody signed this.\r\n"
	switch kind {
	case Forwarded:
		return []byte(fields + catalogue.MultipartAt("forward", "mixed", text, "Content-Type: message/rfc822\r\n\r\n"+string(signed))), nil
	case List:
		return []byte("List-Id: <list.good.example>\r\n" + fields + catalogue.MultipartAt("list", "mixed", entity, text)), nil
	}
	e, err := mimeraw.ReadEntity(bytes.NewReader(signed))
	if err != nil {
		return nil, err
	}
	data, _, err := structureOf(e)
	if err != nil {
		return nil, err
	}
	return []byte(fields + "Content-Type: application/ms-tnef; name=winmail.dat\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(catalogue.Winmail(data, ""))), nil
}
