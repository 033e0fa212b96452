package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStory(t *testing.T) {
	var out strings.Builder
	dir := t.TempDir()
	if err := story(&out, dir); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"authentic. Signed by alice@example.com", "Dear Bob", "decrypt.failed", "path.no_anchor", "address.mismatch"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story does not mention %q:\n%s", want, out.String())
		}
	}
	for _, name := range []string{"collection.sst", "sealed.eml", "opened.eml", "flipped.eml", "stranger.eml", "mismatch.eml", "root.pem", "bob.pem", "bob.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
