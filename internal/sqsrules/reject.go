package sqsrules

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

// Headers of a rejected message in its dead-letter queue.
const (
	RejectReason   = "candidmq-reject-reason"   // why, in the words given to Reject
	RejectSource   = "candidmq-reject-source"   // name of the queue it was rejected from
	RejectAttempts = "candidmq-reject-attempts" // how often it was received there
)

// maxReason is how many bytes of a reason are kept.
const maxReason = 1024

// RejectHeader is the attributes of a rejected message: a copy of its own with
// [RejectReason], [RejectSource] and [RejectAttempts], as far as there is room
// for them, in this order, among the [MaxHeaders] and the size that q takes. The
// reason is cut to 1 KiB and made fit for a header. Attempts of 0 are unknown.
func RejectHeader(w Wire, q Queue, reason, source string, attempts int) broker.Header {
	h := maps.Clone(w.Attributes)
	for _, add := range []struct{ name, value string }{
		{RejectReason, headerText(reason)},
		{RejectSource, source},
		{RejectAttempts, strings.TrimPrefix(itoa(attempts), "0")},
	} {
		before, had := h[add.name]
		if add.value == "" {
			continue
		}
		h.Set(add.name, add.value)
		with := Wire{Body: w.Body, Attributes: h}
		switch {
		case len(h) <= MaxHeaders && checkSize(with.Size(), q) == nil:
		case had:
			h[add.name] = before
		default:
			delete(h, add.name)
		}
	}
	return h
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
