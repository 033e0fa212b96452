package smime_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// The pieces that the messages of testdata/open are made of; see package catalogue.
const (
	fileFrom      = catalogue.OpenFrom
	fileFields    = catalogue.OpenFields
	filePart      = catalogue.OpenPart
	fileSigned    = catalogue.SignedField
	fileSigHeader = catalogue.SignatureFields
	fileOpaque    = catalogue.OpaqueFields
	fileKey       = catalogue.Key
	fileIV        = catalogue.IV
	fileNonce     = catalogue.Nonce
)

// A mimeMaker makes messages of the people of testdata/open for a test.
type mimeMaker struct {
	*catalogue.Maker
	t      testing.TB
	people *openIdentities
}

func newMaker(t testing.TB, people *openIdentities) *mimeMaker {
	return &mimeMaker{catalogue.NewMaker(people), t, people}
}

func (p *openIdentities) Alice() *certstore.Identity            { return p.alice }
func (p *openIdentities) Bob() *certstore.Identity              { return p.bob }
func (p *openIdentities) Eve() *certstore.Identity              { return p.eve }
func (p *openIdentities) Other(name string) *certstore.Identity { return p.others[name] }
func (p *openIdentities) CRL() []byte                           { return p.crl }
func (p *openIdentities) Root() *x509.Certificate               { return p.roots[0] }
func (p *openIdentities) Now() time.Time                        { return smimetest.Now() }

func (p *openIdentities) maker() *catalogue.Maker { return catalogue.NewMaker(p) }

func (p *openIdentities) envelope(content string, change func(*forge.Enveloped)) []byte {
	return p.maker().Envelope(content, change)
}

func (p *openIdentities) authEnvelope(content string, change func(*forge.Enveloped)) []byte {
	return p.maker().AuthEnvelope(content, change)
}

func opaqueMail(der []byte) string     { return catalogue.NewMaker(nil).OpaqueMail(der) }
func sealedMail(der []byte) string     { return catalogue.NewMaker(nil).SealedMail(der) }
func authSealedMail(der []byte) string { return catalogue.NewMaker(nil).AuthSealedMail(der) }

func detachedMail(part string, der []byte) string {
	return catalogue.NewMaker(nil).DetachedMail(part, der)
}
