package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// chainRequest makes a request line about alice, with fields replaced or added; a nil
// leaves one out.
func chainRequest(t *testing.T, edits map[string]any) string {
	t.Helper()
	der := func(name string) string {
		b, _ := pem.Decode(files()[name])
		return base64.StdEncoding.EncodeToString(b.Bytes)
	}
	q := map[string]any{"id": "1", "leaf": der("alice.pem"), "anchors": []string{der("root.pem")}, "time": "2026-06-01T00:00:00Z", "revocation": "off"}
	for k, v := range edits {
		if q[k] = v; v == nil {
			delete(q, k)
		}
	}
	line, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

type chainAnswer struct {
	ID       *string
	Verdict  string
	Codes    []string
	Warnings []string
	Path     []struct{ Subject, SHA256 string }
	Error    *struct{ Code, Detail string }
}

func (a *chainAnswer) String() string {
	if a.Error != nil {
		return a.Error.Code
	}
	return strings.Join(append([]string{a.Verdict}, a.Codes...), " ")
}

func chainAnswers(t *testing.T, out string) (list []*chainAnswer) {
	t.Helper()
	for line := range strings.Lines(out) {
		a := new(chainAnswer)
		if err := json.Unmarshal([]byte(line), a); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		list = append(list, a)
	}
	return list
}

func TestChainBatch(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
	}{
		{"good", chainRequest(t, nil), "valid"},
		{"no anchors", chainRequest(t, map[string]any{"anchors": nil}), "invalid path.no_issuer path.no_anchor"},
		{"status needed", chainRequest(t, map[string]any{"revocation": "supplied-only"}), "indeterminate rev.unknown"},
		{"wrong address", chainRequest(t, map[string]any{"address": "eve@example.com"}), "invalid address.mismatch"},
		{"offset and fraction", chainRequest(t, map[string]any{"time": "2026-06-01T05:30:00.25+05:30"}), "valid"},
		{"null is the default", chainRequest(t, map[string]any{"address": json.RawMessage("null")}), "valid"},
		{"leaf is no certificate", chainRequest(t, map[string]any{"leaf": "MAMCAQU="}), "invalid parse.malformed"},
		{"rubbish beside", chainRequest(t, map[string]any{"untrusted": []string{"AAAA"}, "crls": []string{"MAMCAQU="}, "ocsp": []string{"AA=="}, "revocation": "soft"}), "valid"},
		{"leaf is no octets", chainRequest(t, map[string]any{"leaf": ""}), "invalid parse.malformed"},
		{"small letters in the time", chainRequest(t, map[string]any{"time": "2026-06-01t00:00:00z"}), "valid"},
		{"a policy named by a UUID", chainRequest(t, map[string]any{"policies": []string{"2.25.329800735698586629295641978511506172918"}}), "valid"},
		{"not JSON", `{"id":"x", "leaf":`, "request.malformed"},
		{"no object", `[1,2]`, "request.malformed"},
		{"two objects", chainRequest(t, nil) + chainRequest(t, nil), "request.malformed"},
		{"a field twice", `{"id":"1","id":"2"}`, "request.malformed"},
		{"unknown field", chainRequest(t, map[string]any{"not_after": "x"}), "request.unsupported"},
		{"unknown field with null", chainRequest(t, map[string]any{"not_after": json.RawMessage("null")}), "request.unsupported"},
		{"name in other case", chainRequest(t, map[string]any{"Address": "alice@example.com"}), "request.unsupported"},
		{"no id", chainRequest(t, map[string]any{"id": nil}), "request.malformed"},
		{"no leaf", chainRequest(t, map[string]any{"leaf": nil}), "request.malformed"},
		{"wrong type", chainRequest(t, map[string]any{"anchors": "AAAA"}), "request.malformed"},
		{"bad base64", chainRequest(t, map[string]any{"leaf": "@@@@"}), "request.malformed"},
		{"base64 with line break", chainRequest(t, map[string]any{"leaf": "AAAA\nAAAA"}), "request.malformed"},
		{"bad time", chainRequest(t, map[string]any{"time": "yesterday"}), "request.malformed"},
		{"the zero time", chainRequest(t, map[string]any{"time": "0001-01-01T00:00:00Z"}), "request.unsupported"},
		{"almost the zero time", chainRequest(t, map[string]any{"time": "0001-01-01T00:00:01Z"}), "invalid time.not_yet_valid"},
		{"bad policy", chainRequest(t, map[string]any{"policies": []string{"one.two"}}), "request.malformed"},
		{"policy with a zero ahead", chainRequest(t, map[string]any{"policies": []string{"1.02.3"}}), "request.malformed"},
		{"policy without end", chainRequest(t, map[string]any{"policies": []string{"1.2." + strings.Repeat("9", 99)}}), "request.malformed"},
		{"empty address", chainRequest(t, map[string]any{"address": ""}), "request.malformed"},
		{"bad address literal", chainRequest(t, map[string]any{"ip_address": "1.2.3"}), "request.malformed"},
		{"negative depth", chainRequest(t, map[string]any{"max_depth": -1}), "request.malformed"},
		{"unknown purpose", chainRequest(t, map[string]any{"purpose": "x"}), "request.unsupported"},
		{"empty purpose", chainRequest(t, map[string]any{"purpose": ""}), "request.unsupported"},
		{"empty mode", chainRequest(t, map[string]any{"revocation": ""}), "request.unsupported"},
		{"empty algorithms", chainRequest(t, map[string]any{"algorithms": ""}), "request.unsupported"},
		{"unknown mode", chainRequest(t, map[string]any{"revocation": "x"}), "request.unsupported"},
		{"unknown algorithms", chainRequest(t, map[string]any{"algorithms": "x"}), "request.unsupported"},
		{"not UTF-8", "{\"id\":\"\xff\"}", "request.malformed"},
	} {
		var out, errs bytes.Buffer
		if exit := run([]string{"chain", "--json", "--batch"}, strings.NewReader(tt.line), &out, &errs); exit != 0 || errs.Len() > 0 {
			t.Errorf("%s: status %d, %s", tt.name, exit, errs.String())
		}
		list := chainAnswers(t, out.String())
		if len(list) != 1 || list[0].String() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, list, tt.want)
		}
	}
}

