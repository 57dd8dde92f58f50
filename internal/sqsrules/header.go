package sqsrules

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

// checkHeader checks what [Pack] relies on.
func checkHeader(h broker.Header) error {
	if err := h.Check(); err != nil {
		return err
	}
	for name, value := range h {
		if !utf8.ValidString(value) || marks(name) || name == TraceHeader && !goodValue(value) {
			return firstHeaderError(h)
		}
	}
	return nil
}

// marks reports whether a name is that of an attribute with a meaning of its
// own.
func marks(name string) bool { return name == PackedHeaders || name == BodyEncoding }

// firstHeaderError is for the first name in sorted order, so that the error is
// the same each time.
func firstHeaderError(h broker.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		field := "Header[" + name + "]"
		switch {
		case marks(name):
			return fieldError("Header", name, "a name other than "+PackedHeaders+" and "+BodyEncoding)
		case !utf8.ValidString(h[name]):
			return fieldError(field, h[name], "a UTF-8 value")
		case name == TraceHeader && !goodValue(h[name]):
			return fieldError(field, h[name], "a trace header of AWS X-Ray (API SendMessage)")
		}
	}
	return nil
}

// goodValue and goodName tell whether an attribute of type String can have
// them (DG sqs-message-metadata).
func goodValue(value string) bool { return value != "" && foreignCharacter(value) < 0 }

func goodName(name string) bool {
	if name == "" || len(name) > maxAttribute || !plain(name, ".") {
		return false
	}
	if name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
		return false
	}
	return !hasPrefixFold(name, "aws.") && !hasPrefixFold(name, "amazon.")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// plain reports whether s is of letters and digits of ASCII, '_', '-' and what
// is in more.
func plain(s, more string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		case strings.IndexByte(more, c) >= 0:
		default:
			return false
		}
	}
	return true
}
