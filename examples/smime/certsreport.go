package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/postseal/postseal/certstore"
)

// certReport is what certs tells of one certificate.
type certReport struct {
	File         string        `json:"file"`
	Subject      string        `json:"subject"`
	Issuer       string        `json:"issuer"`
	Serial       string        `json:"serial"` // hexadecimal
	Mailboxes    []string      `json:"mailboxes"`
	NotBefore    time.Time     `json:"not_before"`
	NotAfter     time.Time     `json:"not_after"`
	Key          string        `json:"key"`       // such as "rsa-2048", "ec-p256", "ml-dsa-65"
	Signature    string        `json:"signature"` // such as "SHA256-RSA"
	CA           bool          `json:"ca"`
	Uses         []string      `json:"uses"` // keyUsage, then extendedKeyUsage
	SHA256       string        `json:"sha256"`
	SHA1         string        `json:"sha1"` // the thumbprint that Windows and Exchange show
	FriendlyName string        `json:"friendly_name,omitempty"`
	Extensions   []certDetail  `json:"extensions,omitempty"` // of AD CS and S/MIME, for display
	Warnings     []certWarning `json:"warnings"`
}

// A certWarning is a stable code and a sentence.
type certWarning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// A certDetail is a name with what there is to say about it.
type certDetail struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func describeCertificate(c *x509.Certificate, file, friendly string, now time.Time) *certReport {
	e := certstore.Entry{Certificate: c}
	r := &certReport{
		File: file, Subject: e.Subject(), Issuer: e.Issuer(), Mailboxes: e.Mailboxes(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Key: keyName(c), Signature: signatureName(c), CA: c.BasicConstraintsValid && c.IsCA, Uses: uses(c),
		SHA256: hexSum256(c.Raw), SHA1: hexSum1(c.Raw), FriendlyName: friendly, Extensions: enterpriseDetails(c), Warnings: []certWarning{},
	}
	if c.SerialNumber != nil {
		r.Serial = c.SerialNumber.Text(16)
	}
	if r.Mailboxes == nil {
		r.Mailboxes = []string{}
	}
	r.judge(c, now)
	return r
}

// judge adds warnings. Whether a certificate is any good is for "chain" to say.
func (r *certReport) judge(c *x509.Certificate, now time.Time) {
	warn := func(code, format string, args ...any) {
		r.Warnings = append(r.Warnings, certWarning{code, fmt.Sprintf(format, args...)})
	}
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		warn("time.expired", "expired on %s", c.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.NotBefore):
		warn("time.not_yet_valid", "valid from %s", c.NotBefore.UTC().Format(time.DateOnly))
	case left < 30*24*time.Hour:
		warn("time.expires_soon", "expires on %s", c.NotAfter.UTC().Format(time.DateOnly))
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok {
		switch bits := k.N.BitLen(); {
		case bits < 2048:
			warn("alg.weak_key", "an RSA key of %d bits is too short", bits)
		case bits > 16384:
			warn("alg.too_large", "an RSA key of %d bits is refused", bits)
		}
	}
	if strings.HasPrefix(r.Key, "dsa") {
		warn("alg.weak_key", "DSA is not used for mail any more")
	}
	selfIssued := bytes.Equal(c.RawSubject, c.RawIssuer)
	if s := strings.ToUpper(r.Signature); !selfIssued && (strings.Contains(s, "SHA1") || strings.Contains(s, "MD5") || strings.Contains(s, "MD2")) {
		warn("alg.weak_hash", "signed with %s", r.Signature)
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		warn("ext.unknown_critical", "critical extension %s", c.UnhandledCriticalExtensions[0])
	}
	if r.CA {
		return
	}
	if len(r.Mailboxes) == 0 {
		warn("address.absent", "names no mail address")
	}
	if ku := c.KeyUsage; ku != 0 && ku&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0 {
		warn("ku.mail", "may neither sign nor encrypt")
	}
	if !forMail(c) {
		warn("eku.leaf", "not for mail: extendedKeyUsage lacks emailProtection")
	}
}

func forMail(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// spki is SubjectPublicKeyInfo (RFC 5280, Section 4.1.2.7), as far as it is needed.
type spki struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	Key asn1.BitString
}

func keyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ec-" + strings.ToLower(strings.ReplaceAll(k.Curve.Params().Name, "-", ""))
	case ed25519.PublicKey:
		return "ed25519"
	case *ecdh.PublicKey:
		return "x25519"
	}
	var s spki
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &s); err != nil {
		return "unknown"
	}
	id := s.Algorithm.ID.String()
	switch id {
	case "1.2.840.10045.2.1":
		var curve asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(s.Algorithm.Params.FullBytes, &curve); err != nil {
			return "ec-explicit"
		}
		if name, ok := curveNames()[curve.String()]; ok {
			return "ec-" + name
		}
		return "ec-" + curve.String()
	}
	if name, ok := keyNames()[id]; ok {
		return name
	}
	return id
}

func curveNames() map[string]string {
	return map[string]string{
		"1.3.132.0.10": "secp256k1", "1.3.36.3.3.2.8.1.1.7": "brainpoolp256r1", "1.3.36.3.3.2.8.1.1.9": "brainpoolp320r1",
		"1.3.36.3.3.2.8.1.1.11": "brainpoolp384r1", "1.3.36.3.3.2.8.1.1.13": "brainpoolp512r1",
	}
}

