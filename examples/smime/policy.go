package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-message/textproto"
	"github.com/spf13/pflag"

	"github.com/postseal/postseal/smime"
)

// A policyFile is what an administrator decided, as --policy names it.
type policyFile struct {
	name   string
	policy *smime.Policy // nil without --policy
	notes  []smime.Note
}

func (p *policyFile) register(f *pflag.FlagSet) {
	f.StringVar(&p.name, "policy", "", "what the administrator decides: a policy in JSON, or what Get-SmimeConfig prints")
}

// policyMax bounds a policy file; a collection of authorities may be in it.
const policyMax = 16 << 20

// load reads the file.
func (p *policyFile) load() error {
	if p.name == "" {
		return nil
	}
	f, err := os.Open(p.name)
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, policyMax+1))
	if err == nil && len(data) > policyMax {
		err = fmt.Errorf("more than %d bytes", policyMax)
	}
	if err != nil {
		return unreadable(fmt.Errorf("%s: %w", p.name, err))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if exchangeSettings(data) {
		p.policy, p.notes, err = smime.ParseSmimeConfig(bytes.NewReader(data))
		for _, n := range p.notes {
			// Nothing would act on it, and what it restricts would be allowed.
			if n.Code == "config.unknown" && policyField(n.About) {
				err = fmt.Errorf("%q is a field of a policy, and these are settings of Exchange", n.About)
			}
		}
	} else {
		p.policy = new(smime.Policy)
		err = json.Unmarshal(data, p.policy)
	}
	if err != nil {
		return unreadable(fmt.Errorf("%s: %w", p.name, err))
	}
	return nil
}

// exchangeSettings reports whether a file is what Get-SmimeConfig or one of its kind
// prints: no JSON, or JSON with names in capitals that are none of a policy.
func exchangeSettings(data []byte) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return true
	}
	for name := range object {
		if name != strings.ToLower(name) && !policyField(name) {
			return true
		}
	}
	return false
}

// policyField reports whether a policy in JSON has a field of that name.
func policyField(name string) bool {
	object, err := json.Marshal(map[string]any{name: nil})
	return err == nil && json.Unmarshal(object, new(smime.Policy)) == nil
}

// print tells people what was odd about the settings.
func (p *policyFile) print(w io.Writer, command string) {
	for _, n := range p.notes {
		if n.Severity != "info" {
			fmt.Fprintf(w, "smime: %s: policy: %s: %s\n", command, printable(n.About), printable(n.Detail))
		}
	}
}

// decide asks the policy whether a message may go out as the command makes it. The reader
// it returns has the message from its beginning. What the policy asks for beyond the
// command is refused, except that a sealed message can be wrapped once more.
func (o *composeOptions) decide(name string, msg io.ReadSeeker) (action string, _ io.Reader, err error) {
	p := o.policy.policy
	size, err := msg.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = msg.Seek(0, io.SeekStart)
	}
	for _, r := range p.Rules {
		if err != nil && r.MinSize+r.MaxSize > 0 {
			return "", nil, unreadable(fmt.Errorf("rule %q asks for the size of the message: %w", r.Name, err))
		}
	}
	const headerMax = 1 << 20
	var head bytes.Buffer
	fields, err := textproto.ReadHeader(bufio.NewReader(io.TeeReader(io.LimitReader(msg, headerMax), &head)))
	if err != nil {
		return "", nil, unreadable(fmt.Errorf("header of the message: %w", err))
	}
	header := mail.Header{Header: message.Header{Header: fields}}
	from := strings.Join(addresses(header, "From"), ", ")
	to := slices.DeleteFunc(slices.Clone(o.to), isFile)
	for _, field := range []string{"To", "Cc", "Bcc"} {
		to = append(to, addresses(header, field)...)
	}
	action, reasons := p.Evaluate(from, to, header, size)
	wants := map[string]string{"leave": "", "sign": "sign seal", "encrypt": "encrypt seal", "seal": "seal", "triple": "seal"}
	fit, ok := wants[action]
	if !ok || fit != "" && !oneOf(name, strings.ReplaceAll(fit, " ", "|")) {
		if len(reasons) == 0 {
			reasons = []string{"policy"}
		}
		return "", nil, notGood(fmt.Errorf("the policy wants %q: %s", action, printable(strings.Join(reasons, "; "))))
	}
	if action != "triple" {
		action = name
	}
	return action, io.MultiReader(&head, msg), nil
}

// addresses lists the addresses in a field. What cannot be read is returned as it stands,
// which a rule that asks for addresses takes for none and refuses.
func addresses(header mail.Header, field string) []string {
	list, err := header.AddressList(field)
	if err != nil {
		return []string{header.Get(field)}
	}
	var all []string
	for _, a := range list {
		// Printed alone, an address has the quotes that its local part needs.
		all = append(all, strings.Trim((&mail.Address{Address: a.Address}).String(), "<>"))
	}
	return all
}

// govern does what the policy wants where the command line leaves it open.
func (o *composeOptions) govern(action string, given func(flag string) bool) error {
	c, err := o.policy.policy.Composer(action, o.composer.Signers, o.composer.Recipients...)
	if err != nil {
		return notGood(err)
	}
	mine := &o.composer
	mine.Signers, mine.OmitCapabilities, mine.BccMode = c.Signers, c.OmitCapabilities, c.BccMode
	mine.Triple = mine.Triple || c.Triple
	if !given("opaque") {
		mine.Opaque = mine.Opaque || c.Opaque
	}
	if !given("digest") {
		mine.Digest = c.Digest
	}
	if !given("cipher") {
		mine.Cipher = c.Cipher
	}
	if !given("recipient-id") {
		mine.RecipientKeyID = c.RecipientKeyID
	}
	if !given("include") && c.Include != "" {
		mine.Include = c.Include
	}
	if !given("protect-headers") && c.ProtectHeaders != "" {
		mine.ProtectHeaders = c.ProtectHeaders
	}
	return nil
}

// fetchTime is a time limit of a policy, in milliseconds; 0 means ten seconds.
func fetchTime(n uint32) time.Duration {
	return time.Duration(cmp.Or(n, 10_000)) * time.Millisecond
}
