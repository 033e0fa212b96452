package keyfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

const password = "correct horse"

// newPair returns a key and a self-signed certificate for it.
func newPair(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alice"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// We read what another implementation writes, in every form it has.
func TestPKCS12Peer(t *testing.T) {
	key, cert := newPair(t)
	for name, enc := range map[string]*gopkcs12.Encoder{
		"PBMAC1 and PBES2": gopkcs12.Modern2026, "PBES2": gopkcs12.Modern2023, "3DES": gopkcs12.LegacyDES, "RC2": gopkcs12.LegacyRC2,
		"many iterations": gopkcs12.Modern2026.WithIterations(60_000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, pw := range []string{password, "", "Grüße, 世界 🔑"} {
				file, err := enc.Encode(key, cert, []*x509.Certificate{cert}, pw)
				if err != nil && pw == "Grüße, 世界 🔑" {
					continue // the peer writes no password beyond the first plane
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, data := range [][]byte{file, pem.EncodeToMemory(&pem.Block{Type: "PKCS12", Bytes: file})} {
					f, err := keyfile.Read(data, pw)
					if err != nil {
						t.Fatalf("password %q: %v", pw, err)
					}
					if len(f.Keys) != 1 || len(f.Certificates) != 2 || !key.Equal(f.Keys[0]) || !bytes.Equal(f.Certificates[0].Raw, cert.Raw) {
						t.Errorf("password %q: read %d keys, %d certificates", pw, len(f.Keys), len(f.Certificates))
					}
					if _, err := keyfile.Read(data, "wrong"); !errors.Is(err, x509.IncorrectPasswordError) {
						t.Errorf("wrong password: %v", err)
					}
				}
				bad := bytes.Clone(file)
				bad[len(bad)/2] ^= 1
				if _, err := keyfile.Read(bad, pw); err == nil {
					t.Error("altered file accepted")
				}
			}
		})
	}
}

// A builder makes PKCS#12 files, also ones that nobody else would.
type builder struct {
	mac        func(*cryptobyte.Builder, []byte) // writes MacData over the safe; nil leaves it out
	safes      []func(*cryptobyte.Builder)       // each writes a ContentInfo
	indefinite bool                              // BER at the outermost level
}

func (f builder) build() []byte {
	var safe, out cryptobyte.Builder
	safe.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, s := range f.safes {
			s(b)
		}
	})
	body := func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(3)
		contentInfo(b, oid.Data, func(b *cryptobyte.Builder) { b.AddASN1OctetString(safe.BytesOrPanic()) })
		if f.mac != nil {
			f.mac(b, safe.BytesOrPanic())
		}
	}
	if f.indefinite {
		out.AddBytes([]byte{0x30, 0x80})
		body(&out)
		out.AddBytes([]byte{0, 0})
	} else {
		out.AddASN1(asn1.SEQUENCE, body)
	}
	return out.BytesOrPanic()
}

func addOID(b *cryptobyte.Builder, id oid.OID) {
	b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
}

func contentInfo(b *cryptobyte.Builder, id oid.OID, content func(*cryptobyte.Builder)) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, id)
		b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), content)
	})
}

// data wraps SafeContents of bags that are not encrypted.
func data(bags ...[]byte) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		contentInfo(b, oid.Data, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(bags...)) })
			})
		})
	}
}

// bagOf returns a SafeBag of the type with the last arc n.
func bagOf(n byte, value []byte) []byte {
	var b cryptobyte.Builder
	contentInfo(&b, oid.OID("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"+string(rune(n))), func(b *cryptobyte.Builder) { b.AddBytes(value) })
	return b.BytesOrPanic()
}

func certBag(der []byte) []byte {
	var b cryptobyte.Builder
	contentInfo(&b, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01", func(b *cryptobyte.Builder) { b.AddASN1OctetString(der) })
	return bagOf(3, b.BytesOrPanic())
}

// pbkdf2ID writes an AlgorithmIdentifier of PBKDF2 with HMAC-SHA-256.
func pbkdf2ID(b *cryptobyte.Builder, salt []byte, iterations uint64, keyLength int64) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oid.PBKDF2)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(salt)
			b.AddASN1Uint64(iterations)
			if keyLength >= 0 {
				b.AddASN1Int64(keyLength)
			}
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oid.HMACSHA256) })
		})
	})
}

