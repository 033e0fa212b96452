package smime_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/postseal/postseal/smime"
)

// parse reads one setting in the JSON form.
func parse(t *testing.T, name, jsonValue string) (*smime.Policy, []smime.Note) {
	t.Helper()
	p, notes, err := smime.ParseSmimeConfig(strings.NewReader(fmt.Sprintf("{%q: %s}", name, jsonValue)))
	if err != nil {
		t.Fatalf("%s = %s: %v", name, jsonValue, err)
	}
	return p, notes
}

// codes lists "severity code" of every note, sorted.
func codes(notes []smime.Note) []string {
	list := []string{}
	for _, n := range notes {
		list = append(list, n.Severity+" "+n.Code)
	}
	slices.Sort(list)
	return list
}

// TestSmimeConfigParameters has every parameter of Set-SmimeConfig with its default and
// with the other value.
func TestSmimeConfigParameters(t *testing.T) {
	const (
		weaker = "warning config.weakening"
		na     = "info config.not_applicable"
		bad    = "error config.malformed"
	)
	for _, c := range []struct {
		name, value string
		want        smime.Policy
		notes       []string
	}{
		{"OWAAllowUserChoiceOfSigningCertificate", "false", smime.Policy{}, nil},
		{"OWAAllowUserChoiceOfSigningCertificate", "true", smime.Policy{UserChoosesSigner: true}, nil},
		{"OWAAlwaysEncrypt", "false", smime.Policy{}, nil},
		{"OWAAlwaysEncrypt", "true", smime.Policy{Encrypt: true}, nil},
		{"OWAAlwaysEncrypt", `"maybe"`, smime.Policy{Encrypt: true}, []string{bad}},
		{"OWAAlwaysSign", "false", smime.Policy{}, nil},
		{"OWAAlwaysSign", "null", smime.Policy{Sign: true}, []string{bad}},
		{"OWAAlwaysSign", "true", smime.Policy{Sign: true}, nil},
		{"OWABCCEncryptedEmailForking", "0", smime.Policy{Bcc: "each"}, nil},
		{"OWABCCEncryptedEmailForking", "1", smime.Policy{Bcc: "together"}, nil},
		{"OWABCCEncryptedEmailForking", "2", smime.Policy{Bcc: "shared"}, []string{weaker}},
		{"OWABCCEncryptedEmailForking", "3", smime.Policy{Bcc: "each"}, []string{bad}},
		{"OWABCCEncryptedEmailForking", "-1", smime.Policy{Bcc: "each"}, []string{bad}},
		{"OWACheckCRLOnSend", "true", smime.Policy{}, nil},
		{"OWACheckCRLOnSend", "false", smime.Policy{SoftRevocationOnSend: true}, []string{weaker}},
		{"OWACheckCRLOnSend", "7", smime.Policy{}, []string{bad}},
		{"OWADisableCRLCheck", "false", smime.Policy{}, nil},
		{"OWADisableCRLCheck", "true", smime.Policy{NoRevocation: true}, []string{weaker}},
		{"OWACRLConnectionTimeout", "60000", smime.Policy{FetchMillis: 60000}, nil},
		{"OWACRLRetrievalTimeout", "10000", smime.Policy{FetchTotalMillis: 10000}, nil},
		{"OWACRLRetrievalTimeout", "4294967296", smime.Policy{}, []string{bad}},
		{"OWACRLRetrievalTimeout", "null", smime.Policy{}, []string{bad}},
		{"OWADLExpansionTimeout", "60000", smime.Policy{GroupMillis: 60000}, nil},
		{"OWAClearSign", "true", smime.Policy{}, nil},
		{"OWAClearSign", "false", smime.Policy{Opaque: true}, nil},
		{"OWACopyRecipientHeaders", "true", smime.Policy{Kept: map[string]string{"OWACopyRecipientHeaders": "true"}}, []string{na}},
		{"OWAEncryptTemporaryBuffers", "true", smime.Policy{}, []string{na}},
		{"OWAForceSMIMEClientUpgrade", "true", smime.Policy{}, []string{na}},
		{"OWAIncludeCertificateChainAndRootCertificate", "false", smime.Policy{}, nil},
		{"OWAIncludeCertificateChainAndRootCertificate", "true", smime.Policy{Include: "chain+root"}, nil},
		{"OWAIncludeCertificateChainWithoutRootCertificate", "false", smime.Policy{Include: "leaf"}, nil},
		{"OWAIncludeCertificateChainWithoutRootCertificate", "true", smime.Policy{Include: "chain"}, nil},
		{"OWAIncludeSMIMECapabilitiesInMessage", "true", smime.Policy{}, nil},
		{"OWAIncludeSMIMECapabilitiesInMessage", "false", smime.Policy{OmitCapabilities: true}, []string{weaker}},
		{"OWAOnlyUseSmartCard", "false", smime.Policy{}, nil},
		{"OWAOnlyUseSmartCard", "true", smime.Policy{HardwareKeys: true}, nil},
		{"OWASenderCertificateAttributesToDisplay", "null", smime.Policy{}, nil},
		{"OWASenderCertificateAttributesToDisplay", `"2.5.4.3, 2.5.4.11"`, smime.Policy{ShowAttributes: []string{"2.5.4.3", "2.5.4.11"}}, nil},
		{"OWASenderCertificateAttributesToDisplay", `"2.5.4.3,21.5.4"`, smime.Policy{ShowAttributes: []string{"2.5.4.3"}}, []string{bad}},
		{"OWASenderCertificateAttributesToDisplay", `"2.5.4.3,cn"`, smime.Policy{ShowAttributes: []string{"2.5.4.3"}}, []string{bad}},
		{"OWASignedEmailCertificateInclusion", "true", smime.Policy{}, nil},
		{"OWASignedEmailCertificateInclusion", "false", smime.Policy{Include: "none"}, []string{weaker}},
		{"OWATripleWrapSignedEncryptedMail", "true", smime.Policy{TripleWrap: true}, nil},
		{"OWAUseKeyIdentifier", "true", smime.Policy{RecipientKeyID: true}, []string{"info config.interoperability"}},
		{"OWAUseSecondaryProxiesWhenFindingCertificates", "true", smime.Policy{SecondaryAddresses: true}, nil},
		{"NoSignOnReply", "true", smime.Policy{ReplyUnsigned: true}, []string{weaker}},
		{"SMIMECertificateIssuingCA", "[]", smime.Policy{}, []string{"info config.empty"}},
		{"SMIMECertificateIssuingCA", "[0,0,0,0,67,69,82,84]", smime.Policy{IssuingCAs: []byte("\x00\x00\x00\x00CERT")}, nil},
		{"SMIMECertificateIssuingCA", `{"value":[0,255],"Count":2}`, smime.Policy{IssuingCAs: []byte{0, 255}}, nil},
		{"SMIMECertificateIssuingCA", "[0,256]", smime.Policy{}, []string{bad}},
		{"SMIMECertificateIssuingCA", `"System.Byte[]"`, smime.Policy{}, []string{bad}},
		{"Identity", `"Smime Configuration"`, smime.Policy{Kept: map[string]string{"Identity": "Smime Configuration"}}, []string{na}},
		{"Confirm", "true", smime.Policy{Kept: map[string]string{"Confirm": "true"}}, []string{na}},
		{"WhatIf", "true", smime.Policy{Kept: map[string]string{"WhatIf": "true"}}, []string{na}},
		{"SMIMECertificatesExpiryDate", "null", smime.Policy{Kept: map[string]string{"SMIMECertificatesExpiryDate": ""}}, []string{na}},
		{"OWANewSetting", "5", smime.Policy{Kept: map[string]string{"OWANewSetting": "5"}}, []string{"warning config.unknown"}},
		{"SmimeSign", "true", smime.Policy{Sign: true}, nil},
		{"SMimeEncrypt", `"True"`, smime.Policy{Encrypt: true}, nil},
		{"SMimeSuppressNameChecksEnabled", "true", smime.Policy{Accept: []string{"mismatched-sender"}}, []string{weaker}},

		{"RequireSignedSMIMEMessages", "true", smime.Policy{Sign: true}, nil},
		{"RequireEncryptedSMIMEMessages", "true", smime.Policy{Encrypt: true}, nil},
		{"RequireSignedSMIMEAlgorithm", `"SHA1"`, smime.Policy{Kept: map[string]string{"RequireSignedSMIMEAlgorithm": "SHA1"}}, []string{"info config.floor"}},
		{"RequireSignedSMIMEAlgorithm", "1", smime.Policy{Kept: map[string]string{"RequireSignedSMIMEAlgorithm": "1"}}, []string{"info config.floor"}},
		{"RequireSignedSMIMEAlgorithm", "2", smime.Policy{}, []string{bad}},
		{"RequireEncryptionSMIMEAlgorithm", `"TripleDES"`, smime.Policy{Kept: map[string]string{"RequireEncryptionSMIMEAlgorithm": "TripleDES"}}, []string{"info config.floor"}},
		{"RequireEncryptionSMIMEAlgorithm", "4", smime.Policy{Kept: map[string]string{"RequireEncryptionSMIMEAlgorithm": "4"}}, []string{"info config.floor"}},
		{"AllowSMIMEEncryptionAlgorithmNegotiation", "0", smime.Policy{FixedCipher: true}, nil},
		{"AllowSMIMEEncryptionAlgorithmNegotiation", "1", smime.Policy{}, nil},
		{"AllowSMIMEEncryptionAlgorithmNegotiation", `"AllowAnyAlgorithmNegotiation"`, smime.Policy{}, []string{weaker}},
		{"AllowSMIMESoftCerts", "true", smime.Policy{}, nil},
		{"AllowSMIMESoftCerts", "false", smime.Policy{HardwareKeys: true}, nil},
	} {
		p, notes := parse(t, c.name, c.value)
		if !reflect.DeepEqual(*p, c.want) {
			t.Errorf("%s = %s: got %+v, want %+v", c.name, c.value, *p, c.want)
		}
		if got := codes(notes); !slices.Equal(got, c.notes) {
			t.Errorf("%s = %s: notes %v, want %v", c.name, c.value, notes, c.notes)
		}
		for _, n := range notes {
			if n.About != c.name {
				t.Errorf("%s: a note about %s", c.name, n.About)
			}
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s = %s: %v", c.name, c.value, err)
		}
	}
}

