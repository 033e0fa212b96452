package smime

import (
	"fmt"
	"io"
	"strings"
)

// ParseSmimeConfig reads the S/MIME settings of an Exchange organisation, as
// Get-SmimeConfig | ConvertTo-Json prints them or as the list Get-SmimeConfig prints
// alone. The settings of Get-MobileDeviceMailboxPolicy that concern S/MIME are read the
// same way, and so are SmimeSign and SmimeEncrypt of a mailbox or a label.
//
// Every setting either takes effect in the policy or has a Note that says why it has
// none. A setting that weakens security takes effect as far as this package can be
// weakened and always has a Note of severity "warning". A value that means nothing has
// one of severity "error", and the strict value stands in its place. Settings nobody
// knows are kept in Policy.Kept, with a Note. A caller that wants the published grammar
// to the letter refuses what has a Note with code "config.lenient".
//
// The error is for input that is no such listing at all.
func ParseSmimeConfig(r io.Reader) (*Policy, []Note, error) {
	settings, err := readSettings(r)
	if err != nil {
		return nil, nil, fmt.Errorf("smime: reading S/MIME settings: %w", err)
	}
	c := &configReader{policy: &Policy{}}
	for _, s := range settings {
		c.apply(s)
	}
	c.finish()
	return c.policy, c.notes, nil
}

// A configReader collects what the settings say.
type configReader struct {
	policy *Policy
	notes  []Note

	chain, chainAndRoot, noCertificates bool
}

func (c *configReader) note(s setting, severity, code, format string, args ...any) {
	c.notes = append(c.notes, Note{About: s.name, Code: code, Severity: severity, Detail: fmt.Sprintf(format, args...)})
}

func (c *configReader) weakens(s setting, format string, args ...any) {
	c.note(s, "warning", "config.weakening", format, args...)
}

func (c *configReader) notApplicable(s setting, why string) {
	c.note(s, "info", "config.not_applicable", "%s", why)
}

// bool reads a switch; a value that is none leaves the strict one and says so.
func (c *configReader) bool(s setting, strict bool) bool {
	switch strings.ToLower(s.text) {
	case "true", "$true":
		return true
	case "false", "$false":
		return false
	}
	c.malformed(s, "true or false")
	return strict
}

// uint reads a number in 0 to max.
func (c *configReader) uint(s setting, max, strict uint32) uint32 {
	var n uint32
	if _, err := fmt.Sscanf(s.text, "%d", &n); err != nil || fmt.Sprint(n) != s.text || n > max {
		c.malformed(s, fmt.Sprintf("a number from 0 to %d", max))
		return strict
	}
	return n
}

func (c *configReader) malformed(s setting, want string) {
	c.note(s, "error", "config.malformed", "%q is not %s; the strict value stands", clip(s.text), want)
}

