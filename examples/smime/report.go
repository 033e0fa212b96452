package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/postseal/postseal/smime"
)

// A style is how a word looks on a terminal (ECMA-48, Section 8.3.117).
type style string

const (
	normal style = ""
	bold   style = "1"
	faint  style = "2"
	good   style = "32"
	bad    style = "1;31"
	doubt  style = "33"
)

// A palette paints words, or leaves them as they are.
type palette bool

func (p palette) paint(s style, text string) string {
	if !p || s == normal || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// paletteFor reports whether to paint what is written to w: what --color says, and without
// it on terminals only, unless NO_COLOR is set or the terminal is a dumb one.
func paletteFor(when string, w io.Writer) (palette, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto", "":
		return palette(onTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"), nil
	}
	return false, wrongUsage("--color %s is not auto, always or never", when)
}

// onTerminal reports whether w is a terminal.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A node is a line of a tree, with what hangs below it.
type node struct {
	name  string // what it is
	text  string // of the message: made printable before it is written
	style style
	below []*node
}

func (n *node) add(name string, s style, format string, args ...any) *node {
	child := &node{name: name, text: fmt.Sprintf(format, args...), style: s}
	n.below = append(n.below, child)
	return child
}

// printReport writes a report for people: the verdict and the sentence for it, then the tree
// of layers from the outside in, the signers with their paths, the content, and the reasons.
// No octet of the message reaches the terminal that could be a command to it.
func printReport(w io.Writer, r *smime.Report, p palette) {
	verdict := map[string]style{"good": good, "danger": bad, "warning": doubt}[r.Severity]
	if r.Verdict == smime.NotAuthentic || r.Verdict == smime.Unreadable {
		verdict = bad
	}
	fmt.Fprintf(w, "%s  %s\n", p.paint(verdict, strings.ToUpper(string(r.Verdict))), p.paint(bold, printable(r.Summary)))
	root := new(node)
	if r.From != "" {
		root.add("from", normal, "%s", r.From)
	}
	if r.Subject != "" {
		root.add("subject", normal, "%s", r.Subject)
	}
	if r.HeaderProtection != "" {
		root.add("header", normal, "protected (%s)", r.HeaderProtection)
	}
	for _, n := range r.Notes {
		root.add("header", severity(n.Severity), "%s: %s", n.About, n.Detail)
	}
	at := root
	for _, l := range r.Layers {
		at = layerNode(at, l)
	}
	if r.Content != nil {
		at.add("content", normal, "%s", contentText(r.Content))
	}
	for _, l := range r.Parts {
		root.add("part "+l.Place, faint, "%s by itself, and not looked into", l.Kind)
	}
	for _, c := range r.Codes {
		root.add("reason", bad, "%s", c)
	}
	for _, c := range r.Warnings {
		root.add("remark", doubt, "%s", c)
	}
	writeTree(w, root, p)
}

func severity(s string) style {
	if s == "warning" || s == "error" {
		return doubt
	}
	return normal
}

func contentText(c *smime.Content) string {
	if c.Type == "" {
		return fmt.Sprintf("%d bytes", c.Bytes)
	}
	return fmt.Sprintf("%s, %d bytes", c.Type, c.Bytes)
}

// layerNode adds a layer and returns where the next one goes.
func layerNode(at *node, l *smime.Layer) *node {
	switch l.Kind {
	case "signed":
		how := bad
		if l.Verdict == smime.Authentic {
			how = good
		}
		n := at.add("signed", how, "%s", l.Form)
		for _, s := range l.Signatures {
			signatureNode(n, s)
		}
		return n
	case "encrypted":
		state, how := "not decrypted", bad
		if l.Decrypted {
			state, how = "decrypted", good
		}
		n := at.add("encrypted", how, "%s, %s", orUnknown(l.Cipher), state)
		for _, r := range l.Recipients {
			used := ""
			if r.Used {
				used = ", opened with this one"
			}
			n.add("reader", faint, "%s, %s%s", r.ID, orUnknown(r.Algorithm), used)
		}
		return n
	case "compressed", "digested", "authenticated":
		return at.add(l.Kind, normal, "%s", orUnknown(l.Algorithm))
	case "certs-only":
		return at.add("certificates", normal, "%d, and nobody signed", l.Certificates)
	}
	return at.add(l.Kind, normal, "%s", l.Form)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// signatureNode adds a signature: who, the three answers, the path, and what was remarked.
func signatureNode(at *node, s *smime.Signature) {
	sound := s.Crypto == "valid" && s.Trust == "valid" && (s.Address == "match" || s.Address == "not-checked")
	how := bad
	if sound {
		how = good
	} else if s.Crypto == "valid" {
		how = doubt
	}
	n := at.add("signer", how, "%s", nameOf(s.Signer))
	n.add("answers", how, "crypto %s, trust %s, address %s", s.Crypto, s.Trust, s.Address)
	n.add("algorithm", normal, "%s, %s", orUnknown(s.Algorithm), orUnknown(s.Digest))
	if s.ClaimedTime != nil {
		n.add("claims", faint, "to have signed at %s", s.ClaimedTime.Format(time.RFC3339))
	}
	if s.Path != nil {
		var names []string
		for _, c := range s.Path.Certificates() {
			name := c.Subject.CommonName
			if name == "" {
				name = c.Subject.String()
			}
			names = append(names, name)
		}
		n.add("path", normal, "%s", strings.Join(names, " < "))
	}
	for _, t := range s.Timestamps {
		used := ""
		if t.Used {
			used = "; the signer was judged as of then"
		}
		n.add("time stamp", normal, "%s by %s: crypto %s, trust %s%s", t.Time.Format(time.RFC3339), nameOf(t.Signer), t.Crypto, t.Trust, used)
	}
	for _, c := range s.Countersignatures {
		n.add("countersigned", normal, "by %s: crypto %s, trust %s", nameOf(c.Signer), c.Crypto, c.Trust)
	}
	if len(s.Codes) > 0 {
		n.add("remarks", faint, "%s", strings.Join(s.Codes, ", "))
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

// maxShown bounds a line of a report, in characters: a message may hold more than a screen.
const maxShown = 400

// writeTree writes what is below n, depth first. Layers are few and the tree is no deeper.
func writeTree(w io.Writer, n *node, p palette) {
	type place struct {
		n      *node
		prefix string
	}
	open := []place{}
	push := func(n *node, prefix string) {
		for i := len(n.below) - 1; i >= 0; i-- {
			open = append(open, place{n.below[i], prefix})
			if i == len(n.below)-1 {
				open[len(open)-1].prefix += "\x00" // the last of its siblings
			}
		}
	}
	push(n, "")
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		prefix, last := strings.CutSuffix(at.prefix, "\x00")
		branch, more := "├─ ", "│  "
		if last {
			branch, more = "└─ ", "   "
		}
		text := []rune(printable(at.n.text))
		if len(text) > maxShown {
			text = append(text[:maxShown], '…')
		}
		fmt.Fprintf(w, "%s%s %s\n", p.paint(faint, prefix+branch), at.n.name, p.paint(at.n.style, string(text)))
		push(at.n, prefix+more)
	}
}
