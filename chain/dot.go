package chain

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DOT draws every path that was tried as a graph in the language of Graphviz: an arrow
// from each certificate to the one it issued, anchors as double frames, the path of the
// answer in bold, and red where it broke, with the codes: a certificate that is at fault, an
// arrow for a signature that does not verify, and a dashed frame for the issuer that nobody
// has. Render it with "dot -Tsvg".
func (r *Report) DOT() string {
	var b strings.Builder
	b.WriteString("digraph paths {\n\trankdir=BT;\n\tnode [shape=box, style=rounded, fontname=\"sans-serif\"];\n\tedge [dir=back];\n")
	fmt.Fprintf(&b, "\tlabel=%s;\n", quoted(strings.ToUpper(string(r.Verdict))+" for "+string(r.Purpose)+" at "+r.Time.UTC().Format(time.RFC3339)))
	type vertex struct {
		label  string
		faults []string
		bold   bool
		anchor bool

		missing bool
	}
	vertices := map[string]*vertex{}
	var order, arrows []string
	draw := func(best bool, path []*vertexOf) {
		for i, v := range path {
			known := vertices[v.id]
			if known == nil {
				known = &vertex{label: v.label}
				vertices[v.id] = known
				order = append(order, v.id)
			}
			known.bold = known.bold || best
			known.anchor = known.anchor || v.anchor
			for _, f := range v.faults {
				if !slices.Contains(known.faults, f) {
					known.faults = append(known.faults, f)
				}
			}
			known.missing = known.missing || v.missing
			if i > 0 {
				var style []string
				if best {
					style = append(style, "penwidth=2.5")
				}
				if code := path[i-1].broken; code != "" {
					style = append(style, "color=red, fontcolor=red, label="+quoted(code))
				}
				if v.missing {
					style = append(style, "color=red, style=dashed")
				}
				arrow := "\t" + path[i-1].id + " -> " + v.id
				if len(style) > 0 {
					arrow += " [" + strings.Join(style, ", ") + "]"
				}
				arrow += ";\n"
				if !slices.Contains(arrows, arrow) {
					arrows = append(arrows, arrow)
				}
			}
		}
	}
	for i := range r.Tried {
		tried := &r.Tried[i]
		best := slices.EqualFunc(tried.Certificates, r.Certificates, sameCertificate)
		draw(best, vertexPath(tried.Certificates, tried.Findings, r.Path != nil && best))
	}
	for _, id := range order {
		v := vertices[id]
		label, attrs := v.label, ""
		if len(v.faults) > 0 {
			label += "\n" + strings.Join(v.faults, "\n")
			attrs += ", color=red, fontcolor=red"
		}
		if v.bold {
			attrs += ", penwidth=2.5"
		}
		if v.anchor {
			attrs += ", peripheries=2"
		}
		if v.missing {
			attrs += `, style="rounded,dashed", color=red, fontcolor=red`
		}
		fmt.Fprintf(&b, "\t%s [label=%s%s];\n", id, quoted(label), attrs)
	}
	b.WriteString(strings.Join(arrows, "") + "}\n")
	return b.String()
}

// A vertexOf is one certificate of one path.
type vertexOf struct {
	id, label string
	faults    []string
	broken    string // code of the signature by the next one, if that is at fault
	anchor    bool
	missing   bool // nobody has it
}

func vertexPath(certs []*x509.Certificate, list []Finding, complete bool) (out []*vertexOf) {
	missing := ""
	for i, c := range certs {
		sum := sha256.Sum256(c.Raw)
		v := &vertexOf{id: fmt.Sprintf("c%x", sum[:8]), anchor: complete && i == len(certs)-1}
		v.label = nameText(c.RawSubject) + "\nuntil " + c.NotAfter.UTC().Format(time.DateOnly)
		for _, f := range list {
			about := f.Certificate != nil && sameCertificate(f.Certificate, c)
			switch {
			case f.Severity != "error":
			case about && f.Code == "sig.invalid" && i+1 < len(certs):
				v.broken = f.Code
			case about && f.Code == "path.no_issuer":
				missing = nameText(c.RawIssuer)
			case about || f.Certificate == nil && i == len(certs)-1:
				v.faults = append(v.faults, f.Code)
			}
		}
		out = append(out, v)
	}
	if missing != "" {
		sum := sha256.Sum256([]byte(missing))
		out = append(out, &vertexOf{id: fmt.Sprintf("m%x", sum[:8]), label: missing + "\nnot at hand", faults: []string{"path.no_issuer"}, missing: true})
	}
	return out
}

func sameCertificate(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) }

// quoted writes a DOT string. What is printed has no controls but the line ends put here.
func quoted(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)
	return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"`
}
