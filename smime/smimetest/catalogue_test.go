package smimetest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/smime/internal/catalogue"
)

var updateCatalogue = flag.Bool("update-catalogue", false, "write catalogue.json again")

// TestCatalogueIsCurrent: catalogue.json holds what the makers make.
func TestCatalogueIsCurrent(t *testing.T) {
	pki := NewPKI(t)
	var all []Case
	for _, c := range catalogue.NewMaker(&cast{pki: pki, alice: pki.Alice()}).Cases() {
		if c.Sample {
			continue
		}
		if c.Fault != "" {
			t.Errorf("%s: %s", c.Name, c.Fault)
		}
		all = append(all, Case{
			Defect: Defect(c.Name), Row: c.Row(), Note: c.Note, Needs: c.Needs, Twin: Defect(c.Twin),
			Verdict: c.Verdict, Codes: c.Codes, Warnings: c.Warnings, Remarks: c.Remarks, Notes: c.Notes,
		})
	}
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(string(a.Defect), string(b.Defect)) })
	var want bytes.Buffer
	want.WriteString("[\n")
	for i, c := range all {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(c); err != nil {
			t.Fatal(err)
		}
		want.Write(bytes.TrimSpace(line.Bytes()))
		if i < len(all)-1 {
			want.WriteByte(',')
		}
		want.WriteByte('\n')
	}
	want.WriteString("]\n")
	if *updateCatalogue {
		if err := os.WriteFile("catalogue.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("catalogue.json"); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("catalogue.json is not current (%v): run with -update-catalogue", err)
	}
}
