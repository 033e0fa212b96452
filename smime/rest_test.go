package smime_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

// TestA22Receipts (row A22): who opens a message that asks for a receipt is told so, and
// nothing else happens: no receipt is made, and none is taken for mail. Only the signer can
// ask, and only what is well said is told.
func TestA22Receipts(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	request := forge.Attribute(oid.ReceiptRequest, forge.Sequence(forge.Octets([]byte("1"))))
	for _, c := range []struct {
		what   string
		change func(*forge.Signer)
		told   bool
	}{
		{"signed", func(s *forge.Signer) { s.Attributes = catalogue.Sorted(append(s.Attributes, request)) }, true},
		{"unsigned", func(s *forge.Signer) { s.Unsigned = [][]byte{request} }, false},
		{"signed, by a signature that is broken", func(s *forge.Signer) {
			s.Attributes = catalogue.Sorted(append(s.Attributes, request))
			s.Covered = []byte("nothing")
		}, false},
		{"not at all", func(*forge.Signer) {}, false},
	} {
		mail := opaqueMail(m.Forged(filePart, func(s *forge.Signed) { c.change(s.Signers[0]) }).DER())
		s := reported(t, p.opener(), mail).Layers[0].Signatures[0]
		if told := slices.Contains(s.Codes, "receipt.requested"); told != c.told {
			t.Errorf("%s: codes %q", c.what, s.Codes)
		}
	}
}

// TestI05NothingSignedUnseen (row I05): a composer signs the message it is given and nothing
// else; answering a message puts nothing of it into the answer. What people quote is for
// mail programs to show before it is signed.
func TestI05NothingSignedUnseen(t *testing.T) {
	p := newParty(t)
	c := p.protected(true, true, true, "")
	theirs := composed(t, c, "From: alice@example.com\r\nTo: bob@example.com\r\nSubject: Pay\r\n\r\nEve wants 100.\r\n")
	m, err := p.opener().Open(t.Context(), bytes.NewReader(theirs))
	if err != nil {
		t.Fatal(err)
	}
	answer := &smime.Composer{Signers: []*certstore.Identity{p.bob}, Time: p.clock(), Response: m.Response(nil)}
	mail := composed(t, answer, "From: bob@example.com\r\nTo: alice@example.com\r\nSubject: Re: Pay\r\n\r\nNo.\r\n")
	if bytes.Contains(mail, []byte("Eve")) {
		t.Errorf("the answer quotes what nobody saw:\n%s", mail)
	}
}

// TestE15Labels (row E15): every label on signed octets, at the root and beside a text. The
// rules are written at cmsType.
func TestE15Labels(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	der := m.Forged(filePart, nil).DER()
	for _, c := range []struct {
		fields  string
		read    bool // as signed
		warning string
	}{
		{"Content-Type: application/pkcs7-mime", true, ""},
		{"Content-Type: application/x-pkcs7-mime; name=x.bin", true, ""},
		{"Content-Type: APPLICATION/X-PKCS7-MIME;", true, ""},
		{"Content-Type: application/octet-stream; name=\"smime.p7m\"", true, ""},
		{"Content-Type: application/octet-stream; name=\"SMIME.P7M\"", true, ""},
		{"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=smime.p7m", true, ""},
		{"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''smime.p7m", true, ""},
		{"Content-Disposition: attachment; filename=smime.p7m", true, ""},
		{"Content-Type: application/octet-stream", true, "mime.hidden_type"},
		{"Content-Type: application/octet-stream; name=smime.p7m.exe", true, "mime.hidden_type"},
		{"Content-Type: application/octet-stream; name=photo.jpg; smime-type=enveloped-data", true, "mime.hidden_type"},
		{"Content-Type: application/x-msdownload; name=smime.p7m", true, "mime.hidden_type"},
		{"Content-Type: application/pdf", true, "mime.hidden_type"},
		{"Content-Type: application/cms", true, "mime.hidden_type"},
		// Parameters that nobody can read hide nothing.
		{"Content-Type: application/pkcs7-mime; name=my mail.p7m", true, ""},
		{"Content-Type: application/pkcs7-mime; name=a.p7m; name=b.p7m; smime-type", true, ""},
		{"Content-Type: application/octet-stream; name=my mail.p7m", true, "mime.hidden_type"},
		{"Content-Type: text/plain; name=my mail.p7m", false, ""},
		{"Content-Type: text/plain; name=smime.p7m; smime-type=signed-data", false, ""},
		{"Content-Type: image/png; name=smime.p7m", false, ""},
		{"X-Type: none", false, ""},
	} {
		entity := c.fields + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(der)
		r := reported(t, p.opener(), fileFields+entity)
		if read := r.Verdict == smime.Authentic; read != c.read || !read && r.Verdict != smime.Unsigned {
			t.Errorf("%q: %s %q", c.fields, r.Verdict, r.Codes)
		}
		if told := slices.Contains(r.Warnings, "mime.hidden_type"); told != (c.warning != "") {
			t.Errorf("%q: warnings %q", c.fields, r.Warnings)
		}
		beside := reported(t, p.opener(), fileFields+catalogue.MultipartAt("b", "mixed", "\r\nhello\r\n", entity))
		if beside.Verdict != smime.Unsigned || (len(beside.Parts) == 1) != c.read {
			t.Errorf("%q beside a text: %s, parts %v", c.fields, beside.Verdict, beside.Parts)
		}
	}
	doubled := "Content-Type: application/pkcs7-mime\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(der)
	refusedCode(t, p.opener(), "two types", "mime.duplicate_field", []byte(fileFields+doubled))
	refusedCode(t, p.opener(), "two types inside", "mime.duplicate_field", []byte(fileFields+"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
		catalogue.Base64Lines(m.Forged(doubled, nil).DER())))
	// What is none of it comes out as it went in.
	for _, data := range [][]byte{nil, {0x30}, []byte("hello"), der[:20], append([]byte{0x30, 0x80, 6, 9}, der[4:40]...), bytes.Repeat(der[:18], 200_000)} {
		entity := "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(data)
		o := p.opener()
		o.AllowUnsigned = true
		msg, err := o.Open(t.Context(), strings.NewReader("From: alice@good.example\r\n"+entity))
		if err != nil {
			t.Errorf("%d octets: %v", len(data), err)
			continue
		}
		if got, _ := io.ReadAll(msg.Entity()); string(got) != "From: alice@good.example\r\n"+entity {
			t.Errorf("%d octets came out as %d", len(entity), len(got))
		}
	}
}

