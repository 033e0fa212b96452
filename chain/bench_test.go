package chain_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// threeCertificates makes a root, an issuing CA and n leaves with keys of one kind.
func threeCertificates(b testing.TB, n int, key func() crypto.Signer) (root, sub *entity, leaves []*entity) {
	root = issueWith(b, key(), nil, "Root", ca)
	sub = issueWith(b, key(), root, "Issuing", ca)
	k := key()
	for i := range n {
		leaves = append(leaves, issueWith(b, k, sub, fmt.Sprintf("leaf %d", i), mail))
	}
	return root, sub, leaves
}

func pools(root *entity, rest ...*entity) x509.VerifyOptions {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	o.Roots.AddCert(root.Certificate)
	for _, c := range rest {
		o.Intermediates.AddCert(c.Certificate)
	}
	return o
}

// fastest runs the functions in turn, many times, and returns the least time of one call
// of each: the machine has other work, and what is left after the least is noise.
func fastest(fs ...func()) []time.Duration {
	best := make([]time.Duration, len(fs))
	for start := time.Now(); time.Since(start) < time.Duration(len(fs))*150*time.Millisecond; {
		for i, f := range fs {
			begin := time.Now()
			f()
			if d := time.Since(begin); best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	return best
}

func mustVerify(b testing.TB, v *chain.Verifier, leaf *entity, untrusted ...*x509.Certificate) {
	if _, err := v.Verify(context.Background(), leaf.Certificate, chain.EmailSigning, untrusted...); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify prints what a verification costs in microseconds, its ratio to
// x509.Verify and what it costs beyond the leaf's one signature. Every row alternates the two
// and takes the least of each.
//
// A verifier reads nothing but the DER of certificates, so that the row fresh-from-DER
// compares like with like: both begin with octets. In the rows fresh and fresh-in-message
// x509.Verify has been given its certificates parsed, and ours parses them again.
func BenchmarkVerify(b *testing.B) {
	for _, k := range []struct {
		name string
		key  func() crypto.Signer
	}{{"P-256", func() crypto.Signer { return newKey(b) }}, {"RSA-2048", func() crypto.Signer { return rsaKey(b, 2048) }}} {
		root, sub, leaves := threeCertificates(b, 2, k.key)
		leaf := leaves[0]
		opts := pools(root, sub)
		std := func() {
			if _, err := leaf.Verify(opts); err != nil {
				b.Fatal(err)
			}
		}
		stdDER := func() {
			l, _ := x509.ParseCertificate(leaf.Raw)
			s, _ := x509.ParseCertificate(sub.Raw)
			o := x509.VerifyOptions{Roots: opts.Roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: opts.KeyUsages}
			o.Intermediates.AddCert(s)
			if _, err := l.Verify(o); err != nil {
				b.Fatal(err)
			}
		}
		run := func(name string, prepare func(), ours func()) {
			std := std
			if name == "fresh-from-DER" {
				std = stdDER
			}
			b.Run(k.name+"/"+name, func(b *testing.B) {
				d := fastest(std, func() {
					if err := leaf.CheckSignatureFrom(sub.Certificate); err != nil {
						b.Fatal(err)
					}
				}, prepare, func() { prepare(); ours() })
				cost := d[3] - d[2]
				b.ReportMetric(float64(cost.Nanoseconds())/1e3, "us")
				b.ReportMetric(float64(cost)/float64(d[0]), "of-x509")
				b.ReportMetric(float64((cost-d[1]).Nanoseconds())/1e3, "us-over-signature")
				b.ReportMetric(0, "ns/op")
			})
		}
		both, anchor := collection(root, sub), collection(root)
		var v *chain.Verifier
		mustVerify(b, verifier(both), leaf)
		run("fresh", func() { v = verifier(both) }, func() { mustVerify(b, v, leaf) })
		run("fresh-in-message", func() { v = verifier(anchor) }, func() { mustVerify(b, v, leaf, sub.Certificate) })
		run("fresh-from-DER", func() { v = verifier(anchor) }, func() {
			mustVerify(b, v, &entity{&x509.Certificate{Raw: leaf.Raw}, nil}, &x509.Certificate{Raw: sub.Raw})
		})
		v = verifier(both)
		run("known-issuer", func() { v.ForgetSignatureOf(leaf.Certificate) }, func() { mustVerify(b, v, leaf) })
		run("known-leaf", func() {}, func() { mustVerify(b, v, leaf) })
		large := collection(root, sub)
		key := newKey(b)
		parent := issueWith(b, key, nil, "Other root", ca)
		for i := range 399 {
			large.AddAnchor(issueWith(b, key, nil, fmt.Sprintf("Root %d", i), ca).Certificate)
		}
		for i := range 4999 {
			large.AddIntermediate(issueWith(b, key, parent, fmt.Sprintf("Sub %d", i), ca).Certificate)
		}
		v = verifier(large)
		mustVerify(b, v, leaf)
		run("known-issuer-of-5400", func() { v.ForgetSignatureOf(leaf.Certificate) }, func() { mustVerify(b, v, leaf) })
		small := verifier(both)
		mustVerify(b, small, leaf)
		b.Run(k.name+"/5400-against-2", func(b *testing.B) {
			d := fastest(func() {
				small.ForgetSignatureOf(leaf.Certificate)
				mustVerify(b, small, leaf)
			}, func() {
				v.ForgetSignatureOf(leaf.Certificate)
				mustVerify(b, v, leaf)
			})
			b.ReportMetric(float64(d[1])/float64(d[0]), "of-small")
			b.ReportMetric(0, "ns/op")
		})
	}
}
