package main

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// A Token is a PKCS #11 token somebody is logged in to.
type Token struct {
	*crypto11.Context // signs, and decrypts with RSA
	agree             *agreement
}

// OpenToken loads a PKCS #11 library and logs in to the token with a label.
func OpenToken(module, label, pin string) (*Token, error) {
	context, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: label, Pin: pin})
	if err != nil {
		return nil, err
	}
	agree, err := openAgreement(module, label)
	if err != nil {
		return nil, errors.Join(err, context.Close())
	}
	return &Token{context, agree}, nil
}

// Close ends the session.
func (t *Token) Close() error { return errors.Join(t.agree.close(), t.Context.Close()) }

// Generate makes an RSA-2048 key, or one on P-256, that never leaves the token.
func (t *Token) Generate(kind string) (crypto.Signer, error) {
	id := make([]byte, 16)
	rand.Read(id)
	if kind == "RSA" {
		return t.GenerateRSAKeyPair(id, 2048)
	}
	public, err := crypto11.NewAttributeSetWithID(id)
	if err != nil {
		return nil, err
	}
	private := public.Copy()
	if err := private.Set(crypto11.CkaDerive, true); err != nil {
		return nil, err
	}
	if _, err := t.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256()); err != nil {
		return nil, err
	}
	return t.Find(id)
}

// Find returns the key with an identifier (CKA_ID). One on a curve is an ecdh.KeyExchanger
// besides a crypto.Signer, an RSA key a crypto.Decrypter.
func (t *Token) Find(id []byte) (crypto.Signer, error) {
	key, err := t.FindKeyPair(id, nil)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fmt.Errorf("no key %x in the token", id)
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return key, nil
	}
	dh, err := public.ECDH()
	if err != nil {
		return nil, err
	}
	handle, err := t.agree.find(id)
	if err != nil {
		return nil, err
	}
	return &curveKey{key, t.agree, dh, handle}, nil
}

// A curveKey signs by way of crypto11, which does not agree on secrets, and agrees on
// secrets itself.
type curveKey struct {
	crypto.Signer
	agree  *agreement
	public *ecdh.PublicKey
	handle pkcs11.ObjectHandle
}

// PublicKey implements ecdh.KeyExchanger.
func (k *curveKey) PublicKey() *ecdh.PublicKey { return k.public }

// Curve implements ecdh.KeyExchanger.
func (k *curveKey) Curve() ecdh.Curve { return k.public.Curve() }

// ECDH implements ecdh.KeyExchanger.
func (k *curveKey) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if peer.Curve() != k.Curve() {
		return nil, errors.New("a key on another curve")
	}
	return k.agree.derive(k.handle, peer)
}

// An agreement is a session for key agreement. The login of the process counts for it.
type agreement struct {
	mu      sync.Mutex // a session does one thing at a time
	ctx     *pkcs11.Ctx
	session pkcs11.SessionHandle
}

func openAgreement(module, label string) (*agreement, error) {
	ctx := pkcs11.New(module)
	if ctx == nil {
		return nil, fmt.Errorf("cannot load %s", module)
	}
	if err := ctx.Initialize(); err != nil && err != pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil, err
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		info, err := ctx.GetTokenInfo(slot)
		if err != nil || info.Label != label {
			continue
		}
		session, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		return &agreement{ctx: ctx, session: session}, err
	}
	return nil, fmt.Errorf("no token is called %q", label)
}

func (a *agreement) close() error { return a.ctx.CloseSession(a.session) }

func (a *agreement) find(id []byte) (pkcs11.ObjectHandle, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.ctx.FindObjectsInit(a.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, id)})
	if err != nil {
		return 0, err
	}
	found, _, err := a.ctx.FindObjects(a.session, 1)
	if err := errors.Join(err, a.ctx.FindObjectsFinal(a.session)); err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("no private key %x in the token", id)
	}
	return found[0], nil
}

// derive computes the shared secret in the token. Only that leaves it: the key derivation
// of RFC 5753 is not among what tokens do.
func (a *agreement) derive(key pkcs11.ObjectHandle, peer *ecdh.PublicKey) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	point := peer.Bytes()
	how := pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point))
	secret, err := a.ctx.DeriveKey(a.session, []*pkcs11.Mechanism{how}, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, len(point)/2)})
	if err != nil {
		return nil, err
	}
	value, err := a.ctx.GetAttributeValue(a.session, secret, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if err := errors.Join(err, a.ctx.DestroyObject(a.session, secret)); err != nil {
		return nil, err
	}
	return value[0].Value, nil
}
