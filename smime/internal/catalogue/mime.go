package catalogue

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// nested is a multipart with the part in it.
func (m *Maker) nested(boundary string) string {
	return "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n" +
		"\r\n" +
		"--" + boundary + "\r\n" + m.part + "\r\n--" + boundary + "\r\n" +
		"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--" + boundary + "--\r\n"
}

// text returns the header and the body of the part.
func (m *Maker) text() (header, body string) {
	header, body, found := strings.Cut(m.part, "\r\n\r\n")
	if !found {
		return "", m.part
	}
	return header + "\r\n\r\n", body
}

func (m *Maker) valid() {
	valid := m.Message(m.part)
	m.authentic("valid-multipart", "multipart/signed", valid, m.part)
	m.authentic("valid-opaque", "signed application/pkcs7-mime",
		m.fields+OpaqueFields+Base64Lines(m.opaque(m.people.Alice(), m.part)), m.part)
	m.authentic("valid-nested", "a signed multipart", m.Message(m.nested("inner")), m.nested("inner"))
}

// shapes: signatures that are not at the root of the message.
func (m *Maker) shapes() {
	valid := m.Message(m.part)
	inner := strings.TrimPrefix(valid, m.fields)
	mixed := m.fields + "Content-Type: multipart/mixed; boundary=list\r\n\r\n--list\r\n" + inner
	for _, f := range []*Case{
		{Name: "e05-list-footer", Note: "a mailing list put the signed message beside a footer",
			Message: mixed + "\r\n--list\r\n\r\nTo unsubscribe, send your password.\r\n--list--\r\n"},
		{Name: "e05-outer-wrap", Note: "a multipart/mixed around nothing but the signed message",
			Message: mixed + "\r\n--list--\r\n"},
	} {
		f.Twin, f.Verdict = "valid-multipart", smime.Unsigned
		m.add(f)
	}
}

func (m *Maker) headers() {
	valid := m.Message(m.part)
	with := func(line string) string { return line + valid }
	swap := func(old, new string) string {
		return m.change(m.fields, old, new) + strings.TrimPrefix(valid, m.fields)
	}
	subject := func(new string) string { return swap(m.subject, new) }
	value := strings.TrimPrefix(m.subject, "Subject: ")
	const twin = "valid-multipart"
	m.refused("e07-two-from", "From twice", twin, "mime.duplicate_field", with("From: Eve <eve@evil.example>\r\n"))
	m.refused("e07-two-from-same", "the same From twice", twin, "mime.duplicate_field", with(m.from))
	m.refused("e07-two-from-last", "another From behind everything", twin, "mime.duplicate_field",
		swap("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nfrom: eve@evil.example\r\n"))
	m.refused("e07-two-subject", "Subject twice", twin, "mime.duplicate_field", with("Subject: Sell\r\n"))
	m.refused("e07-two-to", "To twice", twin, "mime.duplicate_field", with("To: carol@good.example\r\n"))
	m.refused("e07-two-date", "Date twice", twin, "mime.duplicate_field", with("Date: Tue, 02 Jun 2026 12:00:00 +0000\r\n"))
	m.refused("e07-from-space-colon", "a second From with a space before its colon", twin, "mime.space_before_colon",
		with("From : Eve <eve@evil.example>\r\n"))
	m.refused("e07-subject-tab-colon", "a tab before a colon", twin, "mime.space_before_colon", subject("Subject\t: "+value))
	m.refused("e07-nul", "a NUL in the subject", twin, "mime.nul", subject("Subject: \x00"+value))
	m.refused("e07-bare-cr", "a CR in the subject that some readers take for a line end", twin, "mime.bare_cr",
		subject("Subject: \rFrom: eve@evil.example\r "+value))
	m.refused("e07-control", "an escape sequence in the subject", twin, "mime.control", subject("Subject: \x1b[2J"+value))
	m.refused("e07-blank-fold", "a folded line of white space, which some readers take for the end of the header", twin, "mime.blank_fold",
		subject(m.subject+" \t\r\n"))
	m.refused("e07-no-colon", "a line without a colon in the header", twin, "mime.malformed_field",
		subject(m.subject+"This is no field\r\n"))
	m.refused("e07-two-type", "Content-Type twice", twin, "mime.duplicate_field",
		m.change(valid, "boundary=outer\r\n", "boundary=outer\r\nContent-Type: text/html\r\n"))
	m.refused("e07-two-encoding", "Content-Transfer-Encoding twice around the signature", twin, "mime.duplicate_field",
		m.fields+SignedField+"\r\n"+Body(m.part, m.change(m.signature(m.people.Alice(), m.part),
			"Transfer-Encoding: base64\r\n", "Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n")))
	m.add(&Case{Name: "e07-space-first", Note: "the first line begins with a space: nothing here is a header", Twin: twin,
		Verdict: smime.Unreadable, Codes: []string{"mime.no_header"}, Message: " " + valid})
	m.authentic("e07-twin-folds", "odd and right: folds, tabs, no space behind a colon, names in any case",
		strings.Replace(subject("SUBJECT:\r\n\t"+value+" \t(x)\r\n"), "To: ", "tO:", 1), m.part)
}

