package sqlstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// ErrLocked is the error for private keys asked of a store that was not unlocked.
var ErrLocked = errors.New("sqlstore: private keys are locked")

// ErrWrongSecret is the error for a passphrase or key that is not the one with which the
// private keys of the store are sealed.
var ErrWrongSecret = errors.New("sqlstore: wrong passphrase or key")

// Argon2id with the second parameters that RFC 9106, Section 4 recommends: 3 passes over
// 64 MiB, 4 lanes. It takes about a tenth of a second, once for each [Store.Unlock].
const (
	argonPasses = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
)

// Unlock makes the private keys of the store available under a passphrase. The first
// passphrase or key a database sees is from then on the only one that opens it; any other
// gives [ErrWrongSecret].
func (s *Store) Unlock(ctx context.Context, passphrase string) error {
	if passphrase == "" {
		return errors.New("sqlstore: empty passphrase")
	}
	return s.unlock(ctx, stretched(passphrase))
}

// stretched is the secret that a passphrase gives with a salt.
func stretched(passphrase string) func(salt []byte) []byte {
	return func(salt []byte) []byte {
		return argon2.IDKey([]byte(passphrase), salt, argonPasses, argonMemory, argonLanes, 32)
	}
}

// UnlockKey is like [Store.Unlock] with a key of at least 32 octets, which must be as hard
// to guess as 32 random ones: from a key service, a token or a sealed file.
func (s *Store) UnlockKey(ctx context.Context, key []byte) error {
	if len(key) < 32 {
		return fmt.Errorf("sqlstore: sealing key has %d octets, want at least 32", len(key))
	}
	return s.unlock(ctx, func([]byte) []byte { return key })
}

// Reseal seals every private key anew under another passphrase, all of them or none. The
// store must be unlocked; others that have the database open must unlock it again.
func (s *Store) Reseal(ctx context.Context, passphrase string) error {
	if passphrase == "" {
		return errors.New("sqlstore: empty passphrase")
	}
	return s.reseal(ctx, stretched(passphrase))
}

// ResealKey is like [Store.Reseal] with a key as [Store.UnlockKey] takes it.
func (s *Store) ResealKey(ctx context.Context, key []byte) error {
	if len(key) < 32 {
		return fmt.Errorf("sqlstore: sealing key has %d octets, want at least 32", len(key))
	}
	return s.reseal(ctx, func([]byte) []byte { return key })
}

func (s *Store) reseal(ctx context.Context, secret func(salt []byte) []byte) error {
	old, err := s.sealer()
	if err != nil {
		return err
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	fresh, err := newSeal(secret(salt), salt)
	if err != nil {
		return fmt.Errorf("sqlstore: reseal: %w", err)
	}
	err = s.update(ctx, func(t *tx) error {
		if err := t.stillSealed(old); err != nil {
			return err
		}
		type row struct {
			cert        int64
			der, sealed []byte
		}
		var all []row
		if err := t.rows("SELECT i.certificate, c.der, i.sealed FROM identities i JOIN certificates c ON c.id = i.certificate", nil, func(rows *sql.Rows) error {
			var r row
			err := rows.Scan(&r.cert, &r.der, &r.sealed)
			all = append(all, r)
			return err
		}); err != nil {
			return err
		}
		for _, r := range all {
			key, err := old.Open(nil, nil, r.sealed, sealedFor(r.der))
			if err != nil {
				return fmt.Errorf("private key of certificate %d was altered: %w", r.cert, err)
			}
			sealed := fresh.Seal(nil, nil, key, sealedFor(r.der))
			clear(key)
			if _, err := t.exec("UPDATE identities SET sealed = ? WHERE certificate = ?", sealed, r.cert); err != nil {
				return err
			}
		}
		for name, value := range map[string][]byte{"salt": salt, "check": fresh.Seal(nil, nil, []byte(checkText), nil)} {
			if _, err := t.exec("UPDATE settings SET value = ? WHERE name = ?", value, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: reseal: %w", err)
	}
	s.mu.Lock()
	s.seal = fresh
	s.mu.Unlock()
	return nil
}

// stillSealed makes sure that private keys are sealed with aead, and remain so until the
// transaction ends.
func (t *tx) stillSealed(aead cipher.AEAD) error {
	if err := t.lock(sha256.Sum256([]byte("seal"))); err != nil {
		return err
	}
	var proof []byte
	if _, err := t.row("SELECT value FROM settings WHERE name = 'check'", nil, &proof); err != nil {
		return err
	}
	if _, err := aead.Open(nil, nil, proof, nil); err != nil {
		return ErrWrongSecret
	}
	return nil
}

// checkText is sealed into the database so that a wrong secret is noticed before any
// private key is sealed under it.
const checkText = "postseal private keys"

func (s *Store) unlock(ctx context.Context, secret func(salt []byte) []byte) error {
	fresh := make([]byte, 16)
	rand.Read(fresh)
	var salt, proof []byte
	if err := s.update(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO settings (name, value) VALUES ('salt', ?) ON CONFLICT DO NOTHING", fresh); err != nil {
			return err
		}
		_, err := t.row("SELECT value FROM settings WHERE name = 'salt'", nil, &salt)
		return err
	}); err != nil {
		return fmt.Errorf("sqlstore: unlock: %w", err)
	}
	aead, err := newSeal(secret(salt), salt)
	if err != nil {
		return fmt.Errorf("sqlstore: unlock: %w", err)
	}
	if err := s.update(ctx, func(t *tx) error {
		if _, err := t.exec("INSERT INTO settings (name, value) VALUES ('check', ?) ON CONFLICT DO NOTHING", aead.Seal(nil, nil, []byte(checkText), nil)); err != nil {
			return err
		}
		_, err := t.row("SELECT value FROM settings WHERE name = 'check'", nil, &proof)
		return err
	}); err != nil {
		return fmt.Errorf("sqlstore: unlock: %w", err)
	}
	if _, err := aead.Open(nil, nil, proof, nil); err != nil {
		return ErrWrongSecret
	}
	s.mu.Lock()
	s.seal = aead
	s.mu.Unlock()
	return nil
}

// Lock forgets the secret.
func (s *Store) Lock() {
	s.mu.Lock()
	s.seal = nil
	s.mu.Unlock()
}

func newSeal(secret, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, "postseal sqlstore private keys, AES-256-GCM", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s *Store) sealer() (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seal == nil {
		return nil, ErrLocked
	}
	return s.seal, nil
}
