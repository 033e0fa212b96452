package smime_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// The pieces that the messages are made of.
const (
	fileFrom   = "From: Alice <alice@good.example>\r\n"
	fileFields = fileFrom +
		"To: Bob <bob@good.example>\r\n" +
		"Subject: Greetings\r\n" +
		"Date: Mon, 01 Jun 2026 12:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\n"
	fileSigned = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n" +
		"\tmicalg=sha-256; boundary=outer\r\n"
	filePart = "Content-Type: text/plain; charset=us-ascii\r\n" +
		"\r\n" +
		"Dear Bob,\r\nsee you on Tuesday.\r\n"
	fileSigHeader = "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=smime.p7s\r\n" +
		"\r\n"
	fileOpaque = "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"\r\n"
)

// mimeMaker makes the messages about the form of a message.
type mimeMaker struct {
	t      *testing.T
	people *openIdentities
	files  []*openFile
}

// mimeFiles are the rows E05, E07 to E11, E13, E16, E17 and F01 to F04.
func mimeFiles(t *testing.T, people *openIdentities) []*openFile {
	m := &mimeMaker{t: t, people: people}
	m.valid()
	m.shapes()
	m.headers()
	m.boundaries()
	m.delimiters()
	m.parts()
	m.lineEnds()
	m.transfers()
	m.texts()
	m.authors()
	messageFiles(m)
	return m.files
}

// signature is the second part for a first part signed by id.
func (m *mimeMaker) signature(id *certstore.Identity, part string) string {
	return fileSigHeader + base64Lines(detached(m.t, id, part))
}

// body puts a signed part and its signature between delimiters.
func body(part, signature string) string {
	return "--outer\r\n" + part + "\r\n--outer\r\n" + signature + "--outer--\r\n"
}

// message is a message whose part Alice signed.
func (m *mimeMaker) message(part string) string {
	return fileFields + fileSigned + "\r\n" + body(part, m.signature(m.people.alice, part))
}

// change replaces old, which must occur exactly once.
func (m *mimeMaker) change(text, old, new string) string {
	m.t.Helper()
	if n := strings.Count(text, old); n != 1 {
		m.t.Fatalf("%q occurs %d times", old, n)
	}
	return strings.Replace(text, old, new, 1)
}

func (m *mimeMaker) add(f *openFile) *openFile {
	m.files = append(m.files, f)
	return f
}

// authentic adds a message that is as it should be.
func (m *mimeMaker) authentic(name, note, message, content string) *openFile {
	sum := sha256.Sum256([]byte(content))
	return m.add(&openFile{Name: name, Note: note, Verdict: smime.Authentic, Content: hex.EncodeToString(sum[:]), message: message})
}

// refused adds a message that is not authentic for the reason code.
func (m *mimeMaker) refused(name, note, twin, code, message string) *openFile {
	return m.add(&openFile{Name: name, Note: note, Twin: twin, Verdict: smime.NotAuthentic, Codes: []string{code}, message: message})
}

const nestedPart = "Content-Type: multipart/mixed; boundary=inner\r\n" +
	"\r\n" +
	"--inner\r\n\r\nDear Bob,\r\n\r\n--inner\r\n" +
	"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--inner--\r\n"

func (m *mimeMaker) valid() {
	valid := m.message(filePart)
	m.authentic("valid-multipart", "multipart/signed", valid, filePart)
	m.authentic("valid-opaque", "signed application/pkcs7-mime",
		fileFields+fileOpaque+base64Lines(opaque(m.t, m.people.alice, filePart)), filePart)
	m.authentic("valid-nested", "a signed multipart", m.message(nestedPart), nestedPart)
}

// shapes: signatures that are not at the root of the message.
func (m *mimeMaker) shapes() {
	valid := m.message(filePart)
	inner := strings.TrimPrefix(valid, fileFields)
	mixed := fileFields + "Content-Type: multipart/mixed; boundary=list\r\n\r\n--list\r\n" + inner
	for _, f := range []*openFile{
		{Name: "e05-list-footer", Note: "a mailing list put the signed message beside a footer",
			message: mixed + "\r\n--list\r\n\r\nTo unsubscribe, send your password.\r\n--list--\r\n"},
		{Name: "e05-outer-wrap", Note: "a multipart/mixed around nothing but the signed message",
			message: mixed + "\r\n--list--\r\n"},
	} {
		f.Twin, f.Verdict = "valid-multipart", smime.Unsigned
		m.add(f)
	}
}