// What cannot be read in any list is left out with a warning, and the rest is judged.
func TestChainBatchRubbish(t *testing.T) {
	anchor := base64.StdEncoding.EncodeToString(func() []byte { b, _ := pem.Decode(files()["root.pem"]); return b.Bytes }())
	for field, edits := range map[string]map[string]any{
		"untrusted": {"untrusted": []string{"AAAA"}},
		"anchors":   {"anchors": []string{"AAAA", anchor}},
		"crls":      {"crls": []string{""}, "revocation": "soft"},
		"ocsp":      {"ocsp": []string{"AAAA"}, "revocation": "soft"},
		"":          {"untrusted": []string{anchor}},
	} {
		line := chainRequest(t, edits) + "\n"
		var out bytes.Buffer
		run([]string{"chain", "--batch"}, strings.NewReader(line+line), &out, io.Discard)
		list := chainAnswers(t, out.String())
		if len(list) != 2 {
			t.Fatalf("%s: %d answers", field, len(list))
		}
		for _, a := range list {
			if a.Verdict != "valid" || slices.Contains(a.Warnings, "parse.ignored") != (field != "") {
				t.Errorf("%s: %v, warnings %v", field, a, a.Warnings)
			}
		}
	}
}

// A restriction on the command line of a stream would be lost; the clock is everybody's.
func TestChainBatchOptions(t *testing.T) {
	d := newDesk(t)
	request := chainRequest(t, map[string]any{"time": nil})
	for _, lost := range []string{"--address eve@example.com", "--revocation hard", "--roots @root.pem", "--max-depth 0", "--time noon"} {
		if out := d.run(2, request, "chain --json --batch "+lost); out != "" {
			t.Errorf("%s: %s", lost, out)
		}
	}
	for at, want := range map[string]string{"2026-06-01T00:00:00Z": "valid", "2126-06-01T00:00:00Z": "invalid time.expired"} {
		if list := chainAnswers(t, d.run(0, request, "chain --json --batch --network=false --time "+at)); len(list) != 1 || list[0].String() != want {
			t.Errorf("%s: %v, want %s", at, list, want)
		}
	}
}

// Answers come in order, each before more is asked; blank lines have none; ids come back.
func TestChainBatchStream(t *testing.T) {
	in, feed := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run([]string{"chain", "--json", "--batch"}, in, out, io.Discard)
		out.Close()
	}()
	r := bufio.NewReader(answers)
	for i := range 5 {
		id := fmt.Sprintf("zażółć \"\\\n\u2028 %d", i)
		if _, err := io.WriteString(feed, "\n  \n"+chainRequest(t, map[string]any{"id": id})+"\n"); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if a := chainAnswers(t, line)[0]; a.ID == nil || *a.ID != id || a.Verdict != "valid" || len(a.Path) != 2 {
			t.Fatalf("answer %s", line)
		}
	}
	var many strings.Builder
	for i := range 50 {
		many.WriteString(chainRequest(t, map[string]any{"id": fmt.Sprint(i)}) + "\n")
	}
	go func() {
		io.WriteString(feed, strings.TrimSuffix(many.String(), "\n"))
		feed.Close()
	}()
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	list := chainAnswers(t, string(rest))
	for i, a := range list {
		if *a.ID != fmt.Sprint(i) {
			t.Fatalf("answer %d is to %s", i, *a.ID)
		}
	}
	select {
	case exit := <-done:
		if exit != 0 || len(list) != 50 {
			t.Errorf("status %d after %d answers", exit, len(list))
		}
	case <-time.After(10 * time.Second):
		t.Error("the program does not end")
	}
}

