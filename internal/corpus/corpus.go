// Package corpus finds the public test data that tests read from outside the module.
// Use [Path] for a file and [Wycheproof] for a set of vectors. Both skip the test, with
// a message, where the environment variable POSTSEAL_CORPUS names no folder.
package corpus

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a file or folder of the corpus, given by its elements below
// the folder POSTSEAL_CORPUS names. It skips the test if the variable is unset, and
// fails it if the file is missing.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		tb.Skip("POSTSEAL_CORPUS is unset: the folder of public test data is not at hand")
	}
	p := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Fatal(err)
	}
	return p
}

// Read returns the content of a file of the corpus; see [Path].
func Read(tb testing.TB, elem ...string) []byte {
	tb.Helper()
	b, err := os.ReadFile(Path(tb, elem...))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Wycheproof returns the test groups of a file of version 1 vectors, such as
// "aes_wrap_test.json", decoded into G. It fails the test if there are none.
func Wycheproof[G any](tb testing.TB, file string) []G {
	tb.Helper()
	var v struct{ TestGroups []G }
	if err := json.Unmarshal(Read(tb, "wycheproof", "testvectors_v1", file), &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.TestGroups) == 0 {
		tb.Fatal("no test groups in " + file)
	}
	return v.TestGroups
}

// Hex is a string of octets that JSON writes in hexadecimal digits.
type Hex []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// Case is what all tests of all groups have in common.
type Case struct {
	TcID    int    // the number of the test in its file
	Comment string // what it is about
	Flags   []string
	Result  string // "valid", "invalid" or "acceptable"
}

// Has reports whether the test carries flag.
func (c *Case) Has(flag string) bool {
	for _, f := range c.Flags {
		if f == flag {
			return true
		}
	}
	return false
}
