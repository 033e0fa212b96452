//go:build unix

package ldapstore_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/storetest"
	"github.com/postseal/postseal/internal/servertest"
)

func TestConformance(t *testing.T) {
	storetest.Test(t, storetest.Backend{
		Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			var data bytes.Buffer
			for i, e := range entries {
				c := e.Certificate
				if c.IsCA {
					fmt.Fprintf(&data, "dn: cn=ca%[1]d,dc=example,dc=test\nobjectClass: organizationalRole\nobjectClass: pkiCA\ncn: ca%[1]d\ncACertificate;binary:: %[2]s\n\n", i, b64(c.Raw))
					continue
				}
				lines := []string{"userCertificate;binary:: " + b64(c.Raw)}
				for _, a := range c.EmailAddresses {
					lines = append(lines, "mail: "+a)
				}
				ldif(&data, fmt.Sprint("u", i), lines...)
			}
			server := servertest.StartSlapd(t, data.Bytes())
			s := newStore(t, server.URL, server)
			s.Scan = true
			return s
		},
		NotFiled: true,
	})
}
