package chain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A ruling is a rule of the validator with the tests named for it: good is what passes by
// it, bad what fails by it alone. A citation is a test, or a test and a text in it, which
// is the name of its row; the package stands in front where it is another one.
type ruling struct{ rule, good, bad string }

// rulebook lists every rule, by the stage at which it counts. X1 to X19 are the defects of
// crypto/x509, O1 to O6 those of golang.org/x/crypto/ocsp: each is a test here.
func rulebook() []ruling {
	return []ruling{
		// How a certificate is made.
		{"a certificate is DER and nothing else", "TestRulesOfForm/parse: a certificate", "TestRulesOfForm/parse: trailing octets"},
		{"a certificate is whole", "TestRulesOfForm/parse: a certificate", "TestRulesOfForm/parse: cut short"},
		{"BER is told", "TestQuirks/quirk: the same certificate in DER", "TestQuirks/quirk: BER around a certificate is told"},
		{"X12: Brainpool curves are read", "TestQuirks/quirk: brainpoolP256r1", "TestQuirks/quirk: a curve nobody knows"},
		{"X12: secp256k1 is read", "TestQuirks/quirk: secp256k1", "TestQuirks/quirk: a curve nobody knows"},
		{"X12: relative names of distribution points are read", "TestQuirks/quirk: nameRelativeToCRLIssuer", "TestCRLRules/for another distribution point"},
		{"X12: UTF-8 in an rfc822Name is read", "TestQuirks/quirk: UTF-8 in an rfc822Name", "TestRulesOfForm/extension: malformed"},
		{"X12: critical authorityInfoAccess is tolerated", "TestQuirks/quirk: critical authorityInfoAccess", "TestRulesOfForm/key identifiers: critical, for TLS"},
		{"X12: critical key identifiers are tolerated", "TestRulesOfForm/key identifiers: critical", "TestRulesOfForm/key identifiers: critical, for TLS"},
		{"X12: lists of version 1 are read", "TestCRLRules/of version 1", "TestCRLRules/stale"},
		{"X13: a serial number is positive and short", "TestRulesOfForm/serial: ordinary", "TestRulesOfForm/serial: zero"},
		{"X12, X13: a negative serial number is told", "TestRulesOfForm/serial: ordinary", "TestRulesOfForm/serial: negative"},
		{"X13: a long serial number is told", "TestRulesOfForm/serial: ordinary", "TestRulesOfForm/serial: long"},
		{"X13: serial numbers for TLS are as RFC 5280 has them", "TestRulesOfForm/serial: ordinary", "TestRulesOfForm/serial: zero, for TLS"},
		{"the two signature algorithms are equal", "TestRulesOfForm/parse: a certificate", "TestRulesOfForm/algorithms: the two fields differ"},
		{"the version fits the extensions", "TestRulesOfForm/parse: a certificate", "TestRulesOfForm/version: extensions in version 1"},
		{"no extension comes twice", "TestRulesOfForm/extension: unknown", "TestRulesOfForm/extension: twice"},
		{"X15: an unknown critical extension is named", "TestRulesOfForm/extension: unknown", "TestRulesOfForm/extension: unknown and critical"},
		{"X15: in a CA too", "TestRulesOfForm/extension: unknown", "TestRulesOfForm/extension: unknown and critical in a CA"},
		{"a subject may be empty beside a critical subjectAltName", "TestRulesOfForm/subject: empty with a critical subjectAltName", "TestRulesOfForm/subject: empty without"},
		{"X13: an issuer has a name", "TestRulesOfForm/parse: a certificate", "TestRulesOfForm/name.empty_issuer"},
		{"what is no certificate is skipped in a message", "TestRulesOfForm/parse: rubbish in the message is skipped", "TestRulesOfForm/parse: no certificate"},

		// Building paths.
		{"certificates chain by name", "TestRulesOfBuilding/path: complete", "TestRulesOfBuilding/names: another name"},
		{"X6: names compare by RFC 5280, Section 7.1", "TestRulesOfBuilding/names: case and spaces do not matter", "TestRulesOfBuilding/names: another name"},
		{"X6: string types do not matter", "internal/pkix TestCanonicalComparesNames/string type", "internal/pkix TestCanonicalComparesNames/other value"},
		{"key identifiers order and never exclude", "TestRulesOfBuilding/path: the identifier of another key does not exclude", "TestRulesOfBuilding/path: issuer missing"},
		{"a message may bring anything in any order", "TestRulesOfBuilding/path: certificates of the message in any number and order", "TestRulesOfBuilding/path: issuer missing"},
		{"twins are all tried", "TestOrderDoesNotMatter", "TestRulesOfPath/time: expired CA"},
		{"a self-signed certificate of a message is no anchor", "TestRulesOfBuilding/path: complete", "TestRulesOfBuilding/path: a self-signed certificate of the message is no anchor"},
		{"a self-signed leaf is no anchor", "TestRulesOfBuilding/path: complete", "TestRulesOfBuilding/path: self-signed leaf"},
		{"X10: the work of a search is bounded, and decoys do not hide the path", "TestManySameNamedCAs", "TestLongPath"},
		{"a mesh of CAs is searched once", "TestMeshOfCAs/root above one", "TestMeshOfCAs/no root"},
		{"a path contains no certificate twice", "TestMeshOfCAs/root above one", "TestMeshOfCAs/forged link to the root"},
		{"the depth the caller allows", "TestRulesOfBuilding/depth: as many CAs as allowed", "TestRulesOfBuilding/depth: one too many"},
		{"an anchor is limited by its owner", "TestAnchorLimits/purpose: this", "TestAnchorLimits/purpose: another"},
		{"an anchor is limited in time", "TestAnchorLimits/issued: in time", "TestAnchorLimits/issued: too late"},
		{"an anchor is limited in names", "TestAnchorLimits/mail: inside", "TestAnchorLimits/mail: outside"},
		{"an anchor is limited in path length", "TestAnchorLimits/path length: as long as allowed", "TestAnchorLimits/path length: longer"},
		{"X14: an anchor is what the caller named, self-signed or not", "TestRulesOfBuilding", "TestRulesOfAnchors/no CA"},
		{"X14: an expired anchor counts only where that is chosen", "TestRulesOfAnchors/ordinary", "TestRulesOfAnchors/expired"},
		{"an anchor's own signature is not judged", "TestRulesOfAnchors/own signature is wrong", "TestRulesOfPath/signature: wrong"},
		{"an anchor of version 1 is accepted", "TestRulesOfAnchors/version 1", "TestRulesOfPath/CA: of version 1"},
		{"an anchor's name constraints count", "TestRulesOfAnchors/ordinary", "TestRulesOfAnchors/name constraints"},
		{"an anchor's keyUsage counts", "TestRulesOfAnchors/ordinary", "TestRulesOfAnchors/keyUsage without keyCertSign"},
		{"an anchor's critical extensions count", "TestRulesOfAnchors/ordinary", "TestRulesOfAnchors/unknown critical extension"},
		{"X17: the context is heeded", "TestManySameNamedCAs", "TestCancelledContext"},
		{"issuers are fetched only on demand", "TestFetchIssuers/found", "TestFetchIssuers/not asked for"},
		{"what was fetched is no anchor", "TestFetchIssuers/found", "TestFetchIssuers/a root that was fetched is no anchor"},

		// Each certificate of a path.
		{"the signature verifies", "TestRulesOfPath/signature: right", "TestRulesOfPath/signature: wrong"},
		{"valid from, inclusive", "TestRulesOfPath/time: the first second", "TestRulesOfPath/time: the second before"},
		{"valid until, inclusive", "TestRulesOfPath/time: the last second", "TestRulesOfPath/time: the second after"},
		{"fractions of a second are dropped", "TestRulesOfPath/time: a fraction after the last second", "TestRulesOfPath/time: the second after"},
		{"every certificate is valid at the same time", "TestRulesOfPath/signature: right", "TestRulesOfPath/time: expired CA"},
		{"an issuer is a CA", "TestRulesOfPath/CA: without keyUsage", "TestRulesOfPath/CA: cA is false"},
		{"an issuer says that it is a CA", "TestRulesOfPath/CA: without keyUsage", "TestRulesOfPath/CA: no basicConstraints"},
		{"an issuer may sign certificates", "TestRulesOfPath/CA: without keyUsage", "TestRulesOfPath/CA: keyUsage without keyCertSign"},
		{"the path length", "TestRulesOfPath/path length: none below", "TestRulesOfPath/path length: one below"},
		{"X7: self-issued certificates do not count for it", "TestRulesOfPath/path length: X7, self-issued ones do not count", "TestRulesOfPath/path length: one below"},
		{"extended key usage nests", "TestRulesOfPath/extended key usage of a CA: mail", "TestRulesOfPath/extended key usage of a CA: TLS"},
		{"extended key usage of a CA may be any", "TestRulesOfPath/extended key usage of a CA: any", "TestRulesOfPath/extended key usage of a CA: TLS"},
		{"the claimed time decides nothing", "TestClaimedTime", "TestClaimedTime/time.expired_after_signing"},
		{"a vouched time decides", "TestRevokedAfterTrustedTime/signed before", "TestRevokedAfterTrustedTime/signed after"},
		{"a key compromised earlier counts at all times", "TestRevokedAfterTrustedTime/signed before, key compromised after", "TestRevokedAfterTrustedTime/signed before, key compromised earlier still"},
		{"evidence from after the end counts if it keeps what has ended", "TestEvidenceAfterTheEnd/a list that keeps it", "TestEvidenceAfterTheEnd/a list that drops what has ended"},

		// Name constraints.
		{"X1: a mail host is that host alone", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/mail: host, subdomain"},
		{"X1: and excludes no more", "TestRulesOfNameConstraints/mail: excluded host, subdomain (X1)", "TestRulesOfNameConstraints/mail: excluded host"},
		{"a mail domain is its subdomains", "TestRulesOfNameConstraints/mail: domain, subdomain", "TestRulesOfNameConstraints/mail: domain, the host itself"},
		{"a mailbox, local part exact", "TestRulesOfNameConstraints/mail: mailbox", "TestRulesOfNameConstraints/mail: mailbox, local part in other case"},
		{"a malformed constraint", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/mail: malformed constraint"},
		{"a constraint with two @", "TestRulesOfNameConstraints/mail: mailbox", "TestRulesOfNameConstraints/mail: constraint with two @"},
		{"a name with a trailing dot", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/mail: malformed name"},
		{"quotes hide nothing", "TestRulesOfNameConstraints/mail: mailbox", "TestRulesOfNameConstraints/mail: mailbox in quotes is the same"},
		{"a quoted @ is no domain", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/mail: quoted @ in the name"},
		{"every name is checked", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/mail: one name inside and one outside"},
		{"X2: SmtpUTF8Mailbox is constrained", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: inside (X2)", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: outside (X2)"},
		{"X2: and excluded", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: inside (X2)", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: excluded (X2)"},
		{"labels compare in A-label form", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: A-label and U-label", "TestRulesOfNameConstraints/SmtpUTF8Mailbox: outside (X2)"},
		{"X3: addresses in the subject are constrained", "TestRulesOfNameConstraints/subject: address inside, no subjectAltName (X3)", "TestRulesOfNameConstraints/subject: address outside, no subjectAltName (X3)"},
		{"X3: beside subjectAltName too", "TestRulesOfNameConstraints/subject: address inside, no subjectAltName (X3)", "TestRulesOfNameConstraints/subject: address outside beside one inside (X3)"},
		{"X4: directoryName, critical or not", "TestRulesOfNameConstraints/directoryName: inside", "TestRulesOfNameConstraints/directoryName: outside"},
		{"directoryName compares whole values", "TestRulesOfNameConstraints/directoryName: inside", "TestRulesOfNameConstraints/directoryName: only the beginning of a value"},
		{"directoryName in subjectAltName", "TestRulesOfNameConstraints/directoryName: inside", "TestRulesOfNameConstraints/directoryName: in subjectAltName"},
		{"X5: constraints of one form leave the others alone", "TestRulesOfNameConstraints/mail constraints leave other forms alone (X5)", "TestRulesOfNameConstraints/URI: without host under URI constraints"},
		{"X5: a URI host is that host alone", "TestRulesOfNameConstraints/URI: host", "TestRulesOfNameConstraints/URI: subdomain of a host (X5)"},
		{"X5: and excludes no more", "TestRulesOfNameConstraints/URI: excluded host, subdomain (X5)", "TestRulesOfNameConstraints/URI: subdomain of a host (X5)"},
		{"a URI domain is its subdomains", "TestRulesOfNameConstraints/URI: domain", "TestRulesOfNameConstraints/URI: domain, the host itself"},
		{"X18: two mailboxes of one local part", "TestRulesOfNameConstraints/mail: two mailboxes of one local part, second (X18)", "TestRulesOfNameConstraints/mail: two mailboxes of one local part, neither (X18)"},
		{"X18: a wildcard that may be an excluded host", "TestRulesOfNameConstraints/DNS: wildcard beside an excluded host", "TestRulesOfNameConstraints/DNS: wildcard that may be an excluded host (X18)"},
		{"DNS names", "TestRulesOfNameConstraints/DNS: subdomain", "TestRulesOfNameConstraints/DNS: outside"},
		{"addresses of the network", "TestRulesOfNameConstraints/address: inside", "TestRulesOfNameConstraints/address: outside"},
		{"a mask is contiguous", "TestRulesOfNameConstraints/address: inside", "TestRulesOfNameConstraints/address: mask with holes"},
		{"a form that cannot be evaluated", "TestRulesOfNameConstraints/otherName: constrained and absent", "TestRulesOfNameConstraints/otherName: constrained and present"},
		{"an empty extension", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/extension: empty"},
		{"minimum and maximum", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/extension: minimum is used"},
		{"X13: constraints in an end entity", "TestRulesOfNameConstraints/mail: host, same host", "TestRulesOfNameConstraints/extension: in an end entity"},
		{"the constraints of every CA count", "TestRulesOfNameConstraints/mail: domain, subdomain", "TestRulesOfNameConstraints/nested: outside the outer"},
		{"X7: self-issued certificates are exempt, unless last", "TestRulesOfNameConstraints/self-issued: exempt (X7)", "TestRulesOfNameConstraints/self-issued: not exempt as the last"},
		{"the work of comparing is bounded", "TestRulesOfNameConstraints/mail: host, same host", "TestNameConstraintWork"},

		// Purpose.
		{"X8: signing, without keyUsage", "TestRulesOfPurpose/sign: without keyUsage", "TestRulesOfPurpose/sign: keyEncipherment only"},
		{"X8: signing, by digitalSignature", "TestRulesOfPurpose/sign: digitalSignature", "TestRulesOfPurpose/sign: keyEncipherment only"},
		{"signing, by nonRepudiation", "TestRulesOfPurpose/sign: nonRepudiation", "TestRulesOfPurpose/sign: keyEncipherment only"},
		{"X8: encrypting, RSA", "TestRulesOfPurpose/encrypt: RSA with keyEncipherment", "TestRulesOfPurpose/encrypt: digitalSignature only"},
		{"encrypting, EC", "TestRulesOfPurpose/encrypt: EC with keyAgreement", "TestRulesOfPurpose/encrypt: EC with keyEncipherment"},
		{"encrypting, decipherOnly", "TestRulesOfPurpose/encrypt: EC with keyAgreement and encipherOnly", "TestRulesOfPurpose/encrypt: EC with keyAgreement and decipherOnly"},
		{"encrypting, keys that can only sign", "TestRulesOfPurpose/encrypt: without keyUsage", "TestRulesOfPurpose/encrypt: a key that can only sign"},
		{"extended key usage: mail", "TestRulesOfPurpose/extended: mail", "TestRulesOfPurpose/extended: TLS only"},
		{"extended key usage: any", "TestRulesOfPurpose/extended: any", "TestRulesOfPurpose/extended: TLS only"},
		{"X8: an empty extended key usage is not an absent one", "TestRulesOfPurpose/extended: absent", "TestRulesOfPurpose/extended: empty is not absent"},
		{"both usages must allow", "TestRulesOfPurpose/extended: mail", "TestRulesOfPurpose/both: extended allows, usage does not"},
		{"a CA as a leaf is told", "TestRulesOfPurpose/sign: digitalSignature", "TestRulesOfPurpose/leaf: a CA"},
		{"time-stamping, critical and alone", "TestTimeStamping/critical and alone", "TestTimeStamping/with another"},

		// Policies.
		{"an explicit policy", "TestRulesOfPolicies/explicit: one policy", "TestRulesOfPolicies/explicit: none"},
		{"X14: policies count whatever the extended key usage", "TestRulesOfPolicies/explicit: one policy, for any purpose", "TestRulesOfPolicies/explicit: none, for any purpose"},
		{"the initial set", "TestRulesOfPolicies/initial set: in it", "TestRulesOfPolicies/initial set: not in it"},
		{"anyPolicy and its inhibition", "TestRulesOfPolicies/any: stands for all", "TestRulesOfPolicies/any: inhibited by the caller"},
		{"inhibitAnyPolicy of a CA", "TestRulesOfPolicies/any: stands for all", "TestRulesOfPolicies/any: inhibited by a CA"},
		{"mapping and its inhibition", "TestRulesOfPolicies/mapping: followed", "TestRulesOfPolicies/mapping: inhibited"},
		{"anyPolicy is never mapped to", "TestRulesOfPolicies/mapping: followed", "TestRulesOfPolicies/mapping: to any"},
		{"anyPolicy is never mapped from", "TestRulesOfPolicies/mapping: followed", "TestRulesOfPolicies/mapping: from any"},
		{"requireExplicitPolicy of a CA", "TestRulesOfPolicies/constraints: demanded and there", "TestRulesOfPolicies/constraints: demanded and missing"},
		{"policyConstraints are critical", "TestRulesOfPolicies/constraints: demanded and there", "TestRulesOfPolicies/constraints: not critical"},
		{"self-issued certificates count nothing down", "TestRulesOfPolicies/self-issued: counts nothing down", "TestRulesOfPolicies/self-issued: demanded below it"},
		{"the nodes of the policy graph are bounded", "TestRulesOfPolicies/mapping: followed", "TestPolicyFanOut"},

		// Algorithms.
		{"RSA with SHA-256", "TestRulesOfAlgorithms/RSA with SHA-256", "TestRulesOfAlgorithms/SHA-1"},
		{"X19: PSS", "TestRulesOfAlgorithms/PSS with SHA-384", "TestRulesOfAlgorithms/unknown"},
		{"SHA-1 by name", "TestRulesOfAlgorithms/SHA-1, allowed by name", "TestRulesOfAlgorithms/SHA-1"},
		{"MD5 never", "TestRulesOfAlgorithms/SHA-1, allowed by name", "TestRulesOfAlgorithms/MD5, never"},
		{"X11: small keys", "TestRulesOfAlgorithms/RSA with SHA-256", "TestRulesOfAlgorithms/RSA of 1024 bits"},
		{"X11: small issuers", "TestRulesOfAnchors/ordinary", "TestRulesOfAnchors/too small"},
		{"X11: keys too large are never used", "TestHugeKeys", "TestRulesOfAlgorithms/alg.too_large"},
		{"unknown algorithms", "TestRulesOfAlgorithms/P-521", "TestRulesOfAlgorithms/unknown"},
		{"keys that cannot be read", "TestUnreadableKeys", "TestUnreadableKeys/a path leads through a key that cannot be read"},

		// Addresses and hosts.
		{"a mailbox is named", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/another"},
		{"no subdomain is", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/a subdomain"},
		{"case of an ASCII local part is folded and told", "TestRulesOfAddresses/case of the local part", "TestRulesOfAddresses/another"},
		{"case of an internationalised local part counts", "TestRulesOfAddresses/SmtpUTF8Mailbox", "TestRulesOfAddresses/SmtpUTF8Mailbox: case of the local part"},
		{"an address in the subject", "TestRulesOfAddresses/in the subject", "TestRulesOfAddresses/a common name is none"},
		{"none where none is asked", "TestRulesOfAddresses/no address, none asked", "TestRulesOfAddresses/no address"},
		{"a user principal name is no address", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/a user principal name is none"},
		{"a directoryName is no address", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/a directoryName in subjectAltName is none"},
		{"an asterisk is literal", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/an asterisk is literal"},
		{"NUL ends nothing", "TestRulesOfAddresses/equal", "TestRulesOfAddresses/NUL in the name"},
		{"X9: critical SmtpUTF8Mailbox and empty subject", "TestRulesOfAddresses/X9: critical SmtpUTF8Mailbox and empty subject", "TestRulesOfAddresses/SmtpUTF8Mailbox: case of the local part"},
		{"hosts", "TestRulesOfHosts/equal", "TestRulesOfHosts/another"},
		{"wildcards stand for one label", "TestRulesOfHosts/wildcard", "TestRulesOfHosts/wildcard: two labels"},
		{"a common name is no host", "TestRulesOfHosts/equal", "TestRulesOfHosts/the common name does not count"},
		{"addresses of hosts", "TestRulesOfHosts/address", "TestRulesOfHosts/another address"},

		// Revocation: modes, lists, responses.
		{"missing status, where a source is named", "TestRevocationModes/strict: answered", "TestRevocationModes/strict: source named, nothing at hand"},
		{"missing status, where none is named", "TestRevocationModes/strict: no source named", "TestRevocationModes/all: no source named"},
		{"missing status, soft", "TestRevocationModes/soft: nothing at hand", "TestRevocationModes/soft: revoked"},
		{"off, and told", "TestRevocationModes/off: revoked", "TestRevocationModes/soft: revoked"},
		{"revoked beats good", "TestRevocationModes/strict: answered", "TestRevokedBeatsGood"},
		{"revoked issuers", "TestRevocationModes/strict: answered", "TestRevokedIssuer"},
		{"another path may avoid a revoked certificate", "TestPathAroundRevocation", "TestRevokedIssuer"},
		{"X16: lists are fresh", "TestCRLRules/fresh", "TestCRLRules/stale"},
		{"X16: lists are not of the future", "TestCRLRules/fresh", "TestCRLRules/of the future"},
		{"X16: lists are signed by their issuer", "TestCRLRules/fresh", "TestCRLRules/signed by another key of that name"},
		{"X16: critical extensions of lists", "TestCRLRules/fresh", "TestCRLRules/unknown critical extension"},
		{"X16: critical extensions of entries", "TestCRLRules/fresh", "TestCRLRules/unknown critical extension of an entry"},
		{"X16: issuingDistributionPoint, kind of certificate", "TestCRLRules/for end entities only", "TestCRLRules/for CA certificates only"},
		{"X16: issuingDistributionPoint, attribute certificates", "TestCRLRules/for end entities only", "TestCRLRules/for attribute certificates only"},
		{"X16: issuingDistributionPoint, name", "TestCRLRules/fresh", "TestCRLRules/for another distribution point"},
		{"X16: reasons add up", "TestCRLRules/fresh", "TestCRLRules/for some reasons only"},
		{"X16: no reasons at all", "TestCRLRules/fresh", "TestCRLRules/for some reasons, none of them"},
		{"X16: deltas need their base", "TestDeltaRules/nothing new", "TestCRLRules/a delta alone"},
		{"X16: deltas add", "TestDeltaRules/nothing new", "TestDeltaRules/revoked since"},
		{"X16: deltas take holds back", "TestDeltaRules/a hold is lifted", "TestDeltaRules/a hold is not lifted"},
		{"X16: deltas fit their base", "TestDeltaRules/of a later base", "TestDeltaRules/revoked since"},
		{"X16: indirect lists are named by the certificate", "TestIndirectRules/empty", "TestIndirectRules/the certificate does not name it"},
		{"X16: indirect lists say what they are", "TestIndirectRules/empty", "TestIndirectRules/does not say that it is indirect"},
		{"X16: entries of indirect lists name the issuer", "TestIndirectRules/names another issuer", "TestIndirectRules/names the issuer of the leaf"},
		{"holds are lifted by newer lists", "TestHoldIsLifted/lifted", "TestHoldIsLifted/on hold"},
		{"O1: a response is by the issuer or a delegate", "TestOCSPRules/by a delegate", "TestOCSPRules/O1: by any certificate of the issuer"},
		{"O1: a delegate is made for it", "TestOCSPRules/by a delegate", "TestOCSPRules/by a delegate for any purpose"},
		{"O1: a delegate is valid", "TestOCSPRules/by a delegate", "TestOCSPRules/by an expired delegate"},
		{"a delegate is valid still", "TestOCSPRules/by a delegate", "TestOCSPRules/by a delegate that has expired since"},
		{"responses are made after what they tell", "TestOCSPRules/made a little before, by its clock", "TestOCSPRules/made before what it tells of"},
		{"O1: a delegate is the issuer's own", "TestOCSPRules/by a delegate", "TestOCSPRules/by a delegate of another CA"},
		{"a delegate's own status", "TestOCSPRules/by a delegate on no CRL", "TestOCSPRules/by a delegate of unknown status"},
		{"O2: a response is fresh", "TestOCSPRules/by the issuer", "TestOCSPRules/O2: years old"},
		{"a response without an end is fresh for a day", "TestOCSPRules/fresh, without an end", "TestOCSPRules/old, without an end"},
		{"a response is not of the future", "TestOCSPRules/by the issuer", "TestOCSPRules/of the future"},
		{"O3: the whole CertID counts", "TestOCSPRules/by the issuer", "TestOCSPRules/O3: same serial of another issuer"},
		{"O3: SHA-256 in it", "TestOCSPRules/SHA-256 in the CertID", "TestOCSPRules/about another certificate"},
		{"O4: the issuer's certificate may be inside", "TestOCSPRules/O4: by the issuer, whose certificate is inside", "TestOCSPRules/by another CA of that name"},
		{"O5: every certificate inside is tried", "TestResponderIsFound/behind others", "TestResponderIsFound/not among them"},
		{"O6: critical extensions of responses", "TestOCSPRules/by the issuer", "TestOCSPRules/unknown critical extension"},
		{"O6: nonces", "TestNonce", "TestNonce/ocsp.nonce"},
		{"O6: archive cutoff", "TestEvidenceAfterTheEnd/a response with an archive", "TestEvidenceAfterTheEnd/a response with an archive of less"},
		{"O6: PSS", "TestResponderIsFound/with PSS", "TestResponderIsFound/with PSS, altered"},
		{"unknown is not good", "TestOCSPRules/by the issuer", "TestOCSPRules/unknown"},
		{"an error is no answer", "TestOCSPRules/by the issuer", "TestOCSPRules/an error"},
		{"nothing is fetched for what is not verified", "TestFetchIssuers/found", "TestFetchOnlyForVerified"},
		{"a store is asked, and not trusted", "TestStatusStore/lists", "TestStatusStore/a list by somebody else"},
		{"fetching: addresses", "chain/fetch TestFetch", "chain/fetch TestRefused"},
		{"fetching: servers", "chain/fetch TestFetch", "chain/fetch TestServersThatMisbehave"},
		{"fetching: the cache", "chain/fetch TestCacheFolder", "chain/fetch TestCacheIsNotTrusted"},
		{"fetching: only what is verified is kept", "chain/fetch TestCacheForgetsWhatIsForged/verified", "chain/fetch TestCacheForgetsWhatIsForged/forged, of the future"},
		{"fetching: the fetcher is told what is verified", "TestFetcherIsTold/a list", "TestFetcherIsTold/a list by somebody else"},
		{"fetching: a forged answer heals", "TestForgedAnswerHeals/genuine", "TestForgedAnswerHeals/forged, of the future"},

		// What the CA/Browser Forum wants.
		{"br: lists", "chain/brlint TestCheckCRL/ten days", "chain/brlint TestCheckCRL/a second more"},
		{"br: responses", "chain/brlint TestCheckOCSP/by a delegate", "chain/brlint TestCheckOCSP/by a delegate without nocheck"},
		{"br: certificates", "chain/brlint TestCheck/without fault", "chain/brlint TestCheck/two reserved policies"},
	}
}

// texts maps "package TestName" to the string literals in that test, for the packages of
// this folder and of internal/pkix.
func texts(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, dir := range []string{"chain", "chain/fetch", "chain/brlint", "internal/pkix"} {
		files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || !strings.HasPrefix(fn.Name.Name, "Test") || fn.Recv != nil || fn.Name.Name == "TestRulebook" {
					continue
				}
				key := dir + " " + fn.Name.Name
				out[key] = []string{""}
				ast.Inspect(fn, func(n ast.Node) bool {
					if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
						s, err := strconv.Unquote(l.Value)
						if err != nil {
							t.Fatal(err)
						}
						out[key] = append(out[key], s)
					}
					return true
				})
			}
		}
	}
	return out
}

// TestRulebook holds the table of rules against the tests there are: every rule has one that
// passes and one that fails by it, and every defect of the standard library is among them.
func TestRulebook(t *testing.T) {
	tests := texts(t)
	check := func(rule, citation string) {
		t.Helper()
		if strings.HasPrefix(citation, "Test") {
			citation = "chain " + citation
		}
		i := strings.Index(citation, " Test")
		name, row, _ := strings.Cut(citation[i+1:], "/")
		list, ok := tests[citation[:i+1]+name]
		if !ok || !slices.Contains(list, row) {
			t.Errorf("%s: there is no test %s", rule, citation)
		}
	}
	seen := map[string]bool{}
	for _, r := range rulebook() {
		if r.good == r.bad {
			t.Errorf("%s: good and bad are the same test", r.rule)
		}
		check(r.rule, r.good)
		check(r.rule, r.bad)
		head, _, _ := strings.Cut(r.rule, ":")
		for _, id := range strings.Split(head, ", ") {
			seen[id] = true
		}
	}
	for prefix, n := range map[string]int{"X": 19, "O": 6} {
		for i := range n {
			if id := prefix + strconv.Itoa(i+1); !seen[id] {
				t.Errorf("the defect %s of the standard library has no rule", id)
			}
		}
	}
}

// Every code that a report can have is expected by some test.
func TestEveryCodeIsTested(t *testing.T) {
	code := regexp.MustCompile(`"((?:request|parse|path|anchor|sig|alg|time|name|ca|ext|cert|nc|policy|ku|eku|address|host|rev|crl|ocsp)\.[a-z_]+)"`)
	collect := func(tests bool) map[string]bool {
		files, err := filepath.Glob("*.go")
		if err != nil || len(files) == 0 {
			t.Fatal("no files", err)
		}
		out := map[string]bool{}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") != tests || name == "rulebook_test.go" {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range code.FindAllSubmatch(text, -1) {
				out[string(m[1])] = true
			}
			for _, m := range regexp.MustCompile(`[a-z]+\.[a-z_]+`).FindAll(text, -1) {
				if tests {
					out[string(m)] = true
				}
			}
		}
		return out
	}
	used, expected := collect(false), collect(true)
	if len(used) < 60 {
		t.Fatalf("only %d codes found", len(used))
	}
	for c := range used {
		if !expected[c] && c != "path.untrusted" { // the beginning of one, for ordering
			t.Errorf("no test expects %s", c)
		}
	}
}
