package smime

import (
	"strings"

	"github.com/postseal/postseal/internal/mimeraw"
)

// mediaType returns the type of an entity, text/plain where it has none (RFC 2045,
// Section 5.2), and whether it has a readable one.
func mediaType(e *mimeraw.Entity) (mimeraw.MediaType, bool) {
	_, n := e.Header.Get("Content-Type")
	mt, err := e.MediaType()
	return mt, n > 0 && err == nil
}

// smimeProtocol reports whether a multipart/signed entity is signed with CMS.
// QUIRK: Exchange leaves the protocol parameter out.
func smimeProtocol(protocol string) bool {
	switch strings.ToLower(protocol) {
	case "", "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	}
	return false
}

// What an entity is, in this order (threats.md, E15; RFC 8551, Section 3.9):
//
//  1. multipart/signed with the protocol of S/MIME, or with none, is signed.
//  2. application/pkcs7-mime and -signature, with x- too, must be CMS, whatever their parameters.
//  3. application/ms-tnef, and application/octet-stream named winmail.dat, may hold one of these.
//  4. application/octet-stream, or no type, named .p7m, .p7s or .p7z must be CMS.
//  5. Any other application type is CMS if its data begin as CMS does, whatever its name.
//  6. Everything else is content: text and pictures are never taken for CMS.
//
// smime-type, protocol, micalg and names decide nothing; the CMS structure says what it is.

// cmsType reports whether a media type announces CMS (RFC 8551, Section 3.2).
func cmsType(t string) bool {
	switch t {
	case "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pkcs7-signature", "application/x-pkcs7-signature":
		return true
	}
	return false
}

// namedCMS reports whether an entity without a telling type is named as CMS: gateways
// relabel it as application/octet-stream and keep the name (RFC 8551, Section 3.9).
func namedCMS(h *mimeraw.Header, mt mimeraw.MediaType, labelled bool) bool {
	if labelled && mt.Type != "application/octet-stream" {
		return false
	}
	name := strings.ToLower(fileName(h, mt))
	return strings.HasSuffix(name, ".p7m") || strings.HasSuffix(name, ".p7z") || strings.HasSuffix(name, ".p7s")
}

// fileName returns the name that an entity gives itself, or "".
func fileName(h *mimeraw.Header, mt mimeraw.MediaType) string {
	name := mt.Params["name"]
	if value, n := h.Get("Content-Disposition"); n > 0 && name == "" {
		if d, err := mimeraw.ParseDisposition(value); err == nil {
			name = d.Params["filename"]
		}
	}
	return name
}

// maybeCMS reports whether the data of an entity say if it is CMS.
func maybeCMS(mt mimeraw.MediaType) bool { return strings.HasPrefix(mt.Type, "application/") }