func (m *mimeMaker) headers() {
	valid := m.message(filePart)
	with := func(line string) string { return line + valid }
	const twin = "valid-multipart"
	m.refused("e07-two-from", "From twice", twin, "mime.duplicate_field", with("From: Eve <eve@evil.example>\r\n"))
	m.refused("e07-two-from-same", "the same From twice", twin, "mime.duplicate_field", with(fileFrom))
	m.refused("e07-two-from-last", "another From behind everything", twin, "mime.duplicate_field",
		m.change(valid, "MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nfrom: eve@evil.example\r\n"))
	m.refused("e07-two-subject", "Subject twice", twin, "mime.duplicate_field", with("Subject: Sell\r\n"))
	m.refused("e07-two-to", "To twice", twin, "mime.duplicate_field", with("To: carol@good.example\r\n"))
	m.refused("e07-two-date", "Date twice", twin, "mime.duplicate_field", with("Date: Tue, 02 Jun 2026 12:00:00 +0000\r\n"))
	m.refused("e07-from-space-colon", "a second From with a space before its colon", twin, "mime.space_before_colon",
		with("From : Eve <eve@evil.example>\r\n"))
	m.refused("e07-subject-tab-colon", "a tab before a colon", twin, "mime.space_before_colon", m.change(valid, "Subject:", "Subject\t:"))
	m.refused("e07-nul", "a NUL in the subject", twin, "mime.nul", m.change(valid, "Greetings", "Greet\x00ings"))
	m.refused("e07-bare-cr", "a CR in the subject that some readers take for a line end", twin, "mime.bare_cr",
		m.change(valid, "Greetings", "Greetings\rFrom: eve@evil.example"))
	m.refused("e07-control", "an escape sequence in the subject", twin, "mime.control", m.change(valid, "Greetings", "\x1b[2J"))
	m.refused("e07-blank-fold", "a folded line of white space, which some readers take for the end of the header", twin, "mime.blank_fold",
		m.change(valid, "Subject: Greetings\r\n", "Subject: Greetings\r\n \t\r\n"))
	m.refused("e07-no-colon", "a line without a colon in the header", twin, "mime.malformed_field",
		m.change(valid, "Subject: Greetings\r\n", "Subject: Greetings\r\nThis is no field\r\n"))
	m.refused("e07-two-type", "Content-Type twice", twin, "mime.duplicate_field",
		m.change(valid, "boundary=outer\r\n", "boundary=outer\r\nContent-Type: text/html\r\n"))
	m.refused("e07-two-encoding", "Content-Transfer-Encoding twice around the signature", twin, "mime.duplicate_field",
		m.change(valid, "Transfer-Encoding: base64\r\n", "Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n"))
	m.add(&openFile{Name: "e07-space-first", Note: "the first line begins with a space: nothing here is a header", Twin: twin,
		Verdict: smime.Unreadable, Codes: []string{"mime.no_header"}, message: " " + valid})
	m.authentic("e07-twin-folds", "odd and right: folds, tabs, no space behind a colon, names in any case",
		m.change(m.change(valid, "Subject: Greetings", "SUBJECT:\r\n\tGreet\r\n ings"), "To: ", "tO:"), filePart)
}

func (m *mimeMaker) boundaries() {
	valid := m.message(filePart)
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
		strings.NewReplacer("boundary=outer", "boundary="+long[1:], "--outer", "--"+long[1:]).Replace(valid), filePart)
	m.authentic("e08-twin-quoted", "a quoted boundary, a comment and a trailing semicolon",
		m.change(valid, "boundary=outer", `(x) boundary = "outer" (y);`), filePart)
}