// TestA13Dates (row A13): the difference between the claimed time and the date of the message
// is told from an hour on, and changes nothing; the protected date is the one that counts.
func TestA13Dates(t *testing.T) {
	p := newParty(t)
	for date, told := range map[string]bool{
		p.now.Format("Mon, 02 Jan 2006 15:04:05 -0700"):                  false,
		p.now.Add(-50 * 60e9).Format("Mon, 02 Jan 2006 15:04:05 -0700"):  false,
		p.now.Add(50 * 60e9).Format("02 Jan 2006 15:04 -0700"):           false,
		p.now.Add(-70 * 60e9).Format("Mon, 02 Jan 2006 15:04:05 -0700"):  true,
		p.now.AddDate(1, 0, 0).Format("Mon, 02 Jan 2006 15:04:05 -0700"): true,
		"yesterday": false,
	} {
		for _, c := range []*smime.Composer{p.composer(true, false, false), p.protected(true, false, true, "")} {
			mail := composed(t, c, "From: alice@example.com\r\nDate: "+date+"\r\n\r\nhi\r\n")
			outer := bytes.Replace(mail, []byte("Date: "+date), []byte("Date: Mon, 01 Jan 1990 00:00:00 +0000"), 1)
			for i, m := range [][]byte{mail, outer} {
				want := told || i == 1 && c.ProtectHeaders == "off"
				r := reported(t, p.opener(), string(m))
				if s := r.Layers[0].Signatures[0]; r.Verdict != smime.Authentic || slices.Contains(s.Codes, "time.date_differs") != want {
					t.Errorf("%s, %q, %d: %s %q", date, c.ProtectHeaders, i, r.Verdict, s.Codes)
				}
			}
		}
	}
}

