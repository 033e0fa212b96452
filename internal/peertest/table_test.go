package peertest_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/peertest"
)

const (
	tableFile     = "../../docs/interop.md"
	beginTables   = "<!-- begin: written by go test ./internal/peertest -run Interop -update -->\n"
	endTables     = "<!-- end -->\n"
	beginVersions = "<!-- begin: versions -->\n"
)

// TestInteropTable checks that docs/interop.md says what the peers are asked to do.
// TestMatrix checks that they do it.
func TestInteropTable(t *testing.T) {
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	want := replace(t, string(text), beginTables, tables())
	if *update {
		var versions strings.Builder
		for _, p := range peertest.New(t).Peers(t) {
			if p.Version() == "" {
				continue
			}
			name, series, _ := cutLast(p.Name(), " ")
			if !strings.HasPrefix(p.Version(), series) {
				t.Errorf("the column is called %s, but it is %s that is measured", p.Name(), p.Version())
			}
			fmt.Fprintf(&versions, "- %s %s\n", name, p.Version())
		}
		want = replace(t, want, beginVersions, versions.String())
		if err := os.WriteFile(tableFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("docs/interop.md is not what the peers do: write it again with -update")
	}
}

// replace puts new text between a beginning and the next end.
func replace(t *testing.T, text, begin, middle string) string {
	t.Helper()
	head, rest, ok := strings.Cut(text, begin)
	_, tail, ended := strings.Cut(rest, endTables)
	if !ok || !ended {
		t.Fatalf("%s has no part between %q and %q", tableFile, begin, endTables)
	}
	return head + begin + middle + endTables + tail
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// tables returns the two tables and their notes.
func tables() string {
	var b strings.Builder
	peers := peertest.Unstarted()
	fmt.Fprintf(&b, "| Form | postseal |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %s |", p.Name())
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(peers)))
	var notes []string
	note := func(reason string) int {
		if i := slices.Index(notes, reason); i >= 0 {
			return i + 1
		}
		notes = append(notes, reason)
		return len(notes)
	}
	for _, f := range peertest.Forms() {
		can := "both"
		if f.ReadOnly {
			can = "reads"
		}
		fmt.Fprintf(&b, "| %s | %s |", f.Name, can)
		for _, p := range peers {
			reasons := []string{p.CannotWrite(f)}
			if !f.ReadOnly {
				reasons = append(reasons, p.CannotRead(f))
			}
			var why []string
			for _, reason := range reasons {
				if reason != "" {
					if n := fmt.Sprint(note(reason)); !slices.Contains(why, n) {
						why = append(why, n)
					}
				}
			}
			reads, writes := !f.ReadOnly && p.CannotRead(f) == "", p.CannotWrite(f) == ""
			can := "no"
			switch {
			case reads && writes:
				can = "both"
			case reads:
				can = "reads"
			case writes:
				can = "writes"
			}
			if len(why) > 0 {
				can += " (" + strings.Join(why, ", ") + ")"
			}
			fmt.Fprintf(&b, " %s |", can)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b)
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s.\n", i+1, n)
	}
	fmt.Fprint(&b, "\n### Among all\n\nA row's cell lists whose messages the program of the column reads, by letter, a small one for the older of two versions: ")
	everybody := append([]peertest.Peer{ours{}}, peers...)
	var initials []string
	for _, p := range everybody {
		initials = append(initials, initial(p)+" "+p.Name())
	}
	fmt.Fprintf(&b, "%s.\n\n| Form |", strings.Join(initials, ", "))
	for _, p := range everybody {
		fmt.Fprintf(&b, " %s |", p.Name())
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---|", len(everybody)))
	for _, f := range peertest.Forms() {
		fmt.Fprintf(&b, "| %s |", f.Name)
		for _, consumer := range everybody {
			cell := " "
			for _, producer := range everybody {
				if producer.CannotWrite(f) == "" && consumer.CannotRead(f) == "" && between(f, producer, consumer) == "" {
					cell += initial(producer)
				}
			}
			if cell == " " {
				cell = " –"
			}
			fmt.Fprintf(&b, "%s |", cell)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// initial tells the peers apart in one letter, which is small for the older of two.
func initial(p peertest.Peer) string {
	first := strings.ToUpper(p.Name()[:1])
	peers := peertest.Unstarted()
	for i, one := range peers[:len(peers)-1] {
		if one.Name() == p.Name() && peers[i+1].Name()[:1] == p.Name()[:1] {
			return strings.ToLower(first)
		}
	}
	return first
}
