package main

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// message makes a plain message with an attachment.
func message(from, to string) []byte {
	return []byte(strings.ReplaceAll(`From: `+from+`
To: `+to+`
Subject: The offer
Date: Mon, 01 Jun 2026 09:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: text/plain; charset=utf-8

Dear Bob, the offer is attached. It stays between us.
--part
Content-Type: application/pdf; name="offer.pdf"
Content-Disposition: attachment; filename="offer.pdf"
Content-Transfer-Encoding: base64

`+base64.StdEncoding.EncodeToString([]byte("%PDF-1.4 not really"))+`
--part--
`, "\n", "\r\n"))
}

// contentType returns the first line of a message's Content-Type field.
func contentType(mail []byte) string {
	for line := range bytes.SplitSeq(mail, []byte("\r\n")) {
		if bytes.HasPrefix(line, []byte("Content-Type:")) {
			return string(line)
		}
	}
	return "no Content-Type"
}

// firstLine returns the first line of the first part's text.
func firstLine(entity []byte) string {
	_, text, _ := strings.Cut(string(entity), "charset=utf-8\r\n\r\n")
	line, _, _ := strings.Cut(text, "\r\n")
	return line
}

// flip changes one base64 character in the middle of the encrypted content.
func flip(mail []byte) {
	i := len(mail) * 2 / 3
	for mail[i] == '\r' || mail[i] == '\n' {
		i++
	}
	if mail[i] == 'A' {
		mail[i] = 'B'
	} else {
		mail[i] = 'A'
	}
}
