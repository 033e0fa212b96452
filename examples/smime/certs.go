package main

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
)

// A certificateFile is one file or folder named on the command line.
type certificateFile struct {
	name     string
	certs    []*x509.Certificate
	names    map[*x509.Certificate]string // friendly names
	warnings []string
}

// certsReport is the JSON of certs.
type certsReport struct {
	Certificates []*certReport `json:"certificates"`
	Warnings     []string      `json:"warnings"` // about the files; those of a certificate are with it
}

// certsCommand lists certificates, or converts them into one file.
func certsCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var convert, clock, password string
	var asJSON bool
	f := newFlags("certs")
	f.StringVar(&convert, "convert", "", "write all certificates to OUT.pem, OUT.der, OUT.p7b or OUT.sst")
	f.StringVar(&password, "password", "", "password of PKCS#12 files (or SMIME_PASSWORD)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	registerClock(f, &clock)
	done, err := parse(f, args, "certs [options] FILE...", stdout)
	if done {
		return exitGood
	}
	if err == nil && f.NArg() == 0 {
		err = wrongUsage("no certificate file named")
	}
	var now func() time.Time
	if err == nil {
		now, err = parseClock(clock)
	}
	if err != nil {
		return failed(asJSON, stdout, stderr, "certs", err)
	}
	if now == nil {
		now = time.Now
	}
	if password == "" {
		password = os.Getenv("SMIME_PASSWORD")
	}
	report := &certsReport{Certificates: []*certReport{}, Warnings: []string{}}
	var all chain.Collection
	for _, name := range f.Args() {
		files, err := readCertificateFiles(name, password, stdin)
		if err != nil {
			return failed(asJSON, stdout, stderr, "certs", err)
		}
		for _, file := range files {
			report.Warnings = append(report.Warnings, file.warnings...)
			all.AddIntermediate(file.certs...)
			for _, c := range file.certs {
				report.Certificates = append(report.Certificates, describeCertificate(c, file.name, file.names[c], now()))
			}
		}
	}
	if convert != "" {
		if err := writeCollection(convert, &all); err != nil {
			return failed(asJSON, stdout, stderr, "certs", err)
		}
	}
	if asJSON {
		if err := json.NewEncoder(stdout).Encode(report); err != nil {
			return fail(stderr, "certs", unreadable(err))
		}
		return exitGood
	}
	if convert == "" {
		report.print(stdout)
	} else {
		fmt.Fprintf(stdout, "%d certificates written to %s\n", all.Len(), printable(convert))
	}
	for _, w := range report.Warnings {
		fmt.Fprintf(stdout, "warning: %s\n", printable(w))
	}
	return exitGood
}

// readCertificateFiles reads a file, standard input or every file of a folder.
func readCertificateFiles(name, password string, stdin io.Reader) ([]*certificateFile, error) {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, 32<<20))
		if err != nil {
			return nil, unreadable(err)
		}
		file, err := readCertificateFile("-", data, password)
		if err != nil {
			return nil, err
		}
		return []*certificateFile{file}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.IsDir() {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, unreadable(err)
		}
		file, err := readCertificateFile(name, data, password)
		if err != nil {
			return nil, err
		}
		return []*certificateFile{file}, nil
	}
	dir, err := certstore.OpenDir(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer dir.Close()
	dir.Interval = time.Hour // read it once
	if password != "" {
		dir.Password = func(string) (string, error) { return password, nil }
	}
	whole := &certificateFile{}
	files := []*certificateFile{whole}
	for e, err := range dir.All(context.Background()) {
		if err != nil {
			return nil, unreadable(err)
		}
		files = append(files, &certificateFile{name: filepath.Join(name, e.Source), certs: []*x509.Certificate{e.Certificate}})
	}
	for _, err := range dir.Errors() {
		whole.warnings = append(whole.warnings, err.Error())
	}
	if len(files) == 1 {
		return nil, unreadable(fmt.Errorf("%s holds no certificates", name))
	}
	return files, nil
}

// readCertificateFile reads one file: a collection of any format, or a PKCS#12 file.
func readCertificateFile(name string, data []byte, password string) (*certificateFile, error) {
	f := &certificateFile{name: name, names: map[*x509.Certificate]string{}}
	c, err := chain.ReadCollection(strings.NewReader(string(data)))
	if err == nil {
		f.certs = c.Certificates()
		for _, cert := range f.certs {
			f.names[cert] = c.FriendlyName(cert)
		}
		for _, w := range c.Warnings() {
			f.warnings = append(f.warnings, name+": "+w.Error())
		}
		return f, nil
	}
	ids, keyErr := certstore.ReadIdentities(data, password)
	if errors.Is(keyErr, x509.IncorrectPasswordError) {
		return nil, notGood(fmt.Errorf("%s: %w", name, keyErr))
	}
	if keyErr != nil {
		return nil, unreadable(fmt.Errorf("%s: %w", name, err))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		for _, cert := range append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...) {
			if !seen[string(cert.Raw)] {
				seen[string(cert.Raw)] = true
				f.certs = append(f.certs, cert)
			}
		}
	}
	return f, nil
}

// writeCollection writes c in the format that the end of the name asks for.
func writeCollection(name string, c *chain.Collection) error {
	write := map[string]func(io.Writer) error{
		".pem": c.WritePEM, ".crt": c.WritePEM, ".p7b": c.WriteP7B, ".p7c": c.WriteP7B, ".sst": c.WriteSST,
		".der": func(w io.Writer) error {
			if c.Len() != 1 {
				return notGood(fmt.Errorf("DER holds one certificate, not %d", c.Len()))
			}
			_, err := w.Write(c.Certificates()[0].Raw)
			return err
		},
	}[strings.ToLower(filepath.Ext(name))]
	if write == nil {
		return wrongUsage("--convert %s: the name ends neither in .pem nor .der nor .p7b nor .sst", name)
	}
	out, err := newOutput(name, nil)
	if err != nil {
		return err
	}
	defer out.discard()
	if err := write(out); err != nil {
		return err
	}
	return out.commit()
}

func hexSum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
func hexSum1(b []byte) string   { s := sha1.Sum(b); return hex.EncodeToString(s[:]) }
