// Package forge makes CMS structures of any shape, right or wrong, for tests: [Signed]
// and [Enveloped] write whatever their fields say, sign as somebody who plays along, and
// use no randomness, so that the same fields give the same octets.
//
// Nothing here is fit for anything but tests.
package forge
