package oid

// Identifiers of encrypted and authenticated content, beside those of table.go.
const (
	AES128WrapPad OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x08"         // 2.16.840.1.101.3.4.1.8 (RFC 5649, Section 5)
	AES192WrapPad OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x1c"         // 2.16.840.1.101.3.4.1.28 (RFC 5649, Section 5)
	AES256WrapPad OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x30"         // 2.16.840.1.101.3.4.1.48 (RFC 5649, Section 5)
	RC2Wrap       OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x07" // 1.2.840.113549.1.9.16.3.7 (RFC 3370, Section 4.3.2)
	HMACSHA1Short OID = "\x2b\x06\x01\x05\x05\x08\x01\x02"             // 1.3.6.1.5.5.8.1.2 (RFC 3370, Section 3.1)
	AES128GMAC    OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x09"         // 2.16.840.1.101.3.4.1.9 (RFC 9044, Section 2)
	AES192GMAC    OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x1d"         // 2.16.840.1.101.3.4.1.29 (RFC 9044, Section 2)
	AES256GMAC    OID = "\x60\x86\x48\x01\x65\x03\x04\x01\x31"         // 2.16.840.1.101.3.4.1.49 (RFC 9044, Section 2)
)