// pbmac1 writes MacData with PBMAC1, right if iterations and length allow a right one.
func pbmac1(iterations uint64, length int64) func(*cryptobyte.Builder, []byte) {
	salt := []byte("salt for the MAC")
	return func(b *cryptobyte.Builder, safe []byte) {
		sum := make([]byte, 32)
		if iterations <= 10_000 && length >= 1 && length <= 1024 {
			key, err := pbkdf2.Key(sha256.New, password, salt, int(iterations), int(length))
			if err != nil {
				panic(err)
			}
			m := hmac.New(sha256.New, key)
			m.Write(safe)
			sum = m.Sum(nil)
		}
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e")
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						pbkdf2ID(b, salt, iterations, length)
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oid.HMACSHA256) })
					})
				})
				b.AddASN1OctetString(sum)
			})
			b.AddASN1OctetString([]byte("not used"))
			b.AddASN1Uint64(1)
		})
	}
}

// classicMAC writes MacData with a digest and as many iterations, and a wrong MAC.
func classicMAC(digest oid.OID, iterations uint64) func(*cryptobyte.Builder, []byte) {
	return func(b *cryptobyte.Builder, safe []byte) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, digest) })
				b.AddASN1OctetString(make([]byte, 32))
			})
			b.AddASN1OctetString([]byte("saltsalt"))
			b.AddASN1Uint64(iterations)
		})
	}
}

// pbes2 writes an AlgorithmIdentifier of PBES2 with AES-256-CBC.
func pbes2(b *cryptobyte.Builder, kdf func(*cryptobyte.Builder)) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d")
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			kdf(b)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addOID(b, oid.AES256CBC)
				b.AddASN1OctetString(make([]byte, 16))
			})
		})
	})
}

// encrypted wraps rubbish as EncryptedData whose key takes iterations to derive.
func encrypted(iterations uint64) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		contentInfo(b, oid.EncryptedData, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Uint64(0)
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, oid.Data)
					pbes2(b, func(b *cryptobyte.Builder) { pbkdf2ID(b, []byte("salt"), iterations, -1) })
					b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 64)) })
				})
			})
		})
	}
}

// shrouded returns an EncryptedPrivateKeyInfo of rubbish with the key derivation kdf.
func shrouded(kdf func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		pbes2(b, kdf)
		b.AddASN1OctetString(make([]byte, 64))
	})
	return b.BytesOrPanic()
}

func scryptID(n, r, p uint64) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b")
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString([]byte("salt"))
				b.AddASN1Uint64(n)
				b.AddASN1Uint64(r)
				b.AddASN1Uint64(p)
			})
		})
	}
}