func (m *mimeMaker) delimiters() {
	valid := m.message(filePart)
	m.authentic("e09-twin-padding", "spaces and tabs behind the delimiters",
		strings.NewReplacer("\r\n--outer\r\n", "\r\n--outer \t\r\n", "--outer--", "--outer--\t ").Replace(valid), filePart)
	prefix := strings.ReplaceAll(nestedPart, "inner", "outer-1")
	m.authentic("e09-twin-prefix", "the boundary inside begins with the one outside: only whole lines are delimiters", m.message(prefix), prefix).
		Warnings = []string{"mime.boundary_prefix"}
	m.refused("e09-no-close", "the close delimiter is missing", "valid-multipart", "mime.truncated", m.change(valid, "--outer--\r\n", ""))
	m.refused("e09-half-close", "half a close delimiter", "valid-multipart", "mime.truncated", m.change(valid, "--outer--\r\n", "--outer-\r\n"))
	m.refused("e09-inside", "the boundary in a line of the signed text", "valid-multipart", "mime.signed_parts",
		m.message(m.change(filePart, "see you", "--outer\r\nsee you")))
	equal := strings.ReplaceAll(nestedPart, "inner", "outer")
	m.refused("e09-equal", "the same boundary inside and outside", "valid-nested", "mime.signed_parts", m.message(equal))
	m.refused("e09-early-close", "the close delimiter before the signature", "valid-multipart", "mime.signed_parts",
		m.change(valid, "\r\n--outer\r\nContent-Type: application", "\r\n--outer--\r\nContent-Type: application"))
	m.refused("e09-endless-padding", "a delimiter line without end", "e09-twin-padding", "mime.delimiter_padding",
		m.change(valid, "\r\n--outer\r\nContent-Type: text", "\r\n--outer"+strings.Repeat(" ", 2000)+"\r\nContent-Type: text"))
}

