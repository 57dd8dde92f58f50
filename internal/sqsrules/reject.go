package sqsrules

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

// maxReason is how many bytes of a reason are kept.
const maxReason = 1024

// Others are the attributes of a message that no [Wire] has, since they are of
// another type than String.
type Others struct {
	Count  int
	Size   int  // bytes of names, types and values
	Packed bool // one of them is named PackedHeaders, which then is not ours
}

// RejectHeader is the attributes of a rejected message: a copy of its own with
// [broker.RejectReasonHeader], [broker.RejectSourceHeader] and [broker.RejectAttemptsHeader], as far as there is room
// for them, in this order, in the size that q takes. They are attributes of their
// own if all three can be, beside the others; else they are in [PackedHeaders],
// and where that would be one attribute too many, so is the last one in the order
// of names. The reason is cut to 1 KiB and made fit for a header. Attempts of 0
// are unknown.
func RejectHeader(w Wire, others Others, q Queue, reason, source string, attempts int) broker.Header {
	added := broker.Header{
		broker.RejectReasonHeader:   headerText(reason),
		broker.RejectSourceHeader:   source,
		broker.RejectAttemptsHeader: strings.TrimPrefix(itoa(attempts), "0"),
	}
	maps.DeleteFunc(added, func(_, value string) bool { return value == "" })
	all := maps.Clone(added)
	maps.Copy(all, w.Attributes)
	room := len(all)+others.Count <= MaxHeaders
	h := w.Attributes
	for _, name := range []string{broker.RejectReasonHeader, broker.RejectSourceHeader, broker.RejectAttemptsHeader} {
		with := broker.Header{}
		maps.Copy(with, h)
		_, had := with[name]
		switch value := added[name]; {
		case value == "":
			continue
		case had || room:
			with[name] = value
		case others.Packed || !packInto(with, MaxHeaders-others.Count, name, value):
			continue
		}
		next := Wire{Body: w.Body, Attributes: with}
		if checkSize(next.Size()+others.Size, q) == nil {
			h = with
		}
	}
	return h
}

// packInto adds a header to [PackedHeaders], which may become one of so many
// attributes in the place of another, and reports whether it could.
func packInto(h broker.Header, slots int, name, value string) bool {
	packed := map[string]string{}
	text, had := h[PackedHeaders]
	switch {
	case had:
		if err := json.Unmarshal([]byte(text), &packed); err != nil || packed == nil {
			return false // what others mean by it
		}
	case len(h) == slots:
		movable := slices.DeleteFunc(slices.Sorted(maps.Keys(h)), marks)
		if len(movable) == 0 {
			return false
		}
		last := movable[len(movable)-1]
		packed[last] = h[last]
		delete(h, last)
	}
	packed[name] = value
	h[PackedHeaders] = packHeaders(packed)
	return true
}

// headerText makes s a header value that every backend takes: one line of
// legal characters without blanks at its ends.
func headerText(s string) string {
	if len(s) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(s[cut]) && cut > 0 {
			cut--
		}
		s = s[:cut]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r // what is not UTF-8 becomes U+FFFD
	}, s)
	return strings.TrimSpace(s)
}

// NoDeadLetter is what rejecting from a queue without a dead-letter queue gets.
func NoDeadLetter(queue string) error {
	return &broker.UnsupportedError{
		Backend: Backend, What: "Reject on queue " + queue,
		Why:     "it has no dead-letter queue",
		Instead: "a redrive policy with a dead-letter queue, or Delete",
	}
}
