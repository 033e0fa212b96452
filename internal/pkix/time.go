package pkix

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// readTime reads a Time as Unix seconds.
//
//	Time ::= CHOICE { utcTime UTCTime, generalTime GeneralizedTime }
//
// QUIRK: seconds may be missing, fractions are cut off, offsets are applied: old CAs
// wrote such times although RFC 5280, Section 4.1.2.5 wants Z, seconds and no fraction.
func readTime(s *cryptobyte.String, out *int64) bool {
	var v cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&v, &tag) {
		return false
	}
	var ok bool
	switch tag {
	case asn1.UTCTime:
		*out, ok = parseTime(v, 2)
	case asn1.GeneralizedTime:
		*out, ok = parseTime(v, 4)
	}
	return ok
}

// ParseTime reads the content of a GeneralizedTime as Unix seconds.
func ParseTime(content []byte) (int64, bool) { return parseTime(content, 4) }

func parseTime(v []byte, yearDigits int) (int64, bool) {
	num := func(n int) int {
		if len(v) < n {
			return -1
		}
		x := 0
		for _, c := range v[:n] {
			if c < '0' || c > '9' {
				return -1
			}
			x = x*10 + int(c-'0')
		}
		v = v[n:]
		return x
	}
	year, month, day, hour, minute, second := num(yearDigits), num(2), num(2), num(2), num(2), 0
	if year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	if yearDigits == 2 {
		// RFC 5280, Section 4.1.2.5.1: 50 to 99 are the twentieth century.
		if year += 1900; year < 1950 {
			year += 100
		}
	}
	if day > daysIn(year, month) {
		return 0, false
	}
	if len(v) > 0 && v[0] != 'Z' && v[0] != '+' && v[0] != '-' {
		if second = num(2); second < 0 || second > 60 {
			return 0, false
		}
		if yearDigits == 4 && len(v) > 1 && (v[0] == '.' || v[0] == ',') {
			n := 1
			for n < len(v) && '0' <= v[n] && v[n] <= '9' {
				n++
			}
			if n == 1 {
				return 0, false
			}
			v = v[n:]
		}
	}
	offset := 0
	switch {
	case len(v) == 1 && v[0] == 'Z':
	case len(v) == 5 && (v[0] == '+' || v[0] == '-'):
		sign := v[0]
		v = v[1:]
		h, m := num(2), num(2)
		if h < 0 || h > 23 || m < 0 || m > 59 {
			return 0, false
		}
		if offset = (h*60 + m) * 60; sign == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	// Days since 1970 by the count of days before March-based years.
	y, m := year, month
	if m <= 2 {
		y, m = y-1, m+12
	}
	days := 365*y + floorDiv(y, 4) - floorDiv(y, 100) + floorDiv(y, 400) + (153*(m-3)+2)/5 + day - 1 - 719468
	return int64(days)*86400 + int64(hour*3600+minute*60+second-offset), true
}

func floorDiv(a, b int) int {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
