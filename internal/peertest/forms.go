package peertest

import (
	"slices"
	"strings"
)

// Forms lists every form of the matrix in the order of its tables.
func Forms() []Form {
	return slices.Concat(signedForms(), encryptedForms(), agreedForms(), otherForms())
}

func signedForms() []Form {
	rsa, ec := []string{"alice"}, []string{"alice-ec"}
	forms := []Form{
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-256", Who: rsa, Digest: "sha256"},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-384", Who: rsa, Digest: "sha384"},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-512", Who: rsa, Digest: "sha512"},
		{Name: "opaque, RSA-PSS, SHA-256", Who: rsa, Digest: "sha256", PSS: true},
		{Name: "opaque, RSA-PSS, SHA-512", Who: rsa, Digest: "sha512", PSS: true},
		{Name: "opaque, RSA-PSS, SHA-256, longest salt", Who: rsa, Digest: "sha256", PSS: true, LongSalt: true, ReadOnly: true},
		{Name: "opaque, key for RSA-PSS alone, SHA-256", Who: []string{"alice-pss"}, Digest: "sha256", PSS: true},
		{Name: "opaque, ECDSA P-256, SHA-256", Who: ec, Digest: "sha256"},
		{Name: "opaque, ECDSA P-384, SHA-384", Who: []string{"alice-p384"}, Digest: "sha384"},
		{Name: "opaque, ECDSA P-521, SHA-512", Who: []string{"alice-p521"}, Digest: "sha512"},
		{Name: "opaque, ECDSA P-256, SHAKE128", Who: ec, Digest: "shake128"},
		{Name: "opaque, ECDSA P-521, SHAKE256", Who: []string{"alice-p521"}, Digest: "shake256"},
		{Name: "opaque, Ed25519", Who: []string{"alice-ed"}, Digest: "sha512"},
		{Name: "opaque, ML-DSA-44", Who: []string{"alice-mldsa44"}, Digest: "sha512"},
		{Name: "opaque, ML-DSA-65", Who: []string{"alice-mldsa65"}, Digest: "sha512"},
		{Name: "opaque, ML-DSA-87", Who: []string{"alice-mldsa87"}, Digest: "sha512"},
		{Name: "opaque, signer by key identifier", Who: rsa, Digest: "sha256", KeyID: true},
		{Name: "opaque, two RSA signers", Who: []string{"alice", "bob"}, Digest: "sha256"},
		{Name: "opaque, RSA and ECDSA signers", Who: []string{"alice", "alice-ec"}, Digest: "sha256"},
		{Name: "opaque, streamed BER", Who: rsa, Digest: "sha256", Streamed: true},
		{Name: "detached, RSA PKCS #1 v1.5, SHA-256", Who: rsa, Digest: "sha256", Detached: true},
		{Name: "detached, RSA-PSS, SHA-256", Who: rsa, Digest: "sha256", Detached: true, PSS: true},
		{Name: "detached, ECDSA P-256, SHA-256", Who: ec, Digest: "sha256", Detached: true},
		{Name: "detached, Ed25519", Who: []string{"alice-ed"}, Digest: "sha512", Detached: true},
		{Name: "detached, ML-DSA-65", Who: []string{"alice-mldsa65"}, Digest: "sha512", Detached: true},
		{Name: "detached, two RSA signers", Who: []string{"alice", "bob"}, Digest: "sha256", Detached: true},
		{Name: "opaque, no signed attributes", Who: rsa, Digest: "sha256", Bare: true, ReadOnly: true},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-1", Who: rsa, Digest: "sha1", ReadOnly: true},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-224", Who: rsa, Digest: "sha224", ReadOnly: true},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA3-256", Who: rsa, Digest: "sha3-256", ReadOnly: true},
		{Name: "opaque, RSA-PSS, SHAKE128", Who: rsa, Digest: "shake128", PSS: true},
		{Name: "opaque, RSA-PSS, SHAKE256", Who: rsa, Digest: "shake256", PSS: true},
		{Name: "opaque, ECDSA brainpoolP256r1, SHA-256", Who: []string{"alice-bp"}, Digest: "sha256", ReadOnly: true},
		{Name: "opaque, DSA, SHA-256", Who: []string{"alice-dsa"}, Digest: "sha256", ReadOnly: true},
		{Name: "opaque, Ed448", Who: []string{"alice-ed448"}, Digest: "shake256", ReadOnly: true},
	}
	for i := range forms {
		forms[i].Kind = Signed
	}
	return forms
}

