package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// openOptions are the options of open.
type openOptions struct {
	identities identityOptions
	chain      chainOptions
	stores     []string
	allow      []string
	inspect    bool
	stream     bool
	batch      bool
	json       bool
	cms        bool
	content    string
	secret     string
	tryKeys    bool
	passphrase string
	policy     policyFile
	out        string
	color      string

	unusable []error // identities that others can stand in for
}

func (o *openOptions) register(f *pflag.FlagSet) {
	o.identities.register(f)
	o.chain.register(f)
	f.StringArrayVar(&o.stores, "store", nil, "where to look for signers' certificates; repeatable")
	f.StringSliceVar(&o.allow, "allow", nil, "unsigned, sha1, md5, legacy-ciphers, short-tags, mismatched-sender")
	f.BoolVar(&o.inspect, "inspect", false, "report only; status 0 for anything readable")
	f.BoolVar(&o.stream, "stream", false, "constant memory; needs --out")
	f.BoolVar(&o.batch, "batch", false, "one message's name a line on standard input, one JSON object a line out")
	f.BoolVar(&o.json, "json", false, "one JSON object on standard output")
	f.BoolVar(&o.cms, "cms", false, "the input is a bare CMS structure: DER, BER or PEM")
	f.StringVar(&o.content, "content", "", "content of a detached structure, with --cms")
	o.policy.register(f)
	f.StringVar(&o.secret, "secret", "", "key-encryption key in hexadecimal")
	f.BoolVar(&o.tryKeys, "try-keys", false, "try every identity on a message that names none of them")
	f.StringVar(&o.passphrase, "passphrase", "", "password of a password recipient")
	f.StringVar(&o.color, "color", "auto", "auto, always or never: the report for people in colour")
	f.StringVar(&o.out, "out", "", "write the content to this file instead of to standard output")
}

func openCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o openOptions
	f := newFlags("open")
	o.register(f)
	done, err := parse(f, args, "open [options] MSG", stdout)
	switch {
	case done:
		return exitGood
	case err != nil:
	case o.batch && f.NArg() > 0:
		err = wrongUsage("--batch reads the messages' names from standard input")
	case !o.batch && f.NArg() != 1:
		err = wrongUsage("one message is needed; - is standard input")
	case o.stream && (o.out == "" || o.out == "-"):
		err = wrongUsage("--stream needs --out with the name of a file")
	case o.json && o.out == "-":
		err = wrongUsage("--json and --out - both want standard output")
	case o.batch && o.out != "":
		err = wrongUsage("--batch writes no content")
	case o.content != "" && !o.cms:
		err = wrongUsage("--content goes with --cms")
	}
	if err == nil {
		_, err = paletteFor(o.color, stdout)
	}
	var opener *smime.Opener
	if err == nil {
		opener, err = o.opener()
	}
	if err != nil {
		if o.json && !o.batch && exitOf(err) != exitUsage {
			writeJSON(stdout, o.failed(err))
		}
		return fail(stderr, "open", err)
	}
	var exit int
	if o.batch {
		exit = o.openBatch(opener, stdin, stdout, stderr)
	} else {
		exit = o.openOne(opener, f.Arg(0), stdin, stdout, stderr)
	}
	if exit == exitGood {
		o.policy.print(stderr, "open")
		for _, err := range o.unusable {
			fail(stderr, "open", err)
		}
	}
	return exit
}

// opener turns the options into an Opener.
func (o *openOptions) opener() (*smime.Opener, error) {
	if err := o.policy.load(); err != nil {
		return nil, err
	}
	o.chain.policy = o.policy.policy
	allowed := smime.Policy{Accept: o.allow}
	if allowed.Validate() != nil {
		return nil, wrongUsage("--allow %s: each is one of unsigned, sha1, md5, legacy-ciphers, short-tags, mismatched-sender", strings.Join(o.allow, ","))
	}
	op := allowed.Opener(new(smime.Opener))
	// Whoever names it for one message has that message in mind; a policy is for all.
	op.AllowMalleable = op.AllowUnsigned
	var err error
	if op.Secret, err = hex.DecodeString(o.secret); err != nil {
		return nil, wrongUsage("--secret is not hexadecimal")
	}
	if o.secret == "" {
		op.Secret = nil
	}
	if o.passphrase != "" {
		op.Passphrase = []byte(o.passphrase)
	}
	stores, err := openPlaces(o.stores)
	if err != nil {
		return nil, err
	}
	if op.Certs, err = o.signers(stores); err != nil {
		return nil, err
	}
	if op.Chain, err = o.chain.verifier(stores); err != nil {
		return nil, err
	}
	ids, unusable, err := o.identities.readable()
	if err == nil && len(ids) == 0 && len(unusable) > 0 {
		err = unusable[0]
	}
	if err != nil {
		return nil, err
	}
	o.unusable = unusable
	keys := new(certstore.Memory)
	keys.AddIdentity(ids...)
	op.Keys = keys
	if o.tryKeys {
		op.TryKeys = ids
	}
	if o.policy.policy != nil {
		op = o.policy.policy.Opener(op)
	}
	return op, nil
}

// signers is where certificates of signers are looked for that a message does not carry:
// the stores, and what --intermediates names.
func (o *openOptions) signers(stores places) (certstore.Store, error) {
	given := new(certstore.Memory)
	if err := eachCertificate(o.chain.intermediates, given.Add); err != nil {
		return nil, err
	}
	if len(o.chain.intermediates) == 0 {
		return stores.store(), nil
	}
	if s := stores.store(); s != nil {
		return certstore.Multi(given, s), nil
	}
	return given, nil
}

