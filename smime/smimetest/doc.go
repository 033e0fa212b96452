// Package smimetest makes certificates, revocation answers and messages for tests of
// programs that use S/MIME, as net/http/httptest does for HTTP.
//
// [NewPKI] returns a root, an issuing authority and a clock that stands still. From there
// [PKI.Alice], [PKI.Bob] and [PKI.Issue] give identities with keys, [PKI.Verifier] trusts
// the root, [Authority.CRL] and [Authority.OCSP] answer for certificates, [Mail] is a
// message to protect, and [PKI.Message] protects it in every form there is.
//
// [Forge] makes the messages of the attack catalogue: hundreds of defects by name, each of
// a message that has nothing else wrong with it. [Cases] is the catalogue as data: what each
// defect is, and what a reader has to answer.
//
// Names, serial numbers and times are the same in every run; keys are not. RSA keys are
// slow to make, so that a process makes them once for each name: Alice has the same key in
// every PKI. Authorities never share keys.
//
// Nothing here is fit for anything but tests.
package smimetest
