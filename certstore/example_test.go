package certstore_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"log"
	"os"
	"time"

	"github.com/postseal/postseal/certstore"
)

// certificate reads one PEM file.
func certificate(name string) *x509.Certificate {
	data, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// Alice's identity comes out of the file her certification authority sent.
func ExampleReadIdentities() {
	data, err := os.ReadFile("testdata/alice.p12")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := certstore.ReadIdentities(data, "guess")
	fmt.Println("wrong password:", errors.Is(err, x509.IncorrectPasswordError))
	ids, err = certstore.ReadIdentities(data, "secret")
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range ids {
		fmt.Println(id.Certificate().Subject)
		for _, c := range id.Intermediates() {
			fmt.Println("issued by", c.Subject)
		}
	}
	// Output:
	// wrong password: true
	// CN=Alice
	// issued by CN=Example Issuing CA
	// issued by CN=Example Root CA
}

// A key in a token is a crypto.Signer or one of its kin: nothing else is needed.
func ExampleNewIdentity() {
	data, err := os.ReadFile("testdata/bob-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := certstore.ReadIdentities(data, "")
	if err != nil {
		log.Fatal(err)
	}
	token := ids[0].Key()
	bob, err := certstore.NewIdentity(certificate("testdata/people/bob.pem"), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bob.Certificate().EmailAddresses)
	_, err = certstore.NewIdentity(certificate("testdata/people/alice.pem"), token)
	fmt.Println(err)
	// Output:
	// [bob@example.org]
	// certstore: private key does not belong to the certificate of CN=Alice
}

func ExampleIdentity() {
	data, err := os.ReadFile("testdata/bob-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := certstore.ReadIdentities(data, "")
	if err != nil {
		log.Fatal(err)
	}
	bob := ids[0]
	fmt.Println(bob.Certificate().Subject, "with", len(bob.Intermediates()), "intermediates")
	// Output: CN=Bob with 0 intermediates
}

func ExampleMemory() {
	var people certstore.Memory
	people.Add(certificate("testdata/people/alice.pem"), certificate("testdata/people/bob.pem"))
	for e, err := range people.Certificates(context.Background(), certstore.Email("BOB@example.org")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Subject(), e.Mailboxes())
	}
	// Output: CN=Bob [bob@example.org]
}

// A folder is a store of everybody's certificates and a key ring.
func ExampleDir() {
	folder, err := certstore.OpenDir("testdata/people")
	if err != nil {
		log.Fatal(err)
	}
	defer folder.Close()
	for e, err := range folder.All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Source, e.Mailboxes())
	}
	fmt.Println("cannot be read:", folder.Errors())
	// Output:
	// alice.pem [alice@example.org]
	// bob.pem [bob@example.org]
	// cannot be read: []
}

func ExampleOpenDir() {
	keys, err := certstore.OpenDir("testdata")
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	keys.Password = func(name string) (string, error) {
		if name == "alice.p12" {
			return "secret", nil
		}
		return "", nil
	}
	for id, err := range keys.Identities(context.Background(), certstore.Email("alice@example.org")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(id.Certificate().Subject)
	}
	// Output: CN=Alice
}

// Own certificates come before those of the folder that everybody shares.
func ExampleMulti() {
	var own certstore.Memory
	own.Add(certificate("testdata/people/alice.pem"))
	shared, err := certstore.OpenDir("testdata/people")
	if err != nil {
		log.Fatal(err)
	}
	defer shared.Close()
	all := certstore.Multi(&own, shared)
	for e, err := range all.Certificates(context.Background(), certstore.AnyOf{certstore.Email("alice@example.org"), certstore.Email("bob@example.org")}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Subject(), "from", e.Source)
	}
	// Output:
	// CN=Alice from memory
	// CN=Bob from bob.pem
}

// Two directories answer at the same time; one of them is down.
func ExampleParallel() {
	var first certstore.Memory
	first.Add(certificate("testdata/people/bob.pem"))
	both := certstore.Parallel(brokenStore{}, &first)
	for e, err := range both.Certificates(context.Background(), certstore.Email("bob@example.org")) {
		if err != nil {
			fmt.Println("not all could be asked:", err)
			break
		}
		fmt.Println(e.Subject())
	}
	// Output:
	// CN=Bob
	// not all could be asked: no connection
}

