package sqsrules

import (
	"maps"
	"slices"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

// checkHeader checks the headers as message attributes of type String (DG
// sqs-message-metadata).
func checkHeader(h broker.Header) error {
	if err := h.Check(); err != nil {
		return err
	}
	if len(h) > MaxHeaders {
		return fieldError("Header", itoa(len(h))+" headers",
			"at most "+itoa(MaxHeaders)+": each is a message attribute (DG sqs-message-metadata)")
	}
	for name, value := range h {
		if !goodName(name) || !goodValue(value) {
			return firstHeaderError(h)
		}
	}
	return nil
}

// firstHeaderError is for the first name in sorted order, so that the error is
// the same each time.
func firstHeaderError(h broker.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		field := "Header[" + name + "]"
		switch {
		case !goodName(name):
			return fieldError("Header", name,
				"a name is 1 to 256 of A-Z, a-z, 0-9, '_', '-' and '.', no period first, last or twice in a row, and does not begin with AWS. or Amazon. (DG sqs-message-metadata)")
		case h[name] == "":
			return fieldError(field, "", "a value is not empty (DG sqs-message-metadata)")
		case !goodValue(h[name]):
			return fieldError(field, h[name], "a value is UTF-8 of the characters of XML 1.0 (DG sqs-message-metadata)")
		}
	}
	return nil
}

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