// TestAlgorithmLists has the published examples, the grammar and what is taken beyond it.
func TestAlgorithmLists(t *testing.T) {
	const (
		malformed = "error config.malformed"
		lenient   = "warning config.lenient"
		weaker    = "warning config.weakening"
		own       = "warning config.unsupported"
	)
	aes256 := []string{"aes256-cbc"}
	for _, c := range []struct {
		list  string
		want  []string
		notes []string
	}{
		{"6610", aes256, nil},
		{"660f;660E", []string{"aes192-cbc", "aes128-cbc"}, nil},
		{"6603;6602:128;6602:64;6601;6602:56", []string{"3des-cbc", "rc2-128-cbc", "rc2-64-cbc", "des-cbc", "rc2-56-cbc"}, []string{weaker, weaker, weaker, weaker, weaker, weaker}},
		{"6610;6602:40", []string{"aes256-cbc", "rc2-40-cbc"}, []string{weaker}},
		{"6610;6602", []string{"aes256-cbc", "rc2-128-cbc"}, []string{lenient, weaker}},
		{"6610;RC2:128", []string{"aes256-cbc", "rc2-128-cbc"}, []string{lenient, weaker}},
		{"6602:99", aes256, []string{malformed}},
		{"6602:+64", aes256, []string{malformed}},
		{"6610:256", aes256, []string{lenient}},
		{"6610:128", aes256, []string{malformed}},
		{" 6610 ; 660E", []string{"aes256-cbc", "aes128-cbc"}, []string{lenient, lenient}},
		{"6610;6603,1.2.3.4", []string{"aes256-cbc", "3des-cbc,1.2.3.4"}, []string{own}},
		{"6603,1.2.3.4", []string{"3des-cbc,1.2.3.4"}, []string{own, weaker}},
		{"6602,1.2.3;6610", []string{"rc2-128-cbc,1.2.3", "aes256-cbc"}, []string{own}},
		{"6610,", aes256, []string{malformed}},
		{"6610,1", aes256, []string{malformed}},
		{"6610,1.02", aes256, []string{malformed}},
		{"6602:64,1.2.3", aes256, []string{malformed}},
		{"", aes256, []string{malformed}},
		{"zz", aes256, []string{malformed}},
		{"6610;;", aes256, []string{malformed}},
		{"800C", aes256, []string{malformed}}, // a hash is no cipher
	} {
		p, notes := parse(t, "OWAEncryptionAlgorithms", fmt.Sprintf("%q", c.list))
		if !slices.Equal(p.Ciphers, c.want) || !slices.Equal(codes(notes), c.notes) {
			t.Errorf("encryption %q: %v, notes %v; want %v, %v", c.list, p.Ciphers, notes, c.want, c.notes)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("encryption %q: %v", c.list, err)
		}
	}
	for _, c := range []struct {
		list  string
		want  []string
		notes []string
	}{
		{"800C", []string{"sha256"}, nil},
		{"800E;800d", []string{"sha512", "sha384"}, nil},
		{"800E;8004;8003", []string{"sha512", "sha1", "md5"}, []string{weaker, weaker}},
		{"8004", []string{"sha1"}, []string{weaker, weaker}},
		{"800C:256", []string{"sha256"}, []string{lenient}},
		{"800C,1.2.3", []string{"sha256"}, []string{own}},
		{"8804,1.2.3", nil, []string{malformed}},
		{"", nil, []string{malformed}},
		{"6610", nil, []string{malformed}},
	} {
		p, notes := parse(t, "OWASigningAlgorithms", fmt.Sprintf("%q", c.list))
		if !slices.Equal(p.Digests, c.want) || !slices.Equal(codes(notes), c.notes) {
			t.Errorf("signing %q: %v, notes %v; want %v, %v", c.list, p.Digests, notes, c.want, c.notes)
		}
	}
	if _, notes := parse(t, "OWASigningAlgorithms", `"8804,1.2.3"`); !strings.Contains(notes[0].Detail, "8004") {
		t.Errorf("no hint at 8004: %v", notes)
	}
}

