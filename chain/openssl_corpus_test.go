package chain_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// TestOpenSSLCorpus builds the paths of OpenSSL's own verification tests.
func TestOpenSSLCorpus(t *testing.T) {
	dir := corpus(t, "openssl", "certs")
	for _, tt := range []struct {
		leaf, anchors, others string // files without .pem, separated by blanks
		purpose               chain.Purpose
		want                  string
	}{
		{"ee-cert", "root-cert", "ca-cert", "any", "valid"},
		{"ee-cert", "root-cert", "", "any", "path.no_issuer"},
		{"ee-cert", "ca-cert", "", "any", "valid"}, // a partial chain, by name
		{"ee-cert", "ee-cert", "", "any", "valid"},
		{"ee-cert", "root-cert2", "ca-cert", "any", "sig.invalid"},
		{"ee-cert", "root-name2", "ca-cert", "any", "path.no_issuer"},
		{"ee-cert", "root-cert", "ca-nonca", "any", "ca.not_ca"},
		{"ee-cert", "root-cert", "ca-nonbc", "any", "ca.not_ca"},
		{"ee-cert", "root-cert", "ca-root2", "any", "sig.invalid"},
		{"ee-cert", "root-cert", "ca-cert2", "any", "sig.invalid"},
		{"ee-cert", "root-cert", "ca-name2", "any", "path.no_issuer"},
		{"ee-cert", "root-cert", "ca-expired", "any", "time.expired"},
		{"ee-cert2", "root-cert", "ca-cert", "any", "sig.invalid"},
		{"ee-name2", "root-cert", "ca-cert", "any", "path.no_issuer"},
		{"ee-expired", "root-cert", "ca-cert", "any", "time.expired"},
		{"ee-client", "root-cert", "ca-cert", "client-auth", "valid"},
		{"ee-client", "root-cert", "ca-cert", "server-auth", "eku.leaf"},
		{"ee-cert", "root-cert", "ca-cert-md5", "any", "alg.weak_hash"},
		{"ee-cert-md5", "root-cert", "ca-cert", "any", "alg.weak_hash"},
		{"ee-cert-768", "root-cert", "ca-cert", "any", "alg.weak_key"},
		{"ee-cert-768i", "root-cert", "ca-cert-768", "any", "alg.weak_key"},
		{"ee-cert-1024", "root-cert", "ca-cert", "any", "alg.weak_key"},
		{"ee-cert-3072", "root-cert", "ca-cert", "any", "valid"},
		{"ee-cert-4096", "root-cert", "ca-cert", "any", "valid"},
		{"ee-cert-8192", "root-cert", "ca-cert", "any", "alg.too_large"},
		{"ee-cert-crit-unknown-ext", "root-cert", "ca-cert", "any", "ext.unknown_critical"},
		{"ee-cert-noncrit-unknown-ext", "root-cert", "ca-cert", "any", "valid"},
		{"ee-pss-sha256-cert", "root-cert", "ca-cert", "any", "valid"},
		{"ee-pss-sha1-cert", "root-cert", "ca-cert", "any", "alg.weak_hash"},
		{"ee-pss-cert", "root-cert", "ca-pss-cert", "any", "valid"},
		{"ee-pathlen", "root-cert", "ca-cert", "any", "valid"},
		{"alt1-cert", "root-cert", "ncca1-cert", "any", "valid"},
		{"alt2-cert", "root-cert", "ncca2-cert", "any", "valid"},
		{"alt3-cert", "root-cert", "ncca1-cert ncca3-cert", "any", "valid"},
		{"badalt1-cert", "root-cert", "ncca1-cert", "any", "nc.not_permitted"},
		{"badalt2-cert", "root-cert", "ncca2-cert", "any", "nc.excluded"},
		{"badalt3-cert", "root-cert", "ncca1-cert", "any", "nc.not_permitted"},
		{"badalt4-cert", "root-cert", "ncca1-cert", "any", "nc.not_permitted"},
		{"badalt5-cert", "root-cert", "ncca1-cert", "any", "nc.not_permitted"},
		{"badalt6-cert", "root-cert", "ncca1-cert", "any", "valid"}, // a common name is no host name, whatever it looks like
		{"badalt7-cert", "root-cert", "ncca1-cert", "any", "valid"}, // the same
		{"badalt8-cert", "root-cert", "ncca1-cert ncca3-cert", "any", "nc.not_permitted"},
		{"badalt9-cert", "root-cert", "ncca1-cert ncca3-cert", "any", "nc.not_permitted"},
		{"badalt10-cert", "root-cert", "ncca1-cert ncca3-cert", "any", "nc.excluded"},
		{"some-names1", "many-constraints", "many-constraints", "any", "nc.malformed"}, // constraints on DNS names begin with no period
		{"many-names1", "many-constraints", "many-constraints", "any", "nc.malformed"},
		{"many-names2", "many-constraints", "many-constraints", "any", "nc.malformed"},
	} {
		t.Run(tt.leaf+" "+tt.anchors+" "+tt.others, func(t *testing.T) {
			q := chain.Request{Purpose: tt.purpose, Time: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), Revocation: &chain.Revocation{InsecureOff: true}}
			anchors := new(chain.Collection)
			for name := range strings.FieldsSeq(tt.anchors) {
				anchors.AddAnchor(fromPEM(t, read(t, dir+"/"+name+".pem"))...)
			}
			for name := range strings.FieldsSeq(tt.others) {
				q.Untrusted = append(q.Untrusted, fromPEM(t, read(t, dir+"/"+name+".pem"))...)
			}
			q.Leaf = fromPEM(t, read(t, dir+"/"+tt.leaf+".pem"))[0]
			expect(t, chain.NewVerifier(anchors, chain.Revocation{}).Explain(context.Background(), q), tt.want)
		})
	}
}
