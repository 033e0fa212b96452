package smimeastore

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer reads anything as an answer of a resolver. No association comes out of one that
// was not validated, and none that RFC 8162 does not have.
func FuzzAnswer(f *testing.F) {
	name, ok := Name("alice@example.com")
	if !ok {
		f.Fatal("the address is none")
	}
	for _, change := range []func(*dns.Msg){
		func(*dns.Msg) {},
		func(m *dns.Msg) { m.AuthenticatedData = false },
		func(m *dns.Msg) { m.Rcode = dns.RcodeNameError; m.Answer = nil },
		func(m *dns.Msg) { m.Truncated = true },
		func(m *dns.Msg) {
			alias := "b." + name
			m.Answer[0].Header().Name = alias
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: alias})
		},
		func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: name}}
		},
	} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeSMIMEA)
		m.Response, m.AuthenticatedData = true, true
		m.Answer = []dns.RR{&dns.SMIMEA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSMIMEA, Class: dns.ClassINET, Ttl: 60}, Usage: 3, Certificate: "3003020105"}}
		change(m)
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		list, err := read(m, name)
		if len(list) > 0 && (err != nil || !m.AuthenticatedData || m.Truncated) || len(list) > maxRecords {
			t.Fatalf("%d associations, %v, of\n%v", len(list), err, m)
		}
		for _, a := range list {
			if a.Usage > DANEEE || a.Selector > 1 || a.Matching > 2 || len(a.Data) == 0 || a.TTL < 0 {
				t.Fatalf("%+v", a)
			}
		}
	})
}
