package smime

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/postseal/postseal/internal/limits"
)

// A setting is one name and its value as PowerShell printed it.
type setting struct {
	name  string
	text  string // a switch, a number or text as such; JSON of anything else
	whole string // text of several lines without the blanks between them; else empty
	bytes []byte // the value if it is a list of bytes, else nil
	null  bool
}

// list returns the text of a value that is one word, such as a list of algorithms. In the
// list form PowerShell breaks a word that is longer than the window anywhere.
func (s setting) list() string { return cmp.Or(s.whole, s.text) }

// maxSettings bounds a listing: a serialized store as decimal numbers with blanks, and
// all the rest.
const maxSettings = 5*limits.SerializedStore + 1<<20

// readSettings reads the JSON or the list form. PowerShell writes either in UTF-8 or
// UTF-16, with a byte order mark or without.
func readSettings(r io.Reader) ([]setting, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSettings+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSettings {
		return nil, &limits.Exceeded{What: "bytes of settings", Max: maxSettings}
	}
	data = bytes.TrimSpace(decodeUTF16(data))
	if len(data) == 0 {
		return nil, errors.New("no settings")
	}
	if data[0] == '{' || data[0] == '[' {
		return readJSON(data)
	}
	return readList(string(data))
}

// decodeUTF16 turns UTF-16 into UTF-8 and takes a byte order mark away. Where there is
// none, one octet of the first character tells: either form begins in ASCII.
func decodeUTF16(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")), len(data) > 1 && data[0] != 0 && data[1] == 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")), len(data) > 1 && data[0] == 0 && data[1] != 0:
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for b := data; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return bytes.TrimPrefix([]byte(string(utf16.Decode(units))), []byte("\xef\xbb\xbf"))
}

// readJSON reads one object, or a list of exactly one, keeping the order of its members.
func readJSON(data []byte) ([]setting, error) {
	if data[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, err
		}
		if len(list) != 1 {
			return nil, fmt.Errorf("%d objects instead of one", len(list))
		}
		data = list[0]
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	var all []setting
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		s := setting{name: name.(string)} // Token makes sure of it
		key := strings.ToLower(s.name)
		if key == "" || seen[key] {
			return nil, fmt.Errorf("a member without a name, or %q twice", clip(s.name))
		}
		seen[key] = true
		if len(all) == limits.HeaderFields {
			return nil, &limits.Exceeded{What: "settings", Max: limits.HeaderFields}
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		s.setJSON(raw)
		all = append(all, s)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return nil, errors.New("something follows the object")
	}
	return all, nil
}

// setJSON takes a value. PowerShell prints a list of bytes as a list of numbers, older
// versions as an object with such a list in "value".
func (s *setting) setJSON(raw json.RawMessage) {
	var text string
	var numbers []uint16
	var wrapped struct {
		Value []uint16 `json:"value"`
	}
	switch {
	case string(raw) == "null":
		s.null = true
	case json.Unmarshal(raw, &text) == nil:
		s.text = text
	case json.Unmarshal(raw, &numbers) == nil:
		s.text = string(raw)
		s.setBytes(numbers)
	case json.Unmarshal(raw, &wrapped) == nil && wrapped.Value != nil:
		s.text = string(raw)
		s.setBytes(wrapped.Value)
	default:
		s.text = string(raw)
	}
}

func (s *setting) setBytes(numbers []uint16) {
	if len(numbers) == 0 {
		s.null = true
		return
	}
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		if n > 255 {
			return
		}
		b[i] = byte(n)
	}
	s.bytes = b
}

// readList reads lines of the form "Name : Value"; a line that begins with a blank goes
// on with the value above it.
func readList(text string) ([]setting, error) {
	var all []setting
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(all) == 0 {
				return nil, errors.New("the list begins in the middle of a value")
			}
			s, more := &all[len(all)-1], strings.TrimSpace(line)
			s.text, s.whole = strings.TrimSpace(s.text+" "+more), s.list()+more
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%q is neither JSON nor a line of the form Name : Value", clip(line))
		}
		key := strings.ToLower(name)
		if seen[key] {
			return nil, fmt.Errorf("%s stands there twice", name)
		}
		seen[key] = true
		if len(all) == limits.HeaderFields {
			return nil, &limits.Exceeded{What: "settings", Max: limits.HeaderFields}
		}
		all = append(all, setting{name: name, text: strings.TrimSpace(value)})
	}
	for i := range all {
		all[i].setList()
	}
	return all, nil
}

// setList reads {1, 2, 3} as bytes, unless PowerShell cut it short.
func (s *setting) setList() {
	inner, ok := strings.CutPrefix(s.text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	switch {
	case s.text == "":
		s.null = true
	case !ok || !closed:
	case strings.TrimSpace(inner) == "":
		s.null = true
	default:
		var numbers []uint16
		for item := range strings.SplitSeq(inner, ",") {
			n, err := strconv.ParseUint(strings.TrimSpace(item), 10, 8)
			if err != nil {
				return
			}
			numbers = append(numbers, uint16(n))
		}
		s.setBytes(numbers)
	}
}