// TestPublishedLayouts: the layouts that were published, made by us from their descriptions,
// are all among the messages: those that spoof signatures ("Johnny, you are fired", rows A01
// to A06, E01 to E04, F01 to F03), those that draw plaintext out directly (EFAIL, row C01),
// and those that have a victim decrypt or sign what he does not see ("Re: What's Up
// Johnny?", rows C18 and I05).
func TestPublishedLayouts(t *testing.T) {
	layouts := map[string]string{
		"two contents (C1)":           "a01-other-content a01-no-content a01-same-content",
		"several signers (C2)":        "a04-good-and-bad a04-bad-and-good",
		"no signer (C3)":              "a05-nobody a05-nobody-detached",
		"nobody vouches (C4)":         "a06-self-signed a06-stranger",
		"text before (M1)":            "e01-mixed-detached e01-mixed-opaque e01-alternative-detached e01-nested-detached",
		"hidden by markup (M2)":       "e02-style-detached e02-style-opaque e02-related-detached",
		"hidden as an image (M3)":     "e03-image-detached e03-image-opaque",
		"hidden attachment (M4)":      "e04-attachment-detached e04-attachment-opaque",
		"another signer (I1)":         "f01-other-signer",
		"display names (I2)":          "f02-quoted-address f02-name-and-address f02-spaces f02-encoded f02-encoded-newline f02-comment f02-direction f02-blank",
		"other fields (I3)":           "f03-two-mailboxes f03-same-mailboxes f03-sender f03-sender-only f03-reply-to f03-no-from",
		"drawn out directly":          "c01-link-mixed c01-link-alternative c01-link-related c01-mixed c01-alternative c01-related c01-signed-look c01-attached c01-html-around",
		"decrypted unseen (6)":        "c18-mixed c18-hidden c18-alternative c18-related c18-attached c18-forwarded",
		"signed unseen (5)":           "i05-conditional i05-printed i05-supported i05-coloured i05-moved",
		"gadgets in malleable blocks": "c02-gadget c02-gadget-over-signature c02-gadget-inside c02-blocks-swapped c02-cut",
	}
	made := map[string]*catalogue.Case{}
	for _, c := range readOpenIdentities(t).maker().Cases() {
		made[c.Name] = c
	}
	spoofed := 0
	for what, names := range layouts {
		for name := range strings.FieldsSeq(names) {
			c := made[name]
			if c == nil {
				t.Errorf("%s: there is no %s", what, name)
				continue
			}
			if c.Verdict == smime.Authentic && !strings.HasPrefix(name, "i05") {
				t.Errorf("%s: %s is %s", what, name, c.Verdict)
			}
			if strings.ContainsAny(name[:1], "aef") {
				spoofed++
			}
		}
	}
	if spoofed < 26 {
		t.Errorf("%d layouts that spoof signatures", spoofed)
	}
}

// TestLayerVerdicts: one answer for each layer, beside the one for the message.
func TestLayerVerdicts(t *testing.T) {
	p := readOpenIdentities(t)
	cases := map[string]string{
		"valid-multipart": "signed:authentic", "valid-sealed": "encrypted:unsigned signed:authentic",
		"valid-triple": "signed:authentic encrypted:unsigned signed:authentic",
		"a17-opaque":   "signed:authentic encrypted:unsigned", // over ciphertext; the message is not authentic
		"a08-altered":  "signed:not-authentic", "f01-other-signer": "signed:not-authentic", "a21-time-stamp": "signed:not-authentic",
		"a04-good-and-bad": "signed:not-authentic", "a20-certificates": "certs-only:not-authentic",
		"c20-forgotten": "encrypted:not-authentic", "c06-tag": "encrypted:not-authentic", "c23-late": "encrypted:unsigned signed:not-authentic",
		"c17-twin": "compressed:unsigned signed:authentic", "e05-list-footer": "",
	}
	for _, c := range p.maker().Cases() {
		want, ok := cases[c.Name]
		if !ok {
			continue
		}
		delete(cases, c.Name)
		var got []string
		for _, l := range reported(t, p.opener(), c.Message).Layers {
			got = append(got, l.Kind+":"+string(l.Verdict))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", c.Name, got, want)
		}
	}
	if len(cases) > 0 {
		t.Errorf("no cases %v", cases)
	}
}

// TestAnyLayers wraps a message again and again, in any form and order, and finds every
// layer in its place. Who wrote it, the layers inside the encryption decide.
func TestAnyLayers(t *testing.T) {
	p := newParty(t)
	seed := rand.Uint64()
	g := &gardener{Rand: rand.New(rand.NewPCG(seed, 3))}
	forms := map[string]int{}
	for n := range 60 {
		mail := []byte(plain)
		var want []string // from the inside
		compressed := 0
		for range 1 + g.IntN(7) {
			form := g.pick("clear", "opaque", "cbc", "gcm", "compressed")
			if form == "compressed" && compressed == 2 {
				continue // no more of these in one message
			}
			forms[form]++
			c := p.composer(form == "clear" || form == "opaque", form == "cbc" || form == "gcm", form == "opaque")
			kind := "signed"
			switch form {
			case "cbc", "gcm":
				kind, c.Cipher = "encrypted", "aes256-"+form
			case "compressed":
				compressed++
				c = p.composer(true, false, true)
				c.Compress = true
				want = append(want, "signed")
				kind = "compressed"
			}
			want = append(want, kind)
			mail = composed(t, c, string(mail))
		}
		slices.Reverse(want)
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range r.Layers {
			got = append(got, l.Kind)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, round %d: %q, want %q: %q", seed, n, got, want, r.Codes)
		}
		innermost := slices.Contains(want[lastIndex(want, "encrypted")+1:], "signed")
		if authentic := r.Verdict == smime.Authentic; authentic != innermost {
			t.Fatalf("seed %d, round %d: %q: %s %q", seed, n, want, r.Verdict, r.Codes)
		}
	}
	if len(forms) < 5 {
		t.Errorf("forms %v", forms)
	}
}

func lastIndex(list []string, s string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == s {
			return i
		}
	}
	return -1
}
