package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postseal/postseal/smime"
)

// printReport writes a report for people: the verdict, then the layers from the outside
// in, then the reasons.
func printReport(w io.Writer, r *smime.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "%s\n", strings.ToUpper(string(r.Verdict)))
	row := func(depth int, name, format string, args ...any) {
		fmt.Fprintf(t, "  %s%s\t%s\n", strings.Repeat("  ", depth), name, printable(fmt.Sprintf(format, args...)))
	}
	if r.From != "" {
		row(0, "from", "%s", r.From)
	}
	if r.Subject != "" {
		row(0, "subject", "%s", r.Subject)
	}
	for i, l := range r.Layers {
		printLayer(row, i, l)
	}
	if r.Content != nil {
		row(len(r.Layers), "content", "%s, %d bytes", r.Content.Type, r.Content.Bytes)
	}
	for _, c := range r.Codes {
		row(0, "reason", "%s", c)
	}
	for _, c := range r.Warnings {
		row(0, "remark", "%s", c)
	}
}

func printLayer(row func(int, string, string, ...any), depth int, l *smime.Layer) {
	switch l.Kind {
	case "signed":
		row(depth, "signed", "%s", l.Form)
		for _, s := range l.Signatures {
			row(depth+1, "signer", "%s (%s, %s)", nameOf(s.Signer), s.Algorithm, s.Digest)
			row(depth+1, "answers", "crypto %s, trust %s, address %s", s.Crypto, s.Trust, s.Address)
			if len(s.Codes) > 0 {
				row(depth+1, "remarks", "%s", strings.Join(s.Codes, ", "))
			}
			printEvidence(row, depth+1, s)
		}
	case "encrypted":
		state := "not decrypted"
		if l.Decrypted {
			state = "decrypted"
		}
		row(depth, "encrypted", "%s, %s, %d recipients", l.Cipher, state, len(l.Recipients))
	case "compressed":
		row(depth, "compressed", "%s", l.Algorithm)
	default:
		row(depth, l.Kind, "%d certificates", l.Certificates)
	}
}

// printEvidence writes what stands beside a signature.
func printEvidence(row func(int, string, string, ...any), depth int, s *smime.Signature) {
	for _, t := range s.Timestamps {
		used := ""
		if t.Used {
			used = "; the signer was judged as of then"
		}
		row(depth, "time stamp", "%s by %s: crypto %s, trust %s%s", t.Time.Format(time.RFC3339), nameOf(t.Signer), t.Crypto, t.Trust, used)
	}
	for _, c := range s.Countersignatures {
		row(depth, "countersigned", "by %s: crypto %s, trust %s", nameOf(c.Signer), c.Crypto, c.Trust)
	}
}

// nameOf names a signer for people.
func nameOf(s *smime.Signer) string {
	switch {
	case s == nil:
		return "unknown signer"
	case len(s.Mailboxes) > 0:
		return strings.Join(s.Mailboxes, ", ")
	}
	return s.Subject
}
