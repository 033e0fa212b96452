// Package catalogue makes the messages of the attack catalogue: of a message that is as it
// should be, one for everything that may be wrong with it, and for what is odd and right.
// The folder testdata/open is made by it, and so is what package smimetest forges.
//
// Nothing here is fit for anything but tests.
package catalogue