// apply gives one setting its effect. The cases are the parameters of Set-SmimeConfig in
// alphabetical order, then those of mobile device policies, mailboxes and labels.
func (c *configReader) apply(s setting) {
	p := c.policy
	switch strings.ToLower(s.name) {
	case "nosignonreply":
		if p.ReplyUnsigned = c.bool(s, false); p.ReplyUnsigned {
			c.weakens(s, "the reply to a signed message goes out unsigned")
		}
	case "owaallowuserchoiceofsigningcertificate":
		p.UserChoosesSigner = c.bool(s, false)
	case "owaalwaysencrypt":
		p.Encrypt = p.Encrypt || c.bool(s, true)
	case "owaalwayssign":
		p.Sign = p.Sign || c.bool(s, true)
	case "owabccencryptedemailforking":
		p.Bcc = [...]string{"each", "together", "shared"}[c.uint(s, 2, 0)]
		if p.Bcc == "shared" {
			c.weakens(s, "Bcc recipients would stand in the message everybody gets; such a message is refused instead")
		}
	case "owacheckcrlonsend":
		if p.SoftRevocationOnSend = !c.bool(s, true); p.SoftRevocationOnSend {
			c.weakens(s, "mail is sent although the status of a certificate cannot be found out")
		}
	case "owaclearsign":
		p.Opaque = !c.bool(s, true)
	case "owacopyrecipientheaders":
		c.keep(s)
		c.notApplicable(s, "reserved by Microsoft, its effect is not published; Policy.ProtectHeaders is something else")
	case "owacrlconnectiontimeout":
		p.FetchMillis = c.uint(s, 1<<32-1, 0)
	case "owacrlretrievaltimeout":
		p.FetchTotalMillis = c.uint(s, 1<<32-1, 0)
	case "owadisablecrlcheck":
		if p.NoRevocation = c.bool(s, false); p.NoRevocation {
			c.weakens(s, "certificates are not checked for revocation, so the mail of revoked signers verifies")
		}
	case "owadlexpansiontimeout":
		p.GroupMillis = c.uint(s, 1<<32-1, 0)
	case "owaencryptionalgorithms":
		c.ciphers(s)
	case "owaencrypttemporarybuffers":
		c.notApplicable(s, "no temporary file is ever written here")
	case "owaforcesmimeclientupgrade":
		c.notApplicable(s, "there is no browser control to upgrade")
	case "owaincludecertificatechainandrootcertificate":
		c.chainAndRoot = c.bool(s, false)
	case "owaincludecertificatechainwithoutrootcertificate":
		c.chain = c.bool(s, false)
		if !c.chain && p.Include == "" {
			p.Include = "leaf"
		}
	case "owaincludesmimecapabilitiesinmessage":
		if p.OmitCapabilities = !c.bool(s, true); p.OmitCapabilities {
			c.weakens(s, "correspondents do not learn which ciphers they may use and choose an old one")
		}
	case "owaonlyusesmartcard":
		p.HardwareKeys = c.bool(s, true)
	case "owasendercertificateattributestodisplay":
		c.attributes(s)
	case "owasignedemailcertificateinclusion":
		if c.noCertificates = !c.bool(s, true); c.noCertificates {
			c.weakens(s, "nobody without a directory finds the signer's certificate")
		}
	case "owasigningalgorithms":
		c.digests(s)
	case "owatriplewrapsignedencryptedmail":
		p.TripleWrap = c.bool(s, false)
	case "owausekeyidentifier":
		if p.RecipientKeyID = c.bool(s, false); p.RecipientKeyID {
			c.note(s, "info", "config.interoperability", "some clients cannot find keys by their identifier")
		}
	case "owausesecondaryproxieswhenfindingcertificates":
		p.SecondaryAddresses = c.bool(s, false)
	case "smimecertificateissuingca":
		c.issuingCA(s)
	case "allowsmimeencryptionalgorithmnegotiation", "allowsmimesoftcerts", "requireencryptedsmimemessages",
		"requireencryptionsmimealgorithm", "requiresignedsmimealgorithm", "requiresignedsmimemessages":
		c.applyActiveSync(s)
	case "smimesign":
		p.Sign = p.Sign || c.bool(s, true)
	case "smimeencrypt":
		p.Encrypt = p.Encrypt || c.bool(s, true)
	case "smimesuppressnamechecksenabled":
		if c.bool(s, false) {
			p.accept("mismatched-sender")
			c.weakens(s, "signatures of people who are not in From are accepted")
		}
	default:
		c.applyOther(s)
	}
}

// applyOther deals with what is no S/MIME setting: properties every object of the
// directory has, and names nobody knows.
func (c *configReader) applyOther(s setting) {
	c.keep(s)
	switch strings.ToLower(s.name) {
	case "smimecertificatesexpirydate", "smimeexpiredcertificatethumbprint":
		c.notApplicable(s, "computed from the certificate collection, as chain.Collection does itself")
	case "confirm", "whatif":
		c.notApplicable(s, "a switch of the shell")
	case "identity", "name", "id", "guid", "isvalid", "objectstate", "objectclass", "objectcategory",
		"distinguishedname", "admindisplayname", "exchangeversion", "exchangeobjectid", "organizationid",
		"organizationalunitroot", "originatingserver", "whenchanged", "whencreated", "whenchangedutc",
		"whencreatedutc", "runspaceid", "pscomputername", "psshowcomputername":
		c.notApplicable(s, "names the object in the directory and sets nothing")
	case "smimeenabled":
		c.notApplicable(s, "switches a feature of one old web client on or off")
	default:
		c.note(s, "warning", "config.unknown", "no setting of this name is known; its value is kept and nothing acts on it")
	}
}