// What a judge remembers is bounded for all anchors together, and who asks with small lists
// finds his verifier again.
func TestJudgeForgets(t *testing.T) {
	j := newJudge(false, time.Now)
	big := make([]byte, 50<<20)
	for i := range 20 {
		j.verifier([][]byte{{byte(i)}}, [][]byte{big})
		if n := len(j.verifiers); n > maxLists/len(big)+1 {
			t.Fatalf("%d verifiers may remember lists of %d octets each", n, len(big))
		}
	}
	for i := range 2 * maxVerifiers {
		v := j.verifier([][]byte{{byte(i), byte(i >> 8)}}, nil)
		if n := len(j.verifiers); n > maxVerifiers || v != j.verifier([][]byte{{byte(i), byte(i >> 8)}}, [][]byte{{1}}) {
			t.Fatalf("%d verifiers, and the last is not among them", n)
		}
	}
}

func TestChainForPeople(t *testing.T) {
	d := newDesk(t)
	const at = " --time 2026-06-01T00:00:00Z"
	text := d.run(0, "", "chain --roots @root.pem --address alice@example.com"+at+" @alice.pem")
	if !strings.HasPrefix(text, "VALID ") || !strings.Contains(text, "anchor") {
		t.Errorf("%s", text)
	}
	text = d.run(1, "", "chain --roots @root.pem --address bob@example.com --draw @graph.dot"+at+" @alice.pem")
	if !strings.HasPrefix(text, "INVALID ") || !strings.Contains(text, "address.mismatch") {
		t.Errorf("%s", text)
	}
	if dot, err := os.ReadFile(filepath.Join(d.dir, "graph.dot")); err != nil || !strings.Contains(string(dot), "address.mismatch") {
		t.Errorf("%v: %s", err, dot)
	}
	if text = d.run(3, "", "chain --roots @root.pem --revocation hard"+at+" @alice.pem"); !strings.HasPrefix(text, "INDETERMINATE ") || !strings.Contains(text, "rev.unknown") {
		t.Errorf("%s", text)
	}
	list := chainAnswers(t, d.run(0, string(files()["alice.pem"]), "chain --json --roots @root.pem"+at+" -"))
	if len(list) != 1 || list[0].ID == nil || *list[0].ID != "" || list[0].Verdict != "valid" {
		t.Errorf("%v", list)
	}
	if text = d.run(0, "", "chain --roots @root.pem --checks"+at+" @alice.pem"); !strings.Contains(text, "checks of path 1 of 1\n    passed   sig.invalid") {
		t.Errorf("no checks in\n%s", text)
	}
	if text = d.run(0, "", "chain --roots @root.pem --lint"+at+" @alice.pem"); !strings.Contains(text, "br.policy") {
		t.Errorf("%s", text)
	}
	broken := strings.Replace(string(files()["alice.pem"]), "MII", "AAA", 1)
	d.write("second.pem", broken+string(files()["bob.pem"]))
	d.write("cut.pem", broken[:200]+"\n"+string(files()["bob.pem"]))
	d.write("request.pem", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"+string(files()["alice.pem"])+broken)
	if text = d.run(0, "", "chain --roots @root.pem --address alice@example.com"+at+" @request.pem"); !strings.HasPrefix(text, "VALID ") {
		t.Errorf("%s", text)
	}
	for _, wrong := range []string{
		"--roots @root.pem @second.pem", "--roots @root.pem @cut.pem",
		"--roots @root.pem", "@alice.pem", "--roots @root.pem --no-such-flag @alice.pem", "--roots @root.pem --time noon @alice.pem", "--roots @root.pem @nowhere.pem",
		"--roots @root.pem --address= @alice.pem", "--roots @root.pem --dns-name= @alice.pem", "--roots @root.pem --ip-address= @alice.pem", "--roots @root.pem --time= @alice.pem", "--roots @root.pem --time 0001-01-01T00:00:00Z @alice.pem",
		"--roots @root.pem @plain.eml", "--roots @plain.eml @alice.pem", "--roots @root.pem --purpose x @alice.pem", "--roots @root.pem --crl @root.pem @alice.pem", "--json --batch @alice.pem",
	} {
		if out := d.run(2, "", "chain "+wrong); out != "" {
			t.Errorf("%s: wrote %q", wrong, out)
		}
	}
}