// openOne opens one message and reports for a person or a program.
func (o *openOptions) openOne(op *smime.Opener, name string, stdin io.Reader, stdout, stderr io.Writer) int {
	content := io.Discard
	var held *heldContent
	var out *output
	if !o.inspect {
		switch {
		case o.out != "" && o.out != "-":
			var err error
			if out, err = newOutput(o.out, nil); err != nil {
				return o.fail(err, stdout, stderr)
			}
			defer out.discard()
			content = out.file
		case o.out == "-" || !o.json:
			held = &heldContent{max: heldMax}
			content = held
		}
	}
	report, err := o.open(op, name, stdin, content)
	if err != nil {
		return o.fail(err, stdout, stderr)
	}
	exit, why := o.status(report)
	if exit == exitGood && out != nil {
		if err := out.commit(); err != nil {
			return o.fail(err, stdout, stderr)
		}
	}
	switch {
	case o.json:
		writeJSON(stdout, report)
	case exit == exitGood && held != nil:
		stdout.Write(held.Bytes())
		o.print(stderr, report)
	case exit == exitGood, onTerminal(stdout): // elsewhere nothing but content stands on standard output
		o.print(stdout, report)
	}
	if exit != exitGood {
		if len(o.unusable) > 0 && slices.Contains(report.Codes, "decrypt.no_key") {
			why += " (" + o.unusable[0].Error() + ")"
		}
		fail(stderr, "open", errors.New(why))
	}
	return exit
}

// print writes the report for people.
func (o *openOptions) print(w io.Writer, r *smime.Report) {
	p, _ := paletteFor(o.color, w) // which the options have passed
	printReport(w, r, p)
}

// open runs the opener; the error is nil whenever there is a report.
func (o *openOptions) open(op *smime.Opener, name string, stdin io.Reader, content io.Writer) (*smime.Report, error) {
	ctx := context.Background()
	src, closeSrc, err := input(name, stdin)
	if err != nil {
		return nil, err
	}
	defer closeSrc()
	var msg *smime.Message
	var report *smime.Report
	switch {
	case o.cms:
		var detached io.Reader
		if o.content != "" {
			f, err := os.Open(o.content)
			if err != nil {
				return nil, unreadable(err)
			}
			defer f.Close()
			detached = f
		}
		if o.inspect {
			return op.InspectCMS(ctx, unarmoured(src), detached)
		}
		msg, err = op.OpenCMS(ctx, content, unarmoured(src), detached)
	case o.inspect:
		return op.Inspect(ctx, src)
	default:
		msg, err = op.OpenTo(ctx, content, src)
	}
	var unverified *smime.UnverifiedError
	switch {
	case errors.As(err, &unverified):
		report, err = unverified.Report, nil
	case err == nil:
		report = msg.Report()
	}
	return report, err
}

// fail reports why there is no answer about a message.
func (o *openOptions) fail(err error, stdout, stderr io.Writer) int {
	if o.json {
		writeJSON(stdout, o.failed(err))
	}
	return fail(stderr, "open", err)
}

// failed returns a report for what kept a message from being looked at.
func (o *openOptions) failed(err error) *smime.Report {
	r := &smime.Report{
		Verdict: smime.Unreadable, Form: "mime", Codes: []string{"message.io"}, Layers: []*smime.Layer{},
		Summary: "Cannot be read", Severity: "warning",
	}
	if o.cms {
		r.Form = "cms"
	}
	if exitOf(err) == exitNotGood {
		r.Verdict, r.Codes = smime.NotAuthentic, []string{"identity.unusable"}
	}
	return r
}

// status returns the exit status for a report and the reason in words.
func (o *openOptions) status(r *smime.Report) (int, string) {
	why := string(r.Verdict)
	if len(r.Codes) > 0 {
		why += ": " + strings.Join(r.Codes, ", ")
	}
	switch {
	case r.Verdict == smime.Unreadable:
		return exitUnreadable, why
	case o.inspect || r.Verdict == smime.Authentic || r.Content != nil:
		return exitGood, ""
	}
	return exitNotGood, why
}

// openBatch answers one line after the other: a message's name, or a JSON object with
// "path" and an "id" that comes back.
func (o *openOptions) openBatch(op *smime.Opener, stdin io.Reader, stdout, stderr io.Writer) int {
	in := bufio.NewReaderSize(stdin, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if text := strings.TrimSpace(line); text != "" {
			o.answer(op, text, stdout)
		}
		if err == io.EOF {
			return exitGood
		}
		if err != nil {
			return fail(stderr, "open", err)
		}
	}
}

func (o *openOptions) answer(op *smime.Opener, text string, stdout io.Writer) {
	type reply struct {
		ID   string `json:"id,omitempty"`
		Path string `json:"path"`
		*smime.Report
		Error string `json:"error,omitempty"`
	}
	var request struct{ ID, Path string }
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &request); err != nil || request.Path == "" {
			err := errors.New("not a JSON object with a path")
			writeJSON(stdout, reply{request.ID, request.Path, o.failed(err), err.Error()})
			return
		}
	} else {
		request.Path = text
	}
	report, err := o.open(op, request.Path, strings.NewReader(""), io.Discard)
	if err != nil {
		writeJSON(stdout, reply{request.ID, request.Path, o.failed(err), printable(err.Error())})
		return
	}
	writeJSON(stdout, reply{request.ID, request.Path, report, ""})
}

func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}
