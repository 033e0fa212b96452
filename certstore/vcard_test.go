package certstore

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"strings"
	"testing"
)

func bobDER(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/people/bob.pem")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	return b.Bytes
}

func TestVCard(t *testing.T) {
	der := bobDER(t)
	key := base64.StdEncoding.EncodeToString(der)
	card := func(lines ...string) []byte {
		return []byte("BEGIN:VCARD\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCARD\r\n")
	}
	for _, tt := range []struct {
		name    string
		data    []byte
		entries int
		address string
		errs    int
	}{
		{"RFC 2426", card("VERSION:3.0", "EMAIL:bob@example.org", "KEY;ENCODING=b:"+key), 1, "bob@example.org", 0},
		{"RFC 6350", card("VERSION:4.0", "EMAIL:bob@example.org", "KEY:data:application/pkix-cert;base64,"+key), 1, "bob@example.org", 0},
		{"vCard 2.1, folded, in groups", card("item1.EMAIL;INTERNET:bob@example.org", "item2.KEY;X509;BASE64:", " "+key[:60], " "+key[60:], ""), 1, "bob@example.org", 0},
		{"bare line ends", bytes.ReplaceAll(card("EMAIL:bob@example.org", "KEY;ENCODING=b:"+key), []byte("\r"), nil), 1, "bob@example.org", 0},
		{"address behind the key", card("KEY;ENCODING=b:"+key, "EMAIL:bob@example.org", "EMAIL:second@example.org"), 1, "bob@example.org", 0},
		{"no address", card("KEY;ENCODING=b:" + key), 1, "", 0},
		{"two cards", append(card("EMAIL:one@example.org", "KEY;ENCODING=b:"+key), card("EMAIL:two@example.org")...), 1, "one@example.org", 0},
		{"a link", card("EMAIL:bob@example.org", "KEY;MEDIATYPE=application/pkix-cert:http://example.org/bob.cer"), 0, "", 0},
		{"an OpenPGP key", card("KEY;ENCODING=b:" + base64.StdEncoding.EncodeToString([]byte{0x99, 1, 2})), 0, "", 0},
		{"not base64", card("KEY;ENCODING=b:!!"), 0, "", 1},
		{"cut short", []byte("BEGIN:VCARD\nKEY;ENCODING=b:" + key), 1, "", 0},
	} {
		entries, errs := readVCard(tt.data, "card.vcf")
		if !isVCard(tt.data) || len(entries) != tt.entries || len(errs) != tt.errs {
			t.Errorf("%s: %d entries, errors %v", tt.name, len(entries), errs)
			continue
		}
		for _, e := range entries {
			if e.Address != tt.address || !bytes.Equal(e.Certificate.Raw, der) {
				t.Errorf("%s: filed under %q", tt.name, e.Address)
			}
		}
	}
}

func FuzzVCard(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(bobDER(f))
	f.Add([]byte("BEGIN:VCARD\r\nEMAIL:bob@example.org\r\nKEY;ENCODING=b:\r\n " + key + "\r\nEND:VCARD\r\n"))
	f.Add([]byte("BEGIN:VCARD\nKEY:data:application/pkix-cert;base64," + key))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := readVCard(data, "x.vcf")
		for _, e := range entries {
			if e.Certificate == nil || e.Source != "x.vcf" {
				t.Fatalf("entry %+v", e)
			}
		}
	})
}

// FuzzNotes: what an entry holds beside its certificate survives the file it is written to.
func FuzzNotes(f *testing.F) {
	c := &x509.Certificate{Raw: bobDER(f)}
	f.Add("sales@example.org", "ldap://dc1\n-----BEGIN CERTIFICATE-----", []byte{0x30, 0}, true)
	f.Fuzz(func(t *testing.T, address, source string, capabilities []byte, preferred bool) {
		e := Entry{Certificate: c, Address: address, Source: source, Capabilities: capabilities, Default: preferred}
		got := Entry{}
		readNotes(&got, encodeEntry(&e))
		if len(address)+len(source)+len(capabilities) > 10_000 {
			return // longer than the lines that are read
		}
		if got.Address != address || got.Source != source || !bytes.Equal(got.Capabilities, capabilities) || got.Default != preferred {
			t.Fatalf("wrote %+v, read %+v", e, got)
		}
	})
}