func encryptedForms() []Form {
	bob := []string{"bob"}
	var forms []Form
	for _, mode := range []string{"cbc", "gcm", "ccm"} {
		for _, size := range []string{"128", "192", "256"} {
			forms = append(forms, Form{Name: "AES-" + size + "-" + strings.ToUpper(mode) + ", RSA PKCS #1 v1.5",
				Who: bob, Cipher: "aes" + size + "-" + mode})
		}
	}
	forms = append(forms,
		Form{Name: "ChaCha20-Poly1305, RSA PKCS #1 v1.5", Who: bob, Cipher: "chacha20-poly1305"},
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-1", Who: bob, Cipher: "aes256-cbc", OAEP: "sha1", ReadOnly: true},
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-256", Who: bob, Cipher: "aes256-cbc", OAEP: "sha256"},
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-256, mask SHA-1", Who: bob, Cipher: "aes256-cbc", OAEP: "sha256", Mask: "sha1", ReadOnly: true},
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-512, label", Who: bob, Cipher: "aes256-cbc", OAEP: "sha512", Label: true, ReadOnly: true},
		Form{Name: "AES-256-GCM, RSA-OAEP SHA-256", Who: bob, Cipher: "aes256-gcm", OAEP: "sha256"},
		Form{Name: "AES-256-GCM, an authenticated attribute", Who: bob, Cipher: "aes256-gcm", Marked: true},
		Form{Name: "AES-256-CBC, bound content key (RFC 9709)", Who: bob, Cipher: "aes256-cbc", Derived: true},
		Form{Name: "AES-256-GCM, bound content key (RFC 9709)", Who: bob, Cipher: "aes256-gcm", Derived: true},
		Form{Name: "AES-256-CBC, recipient by key identifier", Who: bob, Cipher: "aes256-cbc", KeyID: true},
		Form{Name: "AES-128-CBC, two recipients", Who: []string{"alice", "bob"}, Cipher: "aes128-cbc"},
		Form{Name: "AES-256-CBC, streamed BER", Who: bob, Cipher: "aes256-cbc", Streamed: true},
		Form{Name: "AES-256-GCM, streamed BER", Who: bob, Cipher: "aes256-gcm", Streamed: true},
		Form{Name: "Triple-DES, RSA PKCS #1 v1.5", Who: bob, Cipher: "3des-cbc", ReadOnly: true},
		Form{Name: "RC2-128, RSA PKCS #1 v1.5", Who: bob, Cipher: "rc2-cbc", ReadOnly: true},
		Form{Name: "DES, RSA PKCS #1 v1.5", Who: bob, Cipher: "des-cbc", ReadOnly: true},
		Form{Name: "AES-256-CBC, key-encryption key", Secret: true, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-GCM, key-encryption key", Secret: true, Cipher: "aes256-gcm"},
		Form{Name: "AES-256-CBC, password", Passphrase: true, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-GCM, password", Passphrase: true, Cipher: "aes256-gcm"},
	)
	return kind(Encrypted, forms)
}

// agreedForms are those for keys that agree on a secret or encapsulate one.
func agreedForms() []Form {
	ec := []string{"bob-ec"}
	forms := []Form{
		{Name: "AES-128-CBC, ECDH P-256", Who: ec, Cipher: "aes128-cbc"},
		{Name: "AES-256-CBC, ECDH P-256", Who: ec, Cipher: "aes256-cbc"},
		{Name: "AES-256-GCM, ECDH P-256", Who: ec, Cipher: "aes256-gcm"},
		{Name: "AES-256-CBC, ECDH P-256, recipient by key identifier", Who: ec, Cipher: "aes256-cbc", KeyID: true},
		{Name: "AES-256-CBC, ECDH P-384", Who: []string{"bob-p384"}, Cipher: "aes256-cbc"},
		{Name: "AES-256-CBC, ECDH P-521", Who: []string{"bob-p521"}, Cipher: "aes256-cbc"},
		{Name: "AES-256-CBC, RSA and ECDH recipients", Who: []string{"bob-ec", "bob"}, Cipher: "aes256-cbc"},
	}
	for _, kdf := range []string{"sha1", "sha224", "sha384", "sha512", "cofactor-sha1", "cofactor-sha224", "cofactor-sha256", "cofactor-sha384", "cofactor-sha512"} {
		name := "standard"
		digest, cofactor := strings.CutPrefix(kdf, "cofactor-")
		if cofactor {
			name = "cofactor"
		}
		forms = append(forms, Form{Name: "AES-256-CBC, ECDH P-256, " + name + ", " + strings.ToUpper(strings.Replace(digest, "sha", "sha-", 1)),
			Who: ec, Cipher: "aes256-cbc", KDF: kdf, ReadOnly: true})
	}
	forms = append(forms,
		Form{Name: "AES-256-CBC, X25519", Who: []string{"bob-x25519"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-GCM, X25519", Who: []string{"bob-x25519"}, Cipher: "aes256-gcm"},
		Form{Name: "AES-256-CBC, X448", Who: []string{"bob-x448"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-CBC, ML-KEM-512", Who: []string{"bob-mlkem512"}, Cipher: "aes256-cbc", ReadOnly: true},
		Form{Name: "AES-256-CBC, ML-KEM-768", Who: []string{"bob-mlkem768"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-CBC, ML-KEM-1024", Who: []string{"bob-mlkem1024"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-GCM, ML-KEM-768", Who: []string{"bob-mlkem768"}, Cipher: "aes256-gcm"},
		Form{Name: "AES-256-CBC, RSA, ECDH and ML-KEM-768 recipients", Who: []string{"bob-mlkem768", "bob-ec", "bob"}, Cipher: "aes256-cbc"},
	)
	return kind(Encrypted, forms)
}

func otherForms() []Form {
	bob := []string{"bob"}
	return []Form{
		{Name: "compressed", Kind: Compressed},
		{Name: "certificates only", Kind: CertsOnly, Who: []string{"alice", "bob", "alice-ec"}},
		{Name: "AuthenticatedData, RSA, HMAC-SHA-256", Kind: Authenticated, Who: bob, Digest: "sha256", ReadOnly: true},
		{Name: "AuthenticatedData, RSA, HMAC-SHA-256, authenticated attributes", Kind: Authenticated, Who: bob, Digest: "sha256", Marked: true, ReadOnly: true},
		{Name: "AuthenticatedData, ECDH P-256, HMAC-SHA-256", Kind: Authenticated, Who: []string{"bob-ec"}, Digest: "sha256", ReadOnly: true},
		{Name: "EncryptedData, AES-256-CBC", Kind: UnderKey, Secret: true, Cipher: "aes256-cbc", ReadOnly: true},
		{Name: "DigestedData, SHA-256", Kind: Digested, Digest: "sha256", ReadOnly: true},
	}
}

func kind(k Kind, forms []Form) []Form {
	for i := range forms {
		forms[i].Kind = k
	}
	return forms
}