const listForm = `

OWACheckCRLOnSend                                : True
OWADLExpansionTimeout                            : 60000
OWAUseSecondaryProxiesWhenFindingCertificates    : True
OWACRLConnectionTimeout                          : 60000
OWACRLRetrievalTimeout                           : 10000
OWAEncryptionAlgorithms                          : 6610;
                                                   660E
OWASenderCertificateAttributesToDisplay          :
SMIMECertificateIssuingCA                        : {0, 0, 0, 0...}
`

func TestSmimeConfigListForm(t *testing.T) {
	p, notes, err := smime.ParseSmimeConfig(strings.NewReader(strings.ReplaceAll(listForm, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := &smime.Policy{
		SecondaryAddresses: true, GroupMillis: 60000, FetchMillis: 60000, FetchTotalMillis: 10000,
		Ciphers: []string{"aes256-cbc", "aes128-cbc"},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	// The collection is cut short; the timeouts are inverted.
	if got := codes(notes); !slices.Equal(got, []string{"error config.malformed", "info config.ineffective"}) {
		t.Errorf("notes %v", notes)
	}
	p, _, err = smime.ParseSmimeConfig(strings.NewReader("SMIMECertificateIssuingCA : {0, 67}\n"))
	if err != nil || string(p.IssuingCAs) != "\x00C" {
		t.Errorf("a complete list of bytes: %v, %v", p, err)
	}
}

// In a window of 80 columns PowerShell leaves 29 for a value: a list without blanks, such
// as the published example, is broken in the middle of an algorithm.
func TestSmimeConfigNarrowWindow(t *testing.T) {
	p, notes, err := smime.ParseSmimeConfig(strings.NewReader(strings.Join([]string{
		"OWAEncryptionAlgorithms                          : 6610;660F;660E;6603;6602:128;",
		"                                                   6602:64;6601;6602:56",
		"OWASigningAlgorithms                             : 800E;800D;800C;8004,1.3.6.1.4",
		"                                                   .1.1;8003",
		"OWASenderCertificateAttributesToDisplay          : 2.5.4.3, 2.5.4.11,",
		"                                                   1.2.840.113549.1.9.1,2.5.4.10",
		"                                                   ,2.5.4.7",
		"Name                                             : Smime",
		"                                                   Configuration",
	}, "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := &smime.Policy{
		Ciphers:        []string{"aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc", "rc2-128-cbc", "rc2-64-cbc", "des-cbc", "rc2-56-cbc"},
		Digests:        []string{"sha512", "sha384", "sha256", "sha1", "md5"},
		ShowAttributes: []string{"2.5.4.3", "2.5.4.11", "1.2.840.113549.1.9.1", "2.5.4.10", "2.5.4.7"},
		Kept:           map[string]string{"Name": "Smime Configuration"},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	if got := codes(notes); slices.Contains(got, "error config.malformed") || slices.Contains(got, "warning config.lenient") {
		t.Errorf("notes %v", notes)
	}
}

// A listing has a bounded number of settings in either form.
func TestSmimeConfigManySettings(t *testing.T) {
	for _, form := range []struct{ begin, one, between, end string }{
		{"{", `"S%d": 1`, ",", "}"},
		{"", "S%d : 1", "\n", ""},
	} {
		listing := func(n int) string {
			list := make([]string, n)
			for i := range list {
				list[i] = fmt.Sprintf(form.one, i)
			}
			return form.begin + strings.Join(list, form.between) + form.end
		}
		if _, notes, err := smime.ParseSmimeConfig(strings.NewReader(listing(1000))); err != nil || len(notes) != 1000 {
			t.Errorf("%s1000 settings: %d notes, %v", form.begin, len(notes), err)
		}
		if _, _, err := smime.ParseSmimeConfig(strings.NewReader(listing(1001))); err == nil {
			t.Errorf("%s1001 settings were read", form.begin)
		}
	}
}

// TestSmimeConfigEncodings has what PowerShell writes to a file.
func TestSmimeConfigEncodings(t *testing.T) {
	const text = `[ {"OWAAlwaysSign": true} ]`
	for name, data := range map[string]string{
		"plain":                  text,
		"utf8 bom":               "\xef\xbb\xbf" + text,
		"utf16le":                "\xff\xfe" + string(wide(text, 0)),
		"utf16be":                "\xfe\xff" + string(wide(text, 1)),
		"utf16le without a mark": string(wide(text, 0)),
		"utf16be without a mark": string(wide(text, 1)),
	} {
		p, _, err := smime.ParseSmimeConfig(strings.NewReader(data))
		if err != nil || !p.Sign {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, data := range []string{
		"", " \r\n", "\xff\xfe", "[]", "[1]", `[{},{}]`, `{"a":1`, `{"a":1}x`, `{"OWAAlwaysSign":true,"owaalwayssign":false}`,
		"OWAAlwaysSign : True\nOWAAlwaysSign : False", "  True", "Hello world", "a b : c",
	} {
		if p, _, err := smime.ParseSmimeConfig(strings.NewReader(data)); err == nil {
			t.Errorf("%q: %+v, want an error", data, p)
		}
	}
}

func wide(s string, high int) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b := [2]byte{byte(u), byte(u >> 8)}
		out = append(out, b[high], b[1-high])
	}
	return out
}

func TestPolicyJSON(t *testing.T) {
	p := smime.Policy{
		Sign: true, Include: "chain", Ciphers: []string{"aes256-gcm", "3des-cbc,1.2.3"}, Accept: []string{"sha1"}, Bcc: "together",
		ProtectHeaders: "shy", IssuingCAs: []byte{1, 2}, Kept: map[string]string{"a": "b"},
		Rules: []smime.Rule{{Name: "x", From: []string{"@example.org"}, Header: map[string]string{"Subject": "[secret]"}, MaxSize: 10, Action: "seal"}},
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var q smime.Policy
	if err := json.Unmarshal(data, &q); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, q) {
		t.Errorf("%+v came back as %+v", p, q)
	}
	if data, _ = json.Marshal(smime.Policy{}); string(data) != "{}" {
		t.Errorf("the strict policy is %s", data)
	}
	for _, bad := range []string{
		`{"sing":true}`, `{"include":"all"}`, `{"bcc":"all"}`, `{"protect_headers":"on"}`, `{"digests":["sha3"]}`, `{"ciphers":["aes"]}`,
		`{"ciphers":["3des-cbc,x"]}`, `{"accept":["everything"]}`, `{"rules":[{}]}`, `{"rules":[{"action":"drop"}]}`,
		`{"rules":[{"action":"sign","form":["@a.example"]}]}`, `{"rules":[{"action":"sign","to":["a"]}]}`,
		`{"rules":[{"action":"sign","to":["@"]}]}`, `{"rules":[{"action":"sign","min_size":5,"max_size":4}]}`, `[]`,
	} {
		if err := json.Unmarshal([]byte(bad), &q); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if !reflect.DeepEqual(p, q) {
		t.Error("a refused policy left its traces")
	}
}

func FuzzParseSmimeConfig(f *testing.F) {
	f.Add([]byte(`{"OWAEncryptionAlgorithms":"6610;6602:128","SMIMECertificateIssuingCA":[0,1]}`))
	f.Add([]byte(listForm))
	f.Add([]byte("\xff\xfe{\x00}\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, notes, err := smime.ParseSmimeConfig(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("what was read is not valid: %v", err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q smime.Policy
		if err := json.Unmarshal(text, &q); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, n := range notes {
			if n.Code == "" || n.About == "" || n.Detail == "" || !slices.Contains([]string{"info", "warning", "error"}, n.Severity) {
				t.Fatalf("incomplete note %+v", n)
			}
		}
	})
}

// FuzzPolicy reads anything as a policy in JSON. What is read is valid and reads the same
// from what it is written as; what is refused leaves the policy alone.
func FuzzPolicy(f *testing.F) {
	for _, p := range []smime.Policy{{}, {Sign: true, Encrypt: true, Include: "chain", Bcc: "each", ProtectHeaders: "shy"}} {
		text, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"sign":true,"sign":false}`))
	f.Add([]byte(`{"include":"everything"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := smime.Policy{Sign: true, Include: "leaf"}
		was := p
		if err := json.Unmarshal(data, &p); err != nil {
			if !reflect.DeepEqual(p, was) {
				t.Fatalf("refused (%v), and changed to %+v", err, p)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q smime.Policy
		if err := json.Unmarshal(text, &q); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again, err := json.Marshal(q); err != nil || string(again) != string(text) {
			t.Fatalf("%s became %s, %v", text, again, err)
		}
	})
}
