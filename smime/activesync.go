package smime

import "strings"

// applyActiveSync reads the S/MIME part of a mobile device policy, by name or by the
// number that the ActiveSync protocol uses. The required algorithms are floors: a newer
// and stronger one satisfies them, and nothing is ever lowered to them.
func (c *configReader) applyActiveSync(s setting) {
	p := c.policy
	switch strings.ToLower(s.name) {
	case "requiresignedsmimemessages":
		p.Sign = p.Sign || c.bool(s, true)
	case "requireencryptedsmimemessages":
		p.Encrypt = p.Encrypt || c.bool(s, true)
	case "requiresignedsmimealgorithm":
		if name, ok := c.word(s, "SHA1", "MD5"); ok {
			c.keep(s)
			c.note(s, "info", "config.floor", "%s is a floor: signatures use SHA-256 or better", name)
		}
	case "requireencryptionsmimealgorithm":
		if name, ok := c.word(s, "TripleDES", "DES", "RC2128bit", "RC264bit", "RC240bit"); ok {
			c.keep(s)
			c.note(s, "info", "config.floor", "%s is a floor: encryption uses AES", name)
		}
	case "allowsmimeencryptionalgorithmnegotiation":
		switch name, _ := c.word(s, "BlockNegotiation", "OnlyStrongAlgorithmNegotiation", "AllowAnyAlgorithmNegotiation"); name {
		case "BlockNegotiation":
			p.FixedCipher = true
		case "AllowAnyAlgorithmNegotiation":
			c.weakens(s, "any algorithm may be negotiated; this package goes no lower than AES-128")
		}
	case "allowsmimesoftcerts":
		p.HardwareKeys = p.HardwareKeys || !c.bool(s, false)
	}
}

// word reads one of the names, or its place in the list as a number.
func (c *configReader) word(s setting, names ...string) (string, bool) {
	for i, name := range names {
		if strings.EqualFold(s.text, name) || len(s.text) == 1 && s.text[0] == byte('0'+i) {
			return name, true
		}
	}
	c.malformed(s, "one of "+strings.Join(names, ", "))
	return "", false
}
