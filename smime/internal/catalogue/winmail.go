package catalogue

import "encoding/binary"

// Winmail puts one attachment into TNEF, as Exchange puts the S/MIME entity of a message;
// beside is another one, if it is not empty.
func Winmail(content []byte, beside string) []byte {
	out := []byte("\x78\x9f\x3e\x22\x01\x00")
	attr := func(level byte, id uint32, value []byte) {
		out = append(out, level)
		out = binary.LittleEndian.AppendUint32(out, id)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(value)))
		out = append(out, value...)
		var sum uint16
		for _, b := range value {
			sum += uint16(b)
		}
		out = binary.LittleEndian.AppendUint16(out, sum)
	}
	attr(1, 0x00078008, []byte("IPM.Note.SMIME\x00"))
	attr(2, 0x00069002, make([]byte, 14))
	attr(2, 0x0006800f, content)
	attr(2, 0x00018010, []byte("smime.p7m\x00"))
	if beside != "" {
		attr(2, 0x00069002, make([]byte, 14))
		attr(2, 0x0006800f, []byte(beside))
	}
	return out
}
