package subject

import (
	"fmt"
	"unicode/utf8"
)

// MaxLen is the longest subject that the checks accept, in bytes. A server
// reads subject, reply subject and sizes from one control line of 4,096 bytes
// by default (max_control_line), and closes the connection over a longer one.
const MaxLen = 4000

// Reason is the rule that a subject breaks, in words that follow "want".
type Reason string

// Reasons, as worded in errors.
const (
	ReasonEmpty      Reason = "a subject"
	ReasonEmptyToken Reason = "no empty token"
	ReasonWildcard   Reason = "no wildcard: wildcards are only for subscribing"
	ReasonNotLast    Reason = "> only as the last token"
	ReasonSpace      Reason = "no space"
	ReasonControl    Reason = "no control character"
	ReasonUTF8       Reason = "valid UTF-8"
	ReasonTooLong    Reason = "at most 4000 bytes"
)

// Error reports a refused subject.
type Error struct {
	Subject string // all of it; Error() quotes its start
	Reason  Reason
	Offset  int // of the byte at fault, if there is one
}

func (e *Error) Error() string {
	const shown = 64
	if len(e.Subject) > shown {
		return fmt.Sprintf("subject %.*q…: want %s", shown, e.Subject, e.Reason)
	}
	return fmt.Sprintf("subject %q: want %s", e.Subject, e.Reason)
}

// CheckPublish returns an *Error unless s may be published to or used as a
// reply address. It allocates nothing for a valid subject.
func CheckPublish(s string) error { return check(s, false) }

// CheckSubscribe returns an *Error unless s may be subscribed to. It allocates
// nothing for a valid subject.
func CheckSubscribe(s string) error { return check(s, true) }

// class classifies bytes by whether they have a special meaning.
type class uint8

const (
	plain class = iota
	dot
	wildcard
	space
	control
	multibyte // UTF-8 beyond ASCII
)

var classes = func() (c [256]class) {
	for b := range c {
		switch {
		case b < ' ', b == 0x7f:
			c[b] = control
		case b >= utf8.RuneSelf:
			c[b] = multibyte
		}
	}
	c['.'], c['*'], c['>'], c[' '] = dot, wildcard, wildcard, space
	return c
}()

func check(s string, wildcards bool) error {
	if len(s) == 0 {
		return &Error{Reason: ReasonEmpty}
	}
	if len(s) > MaxLen {
		return &Error{s, ReasonTooLong, MaxLen}
	}
	token := 0 // where the current one begins
	ascii := true
	for i := range len(s) {
		switch classes[s[i]] {
		case plain:
		case dot:
			if i == token {
				return &Error{s, ReasonEmptyToken, i}
			}
			token = i + 1
		case wildcard:
			if r := checkWildcard(s, token, i, wildcards); r != "" {
				return &Error{s, r, i}
			}
		case space:
			return &Error{s, ReasonSpace, i}
		case control:
			return &Error{s, ReasonControl, i}
		case multibyte:
			ascii = false
		}
	}
	if token == len(s) {
		return &Error{s, ReasonEmptyToken, token}
	}
	if !ascii && !utf8.ValidString(s) {
		return &Error{Subject: s, Reason: ReasonUTF8}
	}
	return nil
}

// checkWildcard returns what is wrong with the * or > at i, in the token that
// begins at token; empty if nothing.
func checkWildcard(s string, token, i int, allowed bool) Reason {
	last := i+1 == len(s)
	switch {
	case i > token, !last && s[i+1] != '.': // within a longer token
		return ""
	case !allowed:
		return ReasonWildcard
	case s[i] == '>' && !last:
		return ReasonNotLast
	}
	return ""
}