func (m *Maker) boundaries() {
	valid := m.Message(m.part)
	long := strings.Repeat("b", 71)
	for _, c := range []struct{ name, note, code, boundary string }{
		{"doubled", "two boundaries", "mime.duplicate_parameter", "boundary=inner; boundary=outer"},
		{"doubled-same", "the same boundary twice", "mime.duplicate_parameter", "boundary=outer; boundary=outer"},
		{"extended", "a boundary, plainly and extended", "mime.duplicate_parameter", "boundary=outer; boundary*=us-ascii''inner"},
		{"pieces", "a boundary in pieces", "mime.boundary", "boundary*0=out; boundary*1=er"},
		{"pieces-and-whole", "a boundary whole and in pieces", "mime.duplicate_parameter", "boundary=outer; boundary*0=inner"},
		{"percent", "a percent-encoded boundary", "mime.boundary", "boundary*=us-ascii''outer"},
		{"empty", "an empty boundary", "mime.boundary", `boundary=""`},
		{"none", "no boundary", "mime.boundary", "x=outer"},
		{"trailing-space", "a boundary that ends in a space", "mime.boundary", `boundary="outer "`},
		{"quoted-pair", "a boundary with a quoted pair", "mime.boundary", `boundary="o\uter"`},
		{"comment-open", "a comment that does not end", "mime.parameter", "boundary=outer (x"},
		{"quote-open", "a quoted string that does not end", "mime.parameter", `boundary="outer`},
	} {
		m.refused("e08-"+c.name, c.note, "valid-multipart", c.code, m.change(valid, "boundary=outer", c.boundary))
	}
	m.refused("e08-long", "a boundary of 71 octets", "e08-twin-longest", "mime.boundary",
		strings.NewReplacer("boundary=outer", "boundary="+long, "--outer", "--"+long).Replace(valid))
	m.authentic("e08-twin-longest", "a boundary of 70 octets",
		strings.NewReplacer("boundary=outer", "boundary="+long[1:], "--outer", "--"+long[1:]).Replace(valid), m.part)
	m.authentic("e08-twin-quoted", "a quoted boundary, a comment and a trailing semicolon",
		m.change(valid, "boundary=outer", `(x) boundary = "outer" (y);`), m.part)
}

func (m *Maker) delimiters() {
	valid := m.Message(m.part)
	header, text := m.text()
	m.authentic("e09-twin-padding", "spaces and tabs behind the delimiters",
		strings.NewReplacer("\r\n--outer\r\n", "\r\n--outer \t\r\n", "--outer--", "--outer--\t ").Replace(valid), m.part)
	prefix := m.nested("outer-1")
	m.authentic("e09-twin-prefix", "the boundary inside begins with the one outside: only whole lines are delimiters", m.Message(prefix), prefix).
		Warnings = []string{"mime.boundary_prefix"}
	m.refused("e09-no-close", "the close delimiter is missing", "valid-multipart", "mime.truncated", m.change(valid, "--outer--\r\n", ""))
	m.refused("e09-half-close", "half a close delimiter", "valid-multipart", "mime.truncated", m.change(valid, "--outer--\r\n", "--outer-\r\n"))
	m.refused("e09-inside", "the boundary in a line of the signed text", "valid-multipart", "mime.signed_parts",
		m.Message(header+"--outer\r\n"+text))
	equal := m.nested("outer")
	m.refused("e09-equal", "the same boundary inside and outside", "valid-nested", "mime.signed_parts", m.Message(equal))
	m.refused("e09-early-close", "the close delimiter before the signature", "valid-multipart", "mime.signed_parts",
		m.change(valid, "\r\n--outer\r\n"+SignatureFields, "\r\n--outer--\r\n"+SignatureFields))
	m.refused("e09-endless-padding", "a delimiter line without end", "e09-twin-padding", "mime.delimiter_padding",
		m.change(valid, SignedField+"\r\n--outer", SignedField+"\r\n--outer"+strings.Repeat(" ", 2000)))
}