// parts: the shape of multipart/signed.
func (m *mimeMaker) parts() {
	alice := m.people.alice
	signature := m.signature(alice, filePart)
	head := fileFields + fileSigned + "\r\n"
	const twin = "valid-multipart"
	m.refused("e10-one-part", "no signature part", twin, "mime.signed_parts", head+"--outer\r\n"+filePart+"\r\n--outer--\r\n")
	m.refused("e10-no-part", "no part at all", twin, "mime.signed_parts", head+"--outer--\r\n")
	m.refused("e10-three-parts", "a third part behind the signature", twin, "mime.signed_parts",
		m.change(head+body(filePart, signature), "--outer--", "--outer\r\n\r\nPS: sell\r\n--outer--"))
	m.refused("e10-text-first", "a part before the signed one", twin, "mime.signed_parts",
		head+"--outer\r\n\r\nSell everything.\r\n"+body(filePart, signature))
	m.refused("e10-wrong-order", "the signature before the text", twin, "mime.signed_parts",
		head+"--outer\r\n"+signature+"\r\n--outer\r\n"+filePart+"\r\n--outer--\r\n")
	m.refused("e10-base64-around", "a transfer encoding on the multipart", twin, "mime.encoded_multipart",
		m.change(head, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n")+body(filePart, signature))
	m.add(&openFile{Name: "e10-other-protocol", Note: "another protocol: not a message of ours", Twin: twin, Verdict: smime.Unsigned,
		message: m.change(head, "application/pkcs7-signature", "application/pgp-signature") + body(filePart, signature)})
	for name, micalg := range map[string]string{"md5": "md5", "sha512": "sha-512", "unknown": "x", "several": "\"sha1,sha-384\"", "old-spelling": "sha256"} {
		m.authentic("e10-twin-micalg-"+name, "micalg is only a hint", m.change(head, "sha-256", micalg)+body(filePart, signature), filePart)
	}
	m.authentic("e10-twin-no-parameters", "neither protocol nor micalg",
		m.change(head, " protocol=\"application/pkcs7-signature\";\r\n\tmicalg=sha-256;", "")+body(filePart, signature), filePart)
	m.authentic("e10-twin-x-type", "the old names of the types", strings.ReplaceAll(head+body(filePart, signature), "/pkcs7-", "/X-PKCS7-"), filePart)
	for name, part := range map[string]string{
		"8bit":   m.change(filePart, "Tuesday", "T\xfcsday"),
		"binary": m.change(filePart, "Tuesday", "T\x00\xffsday"),
	} {
		m.authentic("e10-twin-"+name, "a signed part that is "+name, m.message(part), part)
	}
}

// lineEnds: what was signed is the canonical form; what was sent may differ in line ends.
func (m *mimeMaker) lineEnds() {
	valid := m.message(filePart)
	lf := strings.ReplaceAll(valid, "\r\n", "\n")
	m.authentic("e11-twin-lf", "a file with LF line ends", lf, filePart)
	m.authentic("e11-twin-mixed", "LF line ends in the signed part only",
		fileFields+fileSigned+"\r\n"+body(strings.ReplaceAll(filePart, "\r\n", "\n"), m.signature(m.people.alice, filePart)), filePart)
	for _, c := range []struct{ name, note, text string }{
		{"white-space", "white space before line ends", "a \t\r\n\t\r\n \r\n"},
		{"dots", "lines of dots", ".\r\n..\r\n.a\r\n"},
		{"no-line-end", "no line end at the end", "a"},
		{"blank-lines", "blank lines at the end", "a\r\n\r\n\r\n"},
		{"bare-cr", "a CR within a line", "a\rb\r\n"},
		{"empty", "nothing", ""},
	} {
		part := "Content-Type: text/plain\r\n\r\n" + c.text
		m.authentic("e11-twin-"+c.name, c.note, m.message(part), part)
	}
	m.refused("e11-cr-added", "CR CR LF where CR LF was signed", "valid-multipart", "digest.mismatch", m.change(valid, "Bob,\r\n", "Bob,\r\r\n"))
	m.refused("e11-line-end-added", "one more line end than was signed", "e11-twin-no-line-end", "digest.mismatch",
		m.change(valid, "Tuesday.\r\n", "Tuesday.\r\n\r\n"))
	m.refused("e11-line-end-lost", "one line end less than was signed", "valid-multipart", "digest.mismatch",
		m.change(valid, "Tuesday.\r\n", "Tuesday."))
}

// transfers: laxity of base64 in the parts that hold CMS.
func (m *mimeMaker) transfers() {
	part := filePart
	octets := opaque(m.t, m.people.alice, part)
	for len(octets)%3 != 1 { // so that the text ends in two equals signs
		part += "x"
		octets = opaque(m.t, m.people.alice, part)
	}
	text := base64Lines(octets)
	head := fileFields + fileOpaque
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
func (m *mimeMaker) texts() {
	valid := m.message(filePart)
	m.authentic("e17-twin-preamble", "text before the first part is not content",
		m.change(valid, fileSigned+"\r\n", fileSigned+"\r\nSell everything.\r\n"), filePart).
		Warnings = []string{"mime.text_outside_parts"}
	m.authentic("e17-twin-epilogue", "text behind the last delimiter is not content", valid+"Sell everything.\r\n", filePart).
		Warnings = []string{"mime.text_outside_parts"}
	for _, c := range []struct{ name, note, part string }{
		{"first-line", "signed text without a header: its first paragraph is not lost", "Pay Eve 100.\r\n\r\nAlice\r\n"},
		{"colon", "signed text whose first line has a colon", "Dear Bob, note: pay Eve.\r\n\r\nAlice\r\n"},
		{"one-line", "one line of signed text", "Pay Eve 100."},
		{"from", "signed text that begins with From", "From now on, pay Eve.\r\n\r\nAlice\r\n"},
	} {
		m.authentic("e16-twin-"+c.name, c.note, m.message(c.part), c.part).
			Warnings = []string{"mime.no_header"}
	}
}

// authors: who is in From, and who signed.
func (m *mimeMaker) authors() {
	rest := strings.TrimPrefix(fileFields, fileFrom) + fileSigned + "\r\n"
	by := func(id *certstore.Identity, from string) string {
		return from + rest + body(filePart, m.signature(id, filePart))
	}
	alice, eve := m.people.alice, m.people.eve
	m.refused("f01-other-signer", "Eve signs a message from Alice", "valid-multipart", "address.mismatch", by(eve, fileFrom))
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
		from := "From: " + c.from + "\r\n"
		m.refused("f02-"+c.name, c.note+": Alice signed, and it is not from her", "f02-twin-"+c.name, "address.mismatch", by(alice, from))
		m.authentic("f02-twin-"+c.name, c.note+": it is from Eve, and she signed", by(eve, from), filePart)
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
		m.refused("f03-"+c.name, c.note, "valid-multipart", c.code, by(alice, c.from+"\r\n"))
	}
	m.authentic("f03-twin-reply-to", "Reply-To and Sender do not count",
		by(alice, fileFrom+"Sender: list@good.example\r\nReply-To: eve@evil.example\r\n"), filePart)
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
		m.refused("f04-"+c.name, c.note, "f04-twin-comments", c.code, by(alice, "From: "+c.from+"\r\n"))
	}
	m.authentic("f04-twin-comments", "comments wherever they may be", by(alice, "From: (a) Alice (b) <(c) alice (d) @ (e) good.example (f)> (g)\r\n"), filePart)
	m.authentic("f04-twin-quoted", "a quoted local part that needs no quotes", by(alice, "From: \"alice\"@good.example\r\n"), filePart)
	m.authentic("f04-twin-case", "the domain in capitals", by(alice, "From: alice@GOOD.Example\r\n"), filePart)
	m.authentic("f04-twin-folded", "a folded From", by(alice, "From: Alice\r\n <alice@good.example>\r\n"), filePart)
}
