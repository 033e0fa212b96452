//go:build race

package smime_test

// slowdown is what the race detector costs, and more.
const slowdown = 20
