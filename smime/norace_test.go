//go:build !race

package smime_test

// slowdown is 1 where nothing watches the memory.
const slowdown = 1
