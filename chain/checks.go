package chain

import (
	"fmt"
	"slices"
	"strings"
)

// Checks lists every check of one path of r.Tried, leaf first: for each certificate each
// rule that was applied to it, with the code a failure has. Severity is "passed", or that of
// the worst finding the rule led to, which is then the detail; it is "skipped" where the path
// had failed before the rule was reached. It is nil for an index that is out of range.
func (r *Report) Checks(tried int) []Finding {
	if tried < 0 || tried >= len(r.Tried) {
		return nil
	}
	path := &r.Tried[tried]
	top := len(path.Certificates) - 1
	incomplete := slices.ContainsFunc(path.Findings, func(f Finding) bool { return strings.HasPrefix(f.Code, "path.") && f.Severity == "error" })
	// Policies are looked at once nothing else is wrong, and revocation after them.
	early, policies := false, false
	for _, f := range path.Findings {
		switch {
		case f.Severity != "error":
		case strings.HasPrefix(f.Code, "policy."):
			policies = true
		case !isRevocation(f.Code):
			early = true
		}
	}
	var list []Finding
	for i, c := range path.Certificates {
		check := func(code, detail string, skipped bool, codes ...string) {
			f := Finding{Code: code, Severity: "passed", Certificate: c, Reference: reference(code), Detail: detail}
			if skipped {
				f.Severity, f.Detail = "skipped", "the path had failed before"
			}
			for _, g := range path.Findings {
				if g.Certificate == nil || !sameCertificate(g.Certificate, c) || !slices.ContainsFunc(codes, func(p string) bool { return strings.HasPrefix(g.Code, p) }) {
					continue
				}
				switch {
				case g.Code == "rev.good":
					f.Severity, f.Detail = "passed", g.Detail
				case f.Severity == "passed" || f.Severity == "skipped" || g.Severity == "error":
					f = g
				}
			}
			list = append(list, f)
		}
		end := i == top && !incomplete
		leaf := i == 0
		if !leaf || !end {
			if !end {
				by := "the key above it"
				if i < top {
					by = "the key of " + nameText(path.Certificates[i+1].RawSubject)
				}
				check("sig.invalid", "its signature verifies with "+by, i == top, "sig.")
				check("alg.weak_hash", "its algorithm and its key are strong enough", false, "alg.")
			}
		}
		check("time.expired", "it is valid at that time", false, "time.")
		check("ext.unknown_critical", "it has no extension that is unknown and critical, twice there or malformed", false, "ext.", "parse.tolerated")
		check("cert.sigalg_mismatch", "its fields are as RFC 5280 has them", false, "cert.", "name.")
		if !leaf {
			check("ca.not_ca", "it is a CA", false, "ca.not_ca")
			check("ca.key_usage", "it may sign certificates", false, "ca.key_usage")
			check("ca.path_len", "the path below it is as long as it allows", false, "ca.path_len", "path.depth")
			check("eku.issuer", "its extKeyUsage allows "+string(r.Purpose)+" below it", false, "eku.issuer")
		}
		if end {
			check("anchor.constraint", "it is trusted for that", false, "anchor.")
			continue
		}
		check("nc.not_permitted", "its names are within the constraints above it", false, "nc.")
		if leaf {
			check("ku.sign", "its keyUsage allows "+string(r.Purpose), false, "ku.")
			check("eku.leaf", "its extKeyUsage allows "+string(r.Purpose), false, "eku.leaf")
			check("address.mismatch", "it names whoever it was asked to name", false, "address.", "host.")
		}
		check("policy.none", "its policies are acceptable", early || incomplete, "policy.")
		check("rev.revoked", "", true, "rev.")
		if f := &list[len(list)-1]; f.Severity == "skipped" && !early && !incomplete && !policies {
			f.Detail = "nobody was asked whether it is revoked"
		}
	}
	return list
}

func isRevocation(code string) bool {
	return strings.HasPrefix(code, "rev.") || strings.HasPrefix(code, "crl.") || strings.HasPrefix(code, "ocsp.")
}

// ageText says how old something is, for people.
func ageText(seconds int64) string {
	switch {
	case seconds < 0:
		return ""
	case seconds < 2*60*60:
		return fmt.Sprintf(", %d minutes old", seconds/60)
	case seconds < 2*24*60*60:
		return fmt.Sprintf(", %d hours old", seconds/3600)
	}
	return fmt.Sprintf(", %d days old", seconds/86400)
}
