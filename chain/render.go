package chain

import (
	"fmt"
	"strings"
	"time"
)

// String renders the report for people. Its first word is VALID, INVALID or
// INDETERMINATE; every code of the answer stands in it beside a sentence that says which
// certificate and why; the path is listed leaf first.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %s at %s, %s\n", strings.ToUpper(string(r.Verdict)), r.Purpose, r.Time.UTC().Format(time.RFC3339), r.Basis)
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(f.Code))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-*s  ", width, f.Code)
		if f.Severity != "error" {
			b.WriteString(f.Severity + ": ")
		}
		if f.Certificate != nil {
			b.WriteString(nameText(f.Certificate.RawSubject) + ": ")
		}
		b.WriteString(f.Detail)
		if f.Reference != "" {
			b.WriteString(" (" + f.Reference + ")")
		}
		b.WriteByte('\n')
	}
	if len(r.Certificates) > 0 {
		b.WriteString("  path\n")
	}
	for i, c := range r.Certificates {
		place := "issuer"
		switch {
		case i == 0:
			place = "leaf"
		case i == len(r.Certificates)-1 && r.Path != nil:
			place = "anchor"
		}
		fmt.Fprintf(&b, "    %-6s  %s  %s to %s\n", place, nameText(c.RawSubject), c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	}
	if len(r.Policies) > 0 {
		b.WriteString("  policies  " + strings.Join(r.Policies, ", ") + "\n")
	}
	return b.String()
}