type brokenStore struct{}

func (brokenStore) Certificates(context.Context, certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) { yield(nil, errors.New("no connection")) }
}

func ExampleCached() {
	directory := &countingStore{}
	directory.Add(certificate("testdata/people/bob.pem"))
	store := &certstore.Cached{Store: directory, Fresh: time.Hour, Stale: 24 * time.Hour}
	for range 3 {
		for e, err := range store.Certificates(context.Background(), certstore.Email("bob@example.org")) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(e.Subject())
		}
	}
	fmt.Println("asked", directory.asked, "time")
	// Output:
	// CN=Bob
	// CN=Bob
	// CN=Bob
	// asked 1 time
}

type countingStore struct {
	certstore.Memory
	asked int
}

func (s *countingStore) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	s.asked++
	return s.Memory.Certificates(ctx, q)
}

// A store of one's own needs one method. Without an index it scans, and calls Match.
func ExampleStore() {
	store := sliceStore{certificate("testdata/people/alice.pem"), certificate("testdata/people/bob.pem")}
	thumbprint := sha256.Sum256(store[0].Raw)
	for e, err := range store.Certificates(context.Background(), certstore.Thumbprint(thumbprint)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Subject())
	}
	// Output: CN=Alice
}

type sliceStore []*x509.Certificate

func (s sliceStore) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		for _, c := range s {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if q.Match(c) && !yield(&certstore.Entry{Certificate: c, Source: "a slice"}, nil) {
				return
			}
		}
	}
}

// The key ring of a mail program finds the key that a message was encrypted to.
func ExampleKeyStore() {
	data, err := os.ReadFile("testdata/bob-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := certstore.ReadIdentities(data, "")
	if err != nil {
		log.Fatal(err)
	}
	var ring certstore.Memory
	ring.AddIdentity(ids...)
	var keys certstore.KeyStore = &ring
	bob := certificate("testdata/people/bob.pem")
	for id, err := range keys.Identities(context.Background(), certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: bob.SerialNumber}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("found the key of", id.Certificate().Subject)
	}
	// Output: found the key of CN=Bob
}

// The sales department reads mail with Bob's key: his certificate is filed under its
// address, and the caller decides what that is worth.
func ExampleWriter() {
	var store certstore.Memory
	var w certstore.Writer = &store
	sales := &certstore.Entry{Certificate: certificate("testdata/people/bob.pem"), Address: "sales@example.org", Source: "telephone"}
	if err := w.Put(context.Background(), sales); err != nil {
		log.Fatal(err)
	}
	asked := certstore.Email("sales@example.org")
	for e, err := range store.Certificates(context.Background(), asked) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Subject(), "filed under", e.Address, "names it:", asked.Match(e.Certificate))
	}
	// Output: CN=Bob filed under sales@example.org names it: false
}

func ExampleEntry() {
	e := certstore.Entry{Certificate: certificate("testdata/people/alice.pem")}
	fmt.Println(e.Subject())
	fmt.Println(e.Issuer())
	fmt.Println(e.Mailboxes())
	// Output:
	// CN=Alice
	// CN=Example Issuing CA
	// [alice@example.org]
}

// Matches without a store.
func ExampleQuery() {
	alice := certificate("testdata/people/alice.pem")
	for _, q := range []certstore.Query{
		certstore.Email("alice@EXAMPLE.ORG"),
		certstore.RawSubject(alice.RawSubject),
		certstore.IssuerSerial{RawIssuer: alice.RawIssuer, Serial: alice.SerialNumber},
		certstore.SubjectKeyID{1, 2, 3},
		certstore.AnyOf{certstore.Email("bob@example.org"), certstore.Email("alice@example.org")},
	} {
		fmt.Printf("%T %v\n", q, q.Match(alice))
	}
	// Output:
	// certstore.Email true
	// certstore.RawSubject true
	// certstore.IssuerSerial true
	// certstore.SubjectKeyID false
	// certstore.AnyOf true
}

func ExampleEmail() {
	alice := certificate("testdata/people/alice.pem")
	for _, address := range []string{"alice@example.org", "Alice@Example.Org", "alice@example.com"} {
		fmt.Println(address, certstore.Email(address).Match(alice))
	}
	// Output:
	// alice@example.org true
	// Alice@Example.Org true
	// alice@example.com false
}