// Attack row H01: what a file asks for is counted before it is spent.
func TestPKCS12Cost(t *testing.T) {
	key, cert := newPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := data(bagOf(1, pkcs8), certBag(cert.Raw))
	var many []func(*cryptobyte.Builder)
	for range 60 {
		many = append(many, encrypted(100_000))
	}
	kdf := func(iterations uint64) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { pbkdf2ID(b, []byte("salt"), iterations, -1) }
	}
	file := func(mac func(*cryptobyte.Builder, []byte), safes ...func(*cryptobyte.Builder)) []byte {
		return builder{mac: mac, safes: safes}.build()
	}
	encryptedPEM := func(kdf func(*cryptobyte.Builder)) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: shrouded(kdf)})
	}
	begin := time.Now()
	for sum, i := sha256.Sum256(nil), 0; i < 500_000; i++ {
		sum = sha256.Sum256(sum[:])
	}
	most := 3 * time.Since(begin) * limits.FileIterations / 500_000 // a second, but for slow machines
	for _, tt := range []struct {
		name    string
		data    []byte
		ok      bool
		limited bool
	}{
		{"valid twin", file(pbmac1(10_000, 32), good), true, false},
		{"MAC", file(classicMAC(oid.SHA1, math.MaxInt32), good), false, true},
		{"MAC, beyond 64 bits", file(classicMAC(oid.SHA1, math.MaxUint64), good), false, false},
		{"MAC, as much as is allowed", file(classicMAC(oid.SHA1, limits.FileIterations*3/4), good), false, false},
		{"MAC, SHA-512 costs more", file(classicMAC(oid.SHA512, limits.FileIterations*3/4), good), false, true},
		{"MAC without iterations", file(classicMAC(oid.SHA1, 0), good), false, false},
		{"PBMAC1", file(pbmac1(math.MaxInt32, 32), good), false, true},
		{"PBES2 of a safe", file(pbmac1(1, 32), encrypted(math.MaxInt32)), false, true},
		{"PBES2 of a key", file(pbmac1(1, 32), data(bagOf(2, shrouded(kdf(math.MaxInt32))))), false, true},
		{"many at a time", file(pbmac1(1, 32), many...), false, false},
		{"encrypted PKCS#8", encryptedPEM(kdf(math.MaxInt32)), false, true},
		{"scrypt", encryptedPEM(scryptID(1<<14, 8, 1)), false, false},
		{"scrypt, memory", encryptedPEM(scryptID(1<<30, 8, 1)), false, true},
		{"scrypt, block size", encryptedPEM(scryptID(2, 1<<30, 1)), false, true},
		{"scrypt, time", encryptedPEM(scryptID(1<<14, 8, 1<<20)), false, true},
		{"scrypt, all at once", encryptedPEM(scryptID(math.MaxInt32, math.MaxInt32, math.MaxInt32)), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			_, err := keyfile.Read(tt.data, password)
			cost := time.Since(begin)
			var over *limits.Exceeded
			if (err == nil) != tt.ok || errors.As(err, &over) != tt.limited {
				t.Errorf("got %v", err)
			}
			if cost > most || tt.limited && cost > most/4 {
				t.Errorf("took %v", cost)
			}
		})
	}
}

// Attack row H02.
func TestPBMAC1KeyLength(t *testing.T) {
	key, cert := newPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		length int64
		ok     bool
	}{{-1, false}, {0, false}, {1, false}, {19, false}, {20, true}, {32, true}, {64, true}, {65, false}, {1 << 31, false}} {
		file := builder{mac: pbmac1(1000, tt.length), safes: []func(*cryptobyte.Builder){data(bagOf(1, pkcs8), certBag(cert.Raw))}}.build()
		if _, err := keyfile.Read(file, password); (err == nil) != tt.ok {
			t.Errorf("key length %d: %v", tt.length, err)
		}
	}
}

// Attack row H03.
func TestPKCS12WithoutMAC(t *testing.T) {
	key, cert := newPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := builder{mac: pbmac1(1000, 32), safes: []func(*cryptobyte.Builder){data(bagOf(1, pkcs8), certBag(cert.Raw))}}
	if _, err := keyfile.Read(f.build(), password); err != nil {
		t.Errorf("valid twin: %v", err)
	}
	f.mac = nil
	for _, pw := range []string{password, ""} {
		if _, err := keyfile.Read(f.build(), pw); !errors.Is(err, keyfile.ErrNoMAC) {
			t.Errorf("without a MAC, password %q: %v", pw, err)
		}
	}
	signed := bytes.Replace(f.build(), []byte(oid.Data), []byte(oid.SignedData), 1)
	var unsupported *keyfile.UnsupportedError
	if _, err := keyfile.Read(signed, password); !errors.As(err, &unsupported) {
		t.Errorf("public-key integrity: %v", err)
	}
}