// parts: the shape of multipart/signed.
func (m *Maker) parts() {
	alice := m.people.Alice()
	signature := m.signature(alice, m.part)
	head := m.fields + SignedField + "\r\n"
	const twin = "valid-multipart"
	m.refused("e10-one-part", "no signature part", twin, "mime.signed_parts", head+"--outer\r\n"+m.part+"\r\n--outer--\r\n")
	m.refused("e10-no-part", "no part at all", twin, "mime.signed_parts", head+"--outer--\r\n")
	m.refused("e10-three-parts", "a third part behind the signature", twin, "mime.signed_parts",
		m.change(head+Body(m.part, signature), "--outer--", "--outer\r\n\r\nPS: sell\r\n--outer--"))
	m.refused("e10-text-first", "a part before the signed one", twin, "mime.signed_parts",
		head+"--outer\r\n\r\nSell everything.\r\n"+Body(m.part, signature))
	m.refused("e10-wrong-order", "the signature before the text", twin, "mime.signed_parts",
		head+"--outer\r\n"+signature+"\r\n--outer\r\n"+m.part+"\r\n--outer--\r\n")
	m.refused("e10-base64-around", "a transfer encoding on the multipart", twin, "mime.encoded_multipart",
		m.change(head, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n")+Body(m.part, signature))
	m.add(&Case{Name: "e10-other-protocol", Note: "another protocol: not a message of ours", Twin: twin, Verdict: smime.Unsigned,
		Message: m.change(head, "application/pkcs7-signature", "application/pgp-signature") + Body(m.part, signature)})
	for name, micalg := range map[string]string{"md5": "md5", "sha512": "sha-512", "unknown": "x", "several": "\"sha1,sha-384\"", "old-spelling": "sha256"} {
		m.authentic("e10-twin-micalg-"+name, "micalg is only a hint", m.change(head, "sha-256", micalg)+Body(m.part, signature), m.part)
	}
	m.authentic("e10-twin-no-parameters", "neither protocol nor micalg",
		m.change(head, " protocol=\"application/pkcs7-signature\";\r\n\tmicalg=sha-256;", "")+Body(m.part, signature), m.part)
	m.authentic("e10-twin-x-type", "the old names of the types", strings.ReplaceAll(head+Body(m.part, signature), "/pkcs7-", "/X-PKCS7-"), m.part)
	for name, part := range map[string]string{
		"8bit":   m.part + "T\xfcsday.\r\n",
		"binary": m.part + "T\x00\xffsday.\r\n",
	} {
		m.authentic("e10-twin-"+name, "a signed part that is "+name, m.Message(part), part)
	}
}

// lineEnds: what was signed is the canonical form; what was sent may differ in line ends.
func (m *Maker) lineEnds() {
	valid := m.Message(m.part)
	lf := strings.ReplaceAll(valid, "\r\n", "\n")
	m.authentic("e11-twin-lf", "a file with LF line ends", lf, m.part)
	m.authentic("e11-twin-mixed", "LF line ends in the signed part only",
		m.fields+SignedField+"\r\n"+Body(strings.ReplaceAll(m.part, "\r\n", "\n"), m.signature(m.people.Alice(), m.part)), m.part)
	for _, c := range []struct{ name, note, text string }{
		{"white-space", "white space before line ends", "a \t\r\n\t\r\n \r\n"},
		{"dots", "lines of dots", ".\r\n..\r\n.a\r\n"},
		{"no-line-end", "no line end at the end", "a"},
		{"blank-lines", "blank lines at the end", "a\r\n\r\n\r\n"},
		{"bare-cr", "a CR within a line", "a\rb\r\n"},
		{"empty", "nothing", ""},
	} {
		part := "Content-Type: text/plain\r\n\r\n" + c.text
		m.authentic("e11-twin-"+c.name, c.note, m.Message(part), part)
	}
	arrived := func(part string) string {
		if part == m.part {
			m.lacks("a signed part of several lines that ends in a line end")
		}
		return m.fields + SignedField + "\r\n" + Body(part, m.signature(m.people.Alice(), m.part))
	}
	header, text := m.text()
	m.refused("e11-cr-added", "CR CR LF where CR LF was signed", "valid-multipart", "digest.mismatch", arrived(header+strings.Replace(text, "\r\n", "\r\r\n", 1)))
	m.refused("e11-line-end-added", "one more line end than was signed", "e11-twin-no-line-end", "digest.mismatch", arrived(m.part+"\r\n"))
	m.refused("e11-line-end-lost", "one line end less than was signed", "valid-multipart", "digest.mismatch", arrived(strings.TrimSuffix(m.part, "\r\n")))
}

// transfers: laxity of base64 in the parts that hold CMS.
func (m *Maker) transfers() {
	part := m.part
	octets := m.opaque(m.people.Alice(), part)
	for n := 0; len(octets)%3 != 1 && n < 64; n++ { // so that the text ends in two equals signs
		part += "x"
		octets = m.opaque(m.people.Alice(), part)
	}
	m.forAll()
	text := Base64Lines(octets)
	head := m.fields + OpaqueFields
	const twin = "e13-twin-white-space"
	bare := strings.TrimRight(text, "\r\n")
	m.refused("e13-alphabet", "a letter that is not in the alphabet", twin, "mime.base64", head+text[:100]+"*"+text[100:])
	m.refused("e13-url-alphabet", "the alphabet for URLs", twin, "mime.base64", head+text[:99]+"-_"+text[101:])
	m.refused("e13-nul", "a NUL", twin, "mime.base64", head+text[:100]+"\x00"+text[100:])
	m.refused("e13-behind-padding", "more base64 behind the padding", twin, "mime.base64", head+bare+"\r\nQUJD\r\n")
	m.refused("e13-footer", "a footer behind the padding", twin, "mime.base64", head+text+"\r\n--\r\nlist\r\n")
	m.refused("e13-padding-inside", "padding in the middle", twin, "mime.base64", head+text[:76]+"\r\nQQ==\r\n"+text[78:])
	m.refused("e13-no-padding", "no padding", twin, "mime.base64", head+strings.TrimRight(bare, "=")+"\r\n")
	last := strings.TrimRight(bare, "=")
	m.refused("e13-spare-bits", "bits that belong to no octet", twin, "mime.base64", head+last[:len(last)-1]+spare(last[len(last)-1])+"==\r\n")
	m.authentic(twin, "lines of every length, spaces, tabs and LF",
		head+text[:30]+"\n\n"+text[30:60]+" \t\r\n"+text[60:70]+" "+text[70:], part)
	m.authentic("e13-twin-one-line", "one line", head+strings.ReplaceAll(text, "\r\n", ""), part)
	m.authentic("e13-twin-quoted-printable", "quoted-printable",
		m.change(head, "base64", "quoted-printable")+quotedPrintable(octets), part)
	m.refused("e13-equals", "an equals sign that escapes nothing", "e13-twin-quoted-printable", "mime.quoted_printable",
		m.change(head, "base64", "quoted-printable")+"=zz"+quotedPrintable(octets))
	m.authentic("e13-twin-binary", "binary", m.change(head, "base64", "binary")+string(octets), part)
	m.refused("e13-unknown", "an unknown transfer encoding", twin, "mime.transfer_encoding", m.change(head, "base64", "x-uuencode")+text)
}

// spare returns the letter with the lowest bit of c set; c has none of the last four.
func spare(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return alphabet[strings.IndexByte(alphabet, c)+1:][:1]
}

func quotedPrintable(octets []byte) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i, c := range octets {
		if i%25 == 24 {
			b.WriteString("=\r\n")
		}
		b.WriteString("=" + string(digits[c>>4]) + string(digits[c&15]))
	}
	return b.String()
}

// texts: words that no part holds, and parts without a header.
func (m *Maker) texts() {
	valid := m.Message(m.part)
	m.authentic("e17-twin-preamble", "text before the first part is not content",
		m.change(valid, SignedField+"\r\n", SignedField+"\r\nSell everything.\r\n"), m.part).
		Warnings = []string{"mime.text_outside_parts"}
	m.authentic("e17-twin-epilogue", "text behind the last delimiter is not content", valid+"Sell everything.\r\n", m.part).
		Warnings = []string{"mime.text_outside_parts"}
	for _, c := range []struct{ name, note, part string }{
		{"first-line", "signed text without a header: its first paragraph is not lost", "Pay Eve 100.\r\n\r\nAlice\r\n"},
		{"colon", "signed text whose first line has a colon", "Dear Bob, note: pay Eve.\r\n\r\nAlice\r\n"},
		{"one-line", "one line of signed text", "Pay Eve 100."},
		{"from", "signed text that begins with From", "From now on, pay Eve.\r\n\r\nAlice\r\n"},
	} {
		m.authentic("e16-twin-"+c.name, c.note, m.Message(c.part), c.part).
			Warnings = []string{"mime.no_header"}
	}
}

// authors: who is in From, and who signed.
func (m *Maker) authors() {
	m.plainHeader()
	rest := strings.TrimPrefix(m.fields, m.from) + SignedField + "\r\n"
	by := func(id *certstore.Identity, from string) string {
		return from + rest + Body(m.part, m.signature(id, m.part))
	}
	alice, eve := m.people.Alice(), m.people.Eve()
	m.refused("f01-other-signer", "Eve signs a message from Alice", "valid-multipart", "address.mismatch", by(eve, m.from))
	for _, c := range []struct{ name, note, from string }{
		{"quoted-address", "Alice's address as Eve's name", `"alice@good.example" <eve@evil.example>`},
		{"name-and-address", "all of Alice as Eve's name", `"Alice <alice@good.example>" <eve@evil.example>`},
		{"spaces", "Alice's address and many spaces as Eve's name", `"alice@good.example` + strings.Repeat(" ", 200) + `" <eve@evil.example>`},
		{"encoded", "Alice's address in an encoded word", "=?utf-8?q?alice=40good.example?= <eve@evil.example>"},
		{"encoded-newline", "an encoded line end behind Alice's address", "=?utf-8?q?alice=40good.example=0D=0A?= <eve@evil.example>"},
		{"comment", "Alice's address in a comment", "eve@evil.example (alice@good.example)"},
		{"direction", "Eve's address written backwards", "=?utf-8?q?=E2=80=AEelpmaxe.doog=40ecila?= <eve@evil.example>"},
		{"blank", "a blank name", "\"\u2800\" <eve@evil.example>"},
	} {
		from := "From: " + m.as(c.from) + "\r\n"
		m.refused("f02-"+c.name, c.note+": Alice signed, and it is not from her", "f02-twin-"+c.name, "address.mismatch", by(alice, from))
		m.authentic("f02-twin-"+c.name, c.note+": it is from Eve, and she signed", by(eve, from), m.part)
	}
	for _, c := range []struct{ name, note, code, from string }{
		{"two-mailboxes", "two authors", "from.malformed", "From: alice@good.example, eve@evil.example"},
		{"same-mailboxes", "the same author twice", "from.malformed", "From: alice@good.example, alice@good.example"},
		{"sender", "Alice in Sender", "address.mismatch", "Sender: alice@good.example\r\nFrom: eve@evil.example"},
		{"sender-only", "Alice in Sender, and no From", "from.absent", "Sender: alice@good.example"},
		{"reply-to", "Alice in Reply-To", "address.mismatch", "From: eve@evil.example\r\nReply-To: alice@good.example"},
		{"no-from", "no author", "from.absent", "X-From: alice@good.example"},
		{"empty", "an empty From", "from.malformed", "From:"},
	} {
		m.refused("f03-"+c.name, c.note, "valid-multipart", c.code, by(alice, m.as(c.from)+"\r\n"))
	}
	m.authentic("f03-twin-reply-to", "Reply-To and Sender do not count",
		by(alice, m.from+"Sender: list@good.example\r\nReply-To: eve@evil.example\r\n"), m.part)
	for _, c := range []struct{ name, note, code, from string }{
		{"two-at", "an @ in a quoted local part", "address.mismatch", `"alice@good.example"@evil.example`},
		{"group", "a group", "from.malformed", "Team: alice@good.example;"},
		{"empty-group", "an empty group", "from.malformed", "alice@good.example:;"},
		{"literal", "a domain literal", "address.mismatch", "alice@[192.0.2.1]"},
		{"trailing-dot", "a domain with a dot at its end", "from.malformed", "alice@good.example."},
		{"route", "a route", "from.malformed", "<@evil.example:alice@good.example>"},
		{"no-brackets", "two addresses side by side", "from.malformed", "alice@good.example <eve@evil.example>"},
		{"two-brackets", "two addresses in brackets", "from.malformed", "<alice@good.example><eve@evil.example>"},
		{"subdomain", "another domain below", "address.mismatch", "alice@good.example.evil.example"},
		{"open-comment", "a comment without end", "from.malformed", "alice@good.example (x"},
		{"8bit", "octets that are not UTF-8", "from.malformed", "\xc4lice <alice@good.example>"},
	} {
		m.refused("f04-"+c.name, c.note, "f04-twin-comments", c.code, by(alice, "From: "+m.as(c.from)+"\r\n"))
	}
	m.authentic("f04-twin-comments", "comments wherever they may be", by(alice, m.as("From: (a) Alice (b) <(c) alice (d) @ (e) good.example (f)> (g)\r\n")), m.part)
	m.authentic("f04-twin-quoted", "a quoted local part that needs no quotes", by(alice, m.as("From: \"alice\"@good.example\r\n")), m.part)
	m.authentic("f04-twin-case", "the domain in capitals", by(alice, m.as("From: alice@GOOD.Example\r\n")), m.part)
	m.authentic("f04-twin-folded", "a folded From", by(alice, m.as("From: Alice\r\n <alice@good.example>\r\n")), m.part)
}

// as puts the author in the place of alice@good.example.
func (m *Maker) as(text string) string {
	local, domain, _ := strings.Cut(m.address, "@")
	backwards := []rune(local + "=40" + domain)
	slices.Reverse(backwards)
	return strings.NewReplacer(
		"elpmaxe.doog=40ecila", strings.Replace(string(backwards), "04=", "=40", 1),
		"GOOD.Example", strings.ToUpper(domain), "good.example", domain, "alice", local).Replace(text)
}

// hidden: what a message is, its data say (E15).
func (m *Maker) hidden() {
	der := m.opaque(m.people.Alice(), m.part)
	as := func(field string) string {
		return m.fields + field + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + Base64Lines(der)
	}
	m.authentic("e15-twin-named", "octets named as CMS", as("Content-Type: application/octet-stream; name=smime.p7m"), m.part)
	m.authentic("e15-twin-disposition", "octets whose disposition names them as CMS", as("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"SMIME.P7M\""), m.part)
	m.authentic("e15-twin-no-type", "no type, and a name", as("Content-Disposition: attachment; filename=smime.p7m"), m.part)
	for _, c := range []struct{ name, note, field string }{
		{"unnamed", "octets without a name", "Content-Type: application/octet-stream"},
		{"extensions", "octets with two extensions", "Content-Type: application/octet-stream; name=smime.p7m.txt"},
		{"invoice", "named as something else", "Content-Type: application/octet-stream; name=invoice.pdf"},
		{"pdf", "labelled as something else", "Content-Type: application/pdf; name=invoice.pdf; smime-type=signed-data"},
	} {
		m.authentic("e15-"+c.name, c.note, as(c.field), m.part).Warnings = []string{"mime.hidden_type"}
	}
	m.add(&Case{Name: "e15-text", Note: "labelled as text: nobody shows it as anything else", Twin: "e15-twin-named", Verdict: smime.Unsigned,
		Message: as("Content-Type: text/plain; name=smime.p7m; smime-type=signed-data")})
	m.refused("e15-not-cms", "octets named as CMS that are none", "e15-twin-named", "cms.malformed",
		m.fields+"Content-Type: application/octet-stream; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nbm90aGluZw==\r\n")
	m.unsigned("e15-attached", "a signed part labelled as something else, beside a text", m.fields+MultipartAt("layout", "mixed",
		"Content-Type: text/plain\r\n\r\nSend the money to 4711.\r\n",
		"Content-Type: application/pdf; name=invoice.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"+Base64Lines(der)), "mime.partly_protected")
}
