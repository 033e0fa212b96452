package keyfile_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/oid"
)

// TestWycheproofPBES2 decrypts every vector of PBES2, and none under another password.
func TestWycheproofPBES2(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Password, Salt, IV, Msg, Ct corpus.Hex
			IterationCount              int64
		}
	}
	files, err := filepath.Glob(corpus.Path(t, "wycheproof", "testvectors_v1") + "/pbes2_*_test.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	prfs := map[string]oid.OID{"hmacsha1": oid.HMACSHA1, "hmacsha224": oid.HMACSHA224, "hmacsha256": oid.HMACSHA256, "hmacsha384": oid.HMACSHA384, "hmacsha512": oid.HMACSHA512}
	ciphers := map[string]oid.OID{"128": oid.AES128CBC, "192": oid.AES192CBC, "256": oid.AES256CBC}
	n := 0
	for _, path := range files {
		name := filepath.Base(path)
		part := strings.Split(name, "_") // pbes2 hmacsha1 aes 128 test.json
		algorithm := func(salt []byte, rounds int64, cipher oid.OID, iv []byte) []byte {
			return forge.Algorithm("\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", forge.Sequence(
				forge.Algorithm(oid.PBKDF2, forge.Sequence(forge.Octets(salt), forge.Integer(rounds), forge.Algorithm(prfs[part[1]], forge.Null()))),
				forge.Algorithm(cipher, forge.Octets(iv))))
		}
		for _, g := range corpus.Wycheproof[group](t, name) {
			for _, v := range g.Tests {
				n++
				a := algorithm(v.Salt, v.IterationCount, ciphers[part[3]], v.IV)
				got, err := keyfile.Decrypt(a, v.Ct, string(v.Password))
				if (err == nil) != (v.Result == "valid") || err == nil && !bytes.Equal(got, v.Msg) {
					t.Errorf("%s %d (%s): %s, got %x, %v", name, v.TcID, v.Comment, v.Result, got, err)
				}
				if v.TcID%20 != 0 {
					continue
				}
				// One in some 250 wrong passwords passes for the right padding.
				if got, err := keyfile.Decrypt(a, v.Ct, string(v.Password)+"x"); err == nil && bytes.Equal(got, v.Msg) {
					t.Errorf("%s %d: another password decrypts as well", name, v.TcID)
				}
			}
		}
	}
	if n < 1000 {
		t.Error("only", n, "vectors")
	}
	t.Log(n, "vectors")
}
