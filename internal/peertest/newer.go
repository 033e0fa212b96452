package peertest

import (
	"os"
	"path/filepath"
	"strings"
)

// newer is the folder with the programs of a newer Debian, which .ci/newer fills: the one
// that POSTSEAL_NEWER names, or the one in the user's cache.
func newer() string {
	if dir := os.Getenv("POSTSEAL_NEWER"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "postseal", "newer")
}

// lookNewer finds a program in that folder, or returns a MissingError.
func lookNewer(peer, program string) (string, error) {
	path := filepath.Join(newer(), "bin", program)
	if _, err := os.Stat(path); err != nil {
		return "", &MissingError{Peer: peer, Program: path, Remedy: "run .ci/newer"}
	}
	return path, nil
}

// newerVersion returns the version of a package there, without epoch and revision.
func newerVersion(pkg string) string {
	text, err := os.ReadFile(filepath.Join(newer(), "versions", pkg))
	if err != nil {
		return ""
	}
	return upstream(string(text))
}

// upstream cuts a version of Debian's down to that of the program.
func upstream(version string) string {
	version = strings.TrimSpace(version)
	if _, after, ok := strings.Cut(version, ":"); ok {
		version = after
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	return version
}