func keyNames() map[string]string {
	return map[string]string{
		"1.2.840.10040.4.1": "dsa", "1.2.840.113549.1.1.10": "rsa-pss", "1.2.840.113549.1.1.7": "rsa-oaep",
		"1.3.101.110": "x25519", "1.3.101.111": "x448", "1.3.101.113": "ed448",
		"2.16.840.1.101.3.4.3.17": "ml-dsa-44", "2.16.840.1.101.3.4.3.18": "ml-dsa-65", "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
		"2.16.840.1.101.3.4.4.1": "ml-kem-512", "2.16.840.1.101.3.4.4.2": "ml-kem-768", "2.16.840.1.101.3.4.4.3": "ml-kem-1024",
	}
}

func signatureName(c *x509.Certificate) string {
	if c.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return c.SignatureAlgorithm.String()
	}
	var outer struct {
		TBS       asn1.RawValue
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params asn1.RawValue `asn1:"optional"`
		}
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		return "unknown"
	}
	id := outer.Algorithm.ID.String()
	if name, ok := keyNames()[id]; ok {
		return name
	}
	return id
}

func uses(c *x509.Certificate) []string {
	list := []string{}
	for i, name := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"} {
		if c.KeyUsage&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	for _, u := range c.ExtKeyUsage {
		list = append(list, u.String())
	}
	for _, u := range c.UnknownExtKeyUsage {
		list = append(list, u.String())
	}
	return list
}

// enterpriseDetails reads the extensions that Active Directory's certificate services and
// mail add. They are shown and mean nothing: none of them is a mail address or trust.
func enterpriseDetails(c *x509.Certificate) []certDetail {
	var list []certDetail
	for _, e := range c.Extensions {
		switch e.Id.String() {
		case "1.3.6.1.4.1.311.20.2":
			list = append(list, certDetail{"template", anyString(e.Value)})
		case "1.3.6.1.4.1.311.21.7":
			var t struct {
				ID           asn1.ObjectIdentifier
				Major, Minor int `asn1:"optional"`
			}
			if _, err := asn1.Unmarshal(e.Value, &t); err == nil {
				list = append(list, certDetail{"template", fmt.Sprintf("%s, version %d.%d", t.ID, t.Major, t.Minor)})
			}
		case "1.3.6.1.4.1.311.25.2":
			list = append(list, certDetail{"security identifier", sidText(e.Value)})
		case "1.3.6.1.4.1.311.21.10":
			var policies []struct{ ID asn1.ObjectIdentifier }
			if _, err := asn1.Unmarshal(e.Value, &policies); err == nil {
				var ids []string
				for _, p := range policies {
					ids = append(ids, p.ID.String())
				}
				list = append(list, certDetail{"application policies", strings.Join(ids, ", ")})
			}
		case "1.2.840.113549.1.9.15":
			var caps []struct {
				ID     asn1.ObjectIdentifier
				Params asn1.RawValue `asn1:"optional"`
			}
			if _, err := asn1.Unmarshal(e.Value, &caps); err == nil {
				var names []string
				for _, p := range caps {
					names = append(names, p.ID.String())
				}
				list = append(list, certDetail{"smimeCapabilities", strings.Join(names, ", ")})
			}
		}
	}
	return list
}

// anyString reads a template name: UTF8String by specification, BMPString in practice.
func anyString(der []byte) string {
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return hex.EncodeToString(der)
	}
	if v.Tag == asn1.TagSequence {
		if _, err := asn1.Unmarshal(v.Bytes, &v); err != nil {
			return hex.EncodeToString(der)
		}
	}
	if v.Tag == asn1.TagBMPString {
		var units []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(units))
	}
	return string(v.Bytes)
}

// sidText finds the "S-1-5-…" in the NTDS security extension.
func sidText(value []byte) string {
	if i := bytes.Index(value, []byte("S-1-")); i >= 0 {
		sid := string(value[i+2:])
		if end := strings.IndexFunc(sid, func(r rune) bool { return r != '-' && (r < '0' || r > '9') }); end >= 0 {
			sid = sid[:end]
		}
		return "S-" + sid
	}
	return hex.EncodeToString(value)
}

// print writes the report for people.
func (r *certsReport) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	for i, c := range r.Certificates {
		if i > 0 {
			fmt.Fprintln(t)
		}
		title := c.Subject
		if title == "" {
			title = "(no subject)"
		}
		fmt.Fprintf(t, "%s\n", printable(title))
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(t, "  %s\t%s\n", name, printable(value))
			}
		}
		row("mailboxes", strings.Join(c.Mailboxes, ", "))
		row("validity", c.NotBefore.Format(time.DateOnly)+" to "+c.NotAfter.Format(time.DateOnly))
		kind := c.Key
		if c.CA {
			kind += ", certification authority"
		}
		row("key", kind)
		row("uses", strings.Join(c.Uses, ", "))
		row("issuer", c.Issuer)
		row("serial", c.Serial)
		row("signature", c.Signature)
		row("sha256", c.SHA256)
		row("sha1", c.SHA1)
		row("friendly name", c.FriendlyName)
		for _, d := range c.Extensions {
			row(d.Name, d.Text)
		}
		row("file", c.File)
		for _, d := range c.Warnings {
			row("warning", d.Text+" ("+d.Code+")")
		}
	}
}