// Attack row H04: NULLs, BER, nesting, and whatever else may stand in a field.
func TestPKCS12Structure(t *testing.T) {
	key, cert := newPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := [][]byte{bagOf(1, pkcs8), certBag(cert.Raw)}
	read := func(indefinite bool, safes ...func(*cryptobyte.Builder)) error {
		f, err := keyfile.Read(builder{pbmac1(1000, 32), safes, indefinite}.build(), password)
		if err == nil && (len(f.Keys) != 1 || len(f.Certificates) != 1) {
			return fmt.Errorf("%d keys, %d certificates", len(f.Keys), len(f.Certificates))
		}
		return err
	}
	seq := func(parts ...[]byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(parts...)) })
		return b.BytesOrPanic()
	}
	segmented := func(b *cryptobyte.Builder) { // the safe in segments, as NSS writes it
		contentInfo(b, oid.Data, func(b *cryptobyte.Builder) {
			s := seq(good...)
			b.AddASN1(asn1.OCTET_STRING.Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(s[:100])
				b.AddASN1OctetString(s[100:])
			})
		})
	}
	for _, tt := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"DER", read(false, data(good...)), true},
		{"BER", read(true, data(good...)), true},
		{"segments", read(true, segmented), true},
		{"a safe in a bag", read(false, data(bagOf(6, seq(good...)))), true},
		{"two safes", read(false, data(good[0]), data(good[1])), true},
		{"CRL, secret and unknown bags", read(false, data(append(slices.Clone(good), bagOf(4, []byte{5, 0}), bagOf(5, []byte{5, 0}), bagOf(9, []byte{5, 0}))...)), true},
		{"NULL in place of a key", read(false, data(bagOf(1, []byte{5, 0}), good[1])), false},
		{"NULL in place of an encrypted key", read(false, data(bagOf(2, []byte{5, 0}), good[1])), false},
		{"NULL in place of a certificate", read(false, data(good[0], bagOf(3, []byte{5, 0}))), false},
		{"NULL in place of a bag", read(false, data(good[0], []byte{5, 0})), false},
		{"NULL in place of a safe", read(false, func(b *cryptobyte.Builder) { b.AddBytes([]byte{5, 0}) }), false},
		{"safe of another type", read(false, func(b *cryptobyte.Builder) {
			contentInfo(b, oid.EnvelopedData, func(b *cryptobyte.Builder) { b.AddBytes([]byte{5, 0}) })
		}), false},
		{"too many keys", read(false, data(slices.Repeat([][]byte{good[0]}, 100)...)), false},
		{"too many bags", read(false, data(slices.Repeat([][]byte{certBag([]byte{5, 0})}, 2000)...)), false},
	} {
		if (tt.err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, tt.err)
		}
	}
	deep := bagOf(6, seq(good...))
	for range 40 {
		deep = bagOf(6, seq(deep))
	}
	var over *limits.Exceeded
	if err := read(false, data(deep)); !errors.As(err, &over) {
		t.Errorf("forty safes inside each other: %v", err)
	}
}

// Every octet altered, every length cut: an error or a whole file, and never a panic.
func TestPKCS12Mutations(t *testing.T) {
	key, cert := newPair(t)
	file, err := gopkcs12.Modern2026.WithIterations(1).Encode(key, cert, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(file)
			bad[i] ^= x
			if f, err := keyfile.ReadWithin(bad, password, 1000); err == nil && (len(f.Keys) != 1 || !key.Equal(f.Keys[0])) {
				t.Fatalf("octet %d altered: another key", i)
			}
		}
		if _, err := keyfile.ReadWithin(file[:i], password, 1000); err == nil {
			t.Fatalf("%d of %d octets read", i, len(file))
		}
	}
}

