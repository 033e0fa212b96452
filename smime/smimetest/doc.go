// Package smimetest makes certificates, revocation answers and messages for tests of
// programs that use S/MIME, as net/http/httptest does for HTTP.
//
// [NewPKI] returns a root, an issuing authority and a clock that stands still. From there
// [PKI.Alice], [PKI.Bob] and [PKI.Issue] give identities with keys, [PKI.Verifier] trusts
// the root, [Authority.CRL] and [Authority.OCSP] answer for certificates, and [Mail] is a
// message to protect.
//
// Names, serial numbers and times are the same in every run; keys are not. RSA keys are
// slow to make, so that a process makes them once for each name: Alice has the same key in
// every PKI. Authorities never share keys.
//
// Nothing here is fit for anything but tests.
package smimetest
