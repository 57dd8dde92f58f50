package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Header holds one value per key. Keys are case-sensitive and are never
// changed. A nil Header is empty and readable. If a foreign message has several
// values for a key, Header holds the first; the others are reached through
// [Delivery.As].
type Header map[string]string

// Set sets a value, creating the map if necessary: it works on the Header of a
// zero Message.
func (h *Header) Set(key, value string) {
	if *h == nil {
		*h = Header{}
	}
	(*h)[key] = value
}

// Get returns the value of key, or "".
func (h Header) Get(key string) string { return h[key] }

// Check returns a [*FieldError] for the first key (in sorted order) that no
// backend can carry unchanged. A key is one or more printable ASCII characters
// other than space and colon. A value contains no CR, LF or NUL, which would
// inject a header on NATS and is refused by SQS, and neither begins nor ends
// with a space or tab, which NATS would silently trim.
func (h Header) Check() error {
	for key, value := range h {
		if badKey(key) || badValue(value) {
			return h.firstError()
		}
	}
	return nil
}

func (h Header) firstError() error {
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if badKey(key) {
			return &FieldError{
				Field: "Header", Value: key,
				Limit: "one or more printable ASCII characters other than space and colon",
			}
		}
		value := h[key]
		if i := strings.IndexAny(value, "\r\n\x00"); i >= 0 {
			return &FieldError{
				Field: fmt.Sprintf("Header[%s]", key), Value: value[i : i+1],
				Limit: "a value without CR, LF or NUL",
			}
		}
		if badValue(value) {
			return &FieldError{
				Field: fmt.Sprintf("Header[%s]", key), Value: " ",
				Limit: "a value without a space or tab at either end",
			}
		}
	}
	return nil
}

func badKey(key string) bool {
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return true
		}
	}
	return key == ""
}

func badValue(v string) bool {
	if v == "" {
		return false
	}
	return strings.ContainsAny(v, "\r\n\x00") || isBlank(v[0]) || isBlank(v[len(v)-1])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