// Attack row B10: an RSA key whose values do not belong together.
func TestInconsistentRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	values := []*big.Int{new(big.Int), key.N, big.NewInt(int64(key.E)), key.D, key.Primes[0], key.Primes[1],
		key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}
	encode := func(v []*big.Int) []byte {
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, x := range v {
				b.AddASN1BigInt(x)
			}
		})
		return b.BytesOrPanic()
	}
	if k, err := keyfile.ParsePrivateKey(encode(values)); err != nil || !key.Equal(k) {
		t.Fatalf("valid twin: %v", err)
	}
	for i := 1; i < len(values); i++ {
		bad := slices.Clone(values)
		bad[i] = new(big.Int).Add(values[i], big.NewInt(2))
		if _, err := keyfile.ParsePrivateKey(encode(bad)); err == nil {
			t.Errorf("value %d altered, and the key accepted", i)
		}
	}
	huge := slices.Clone(values)
	huge[1] = new(big.Int).Lsh(key.N, limits.RSAModulusMax)
	var over *limits.Exceeded
	if _, err := keyfile.ParsePrivateKey(encode(huge)); !errors.As(err, &over) {
		t.Errorf("modulus above the limit: %v", err)
	}
}

// An elliptic curve key that states another public key.
func TestInconsistentEC(t *testing.T) {
	key, _ := newPair(t)
	other, _ := newPair(t)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"SEC 1": sec1, "PKCS#8": pkcs8} {
		if k, err := keyfile.ParsePrivateKey(der); err != nil || !key.Equal(k) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := keyfile.ParsePrivateKey(bytes.Replace(der, mine, theirs, 1)); err == nil {
			t.Errorf("%s with another public key accepted", name)
		}
	}
}

func TestPEM(t *testing.T) {
	key, cert := newPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(label string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1,
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})
	c := block("CERTIFICATE", cert.Raw)
	for _, tt := range []struct {
		name        string
		data        []byte
		keys, certs int
		err         bool
	}{
		{"key, certificate", slices.Concat(block("PRIVATE KEY", pkcs8), c), 1, 1, false},
		{"certificate, key", slices.Concat(c, block("EC PRIVATE KEY", sec1)), 1, 1, false},
		{"parameters first, as OpenSSL writes", slices.Concat(block("EC PARAMETERS", []byte{6, 1, 1}), block("EC PRIVATE KEY", sec1), c), 1, 1, false},
		{"text between", slices.Concat([]byte("Bag Attributes\n"), c, []byte("Key Attributes: <No Attributes>\n"), block("PRIVATE KEY", pkcs8)), 1, 1, false},
		{"wrong label", slices.Concat(block("RSA PRIVATE KEY", pkcs8), c), 1, 1, false},
		{"old OpenSSL encryption", slices.Concat(legacy, c), 0, 0, true},
		{"key that does not decode", []byte("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n"), 0, 0, true},
		{"key of OpenSSH", block("OPENSSH PRIVATE KEY", pkcs8), 0, 0, true},
		{"broken certificate", slices.Concat(block("PRIVATE KEY", pkcs8), block("CERTIFICATE", []byte{0x30, 0})), 1, 0, false},
		{"neither", []byte("hello"), 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := keyfile.Read(tt.data, password)
			if (err != nil) != tt.err {
				t.Fatalf("got %v", err)
			}
			if err == nil && (len(f.Keys) != tt.keys || len(f.Certificates) != tt.certs) {
				t.Errorf("%d keys, %d certificates", len(f.Keys), len(f.Certificates))
			}
		})
	}
	if _, err := keyfile.Read(nil, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("empty file: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	key, cert := newPair(f)
	for _, enc := range []*gopkcs12.Encoder{gopkcs12.Modern2026, gopkcs12.Modern2023, gopkcs12.LegacyDES} {
		file, err := enc.WithIterations(1).Encode(key, cert, nil, password)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(builder{pbmac1(1, 32), []func(*cryptobyte.Builder){data(bagOf(1, pkcs8), certBag(cert.Raw))}, true}.build())
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: shrouded(scryptID(2, 1, 1))}))
	f.Fuzz(func(t *testing.T, data []byte) {
		f, err := keyfile.ReadWithin(data, password, 1000)
		if (err == nil) != (f != nil) {
			t.Fatalf("a file and an error, or neither: %v", err)
		}
	})
}