func (c *configReader) keep(s setting) {
	if c.policy.Kept == nil {
		c.policy.Kept = map[string]string{}
	}
	c.policy.Kept[s.name] = s.text
}

// finish settles what several settings decide together.
func (c *configReader) finish() {
	p := c.policy
	switch {
	case c.noCertificates:
		p.Include = "none"
	case c.chainAndRoot: // the larger set wins
		p.Include = "chain+root"
	case c.chain:
		p.Include = "chain"
	}
	if p.FetchMillis > 0 && p.FetchTotalMillis > 0 && p.FetchMillis > p.FetchTotalMillis {
		c.notes = append(c.notes, Note{"OWACRLConnectionTimeout", "config.ineffective", "info",
			fmt.Sprintf("%d ms for one fetch never come into play: OWACRLRetrievalTimeout allows %d ms for all", p.FetchMillis, p.FetchTotalMillis)})
	}
}

// ciphers reads OWAEncryptionAlgorithms.
func (c *configReader) ciphers(s setting) {
	names, remarks, err := parseAlgorithms(s.list(), encryptionID)
	if s.null || err != nil {
		c.policy.Ciphers = []string{"aes256-cbc"}
		c.note(s, "error", "config.malformed", "%s; AES-256 is used, as Exchange does", reasonOf(err, "no list"))
		return
	}
	c.lenient(s, remarks)
	c.policy.Ciphers = names
	c.weakAlgorithms(s, names, knownCipher)
}

// digests reads OWASigningAlgorithms. What Exchange falls back to, SHA-1, is not written.
func (c *configReader) digests(s setting) {
	names, remarks, err := parseAlgorithms(s.list(), signingID)
	if s.null || err != nil {
		c.note(s, "error", "config.malformed", "%s; Exchange would sign with SHA-1, this package signs with SHA-256 or better", reasonOf(err, "no list"))
		return
	}
	c.lenient(s, remarks)
	for i, name := range names {
		if class, oid, ok := cutOID(name); ok {
			names[i] = class
			c.note(s, "warning", "config.unsupported", "the provider's own algorithm %s is not known; %s stands in its place", oid, class)
		}
	}
	c.policy.Digests = names
	c.weakAlgorithms(s, names, knownDigest)
}

func (c *configReader) lenient(s setting, remarks []string) {
	for _, r := range remarks {
		c.note(s, "warning", "config.lenient", "taken beyond the published grammar: %s", r)
	}
}

// weakAlgorithms warns of every algorithm in the list that will not be used.
func (c *configReader) weakAlgorithms(s setting, names []string, known func(string) (strong, ok bool)) {
	for _, name := range names {
		if strong, _ := known(name); !strong {
			if _, oid, own := cutOID(name); own {
				c.note(s, "warning", "config.unsupported", "the provider's own algorithm %s is not known and never used", oid)
			} else {
				c.weakens(s, "%s is too weak to be written and is never used", name)
			}
		}
	}
	if strongFirst(names, known) == "" {
		c.weakens(s, "no algorithm of the list can be used; a safe one is chosen instead")
	}
}

// attributes reads a list of object identifiers.
func (c *configReader) attributes(s setting) {
	if s.null || s.text == "" {
		return
	}
	for item := range strings.SplitSeq(s.list(), ",") {
		oid := strings.TrimSpace(item)
		if !dotted(oid) {
			c.note(s, "error", "config.malformed", "%q is no object identifier and is left out", clip(oid))
			continue
		}
		c.policy.ShowAttributes = append(c.policy.ShowAttributes, oid)
	}
}

func (c *configReader) issuingCA(s setting) {
	switch {
	case s.null || s.text == "" && s.bytes == nil:
		c.note(s, "info", "config.empty", "no certificate collection; anchors have to come from elsewhere")
	case s.bytes == nil:
		c.note(s, "error", "config.malformed", "the certificate collection is cut short or no list of bytes; print it with ConvertTo-Json")
	default:
		c.policy.IssuingCAs = s.bytes
	}
}

func (p *Policy) accept(word string) {
	for _, w := range p.Accept {
		if w == word {
			return
		}
	}
	p.Accept = append(p.Accept, word)
}

func reasonOf(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return err.Error()
}

// clip keeps hostile values out of notes and logs at length.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
