package natsrules

import "strings"

// The headers that a dead letter has beside its own.
const (
	// RejectReasonHeader says why the message was put to rest.
	RejectReasonHeader = RejectPrefix + "reason"
	// RejectSourceHeader is the consumer, "stream/consumer".
	RejectSourceHeader = RejectPrefix + "source"
	// RejectSubjectHeader is the subject that the message was published to.
	RejectSubjectHeader = RejectPrefix + "subject"
	// RejectSequenceHeader is the message's sequence number in its stream.
	RejectSequenceHeader = RejectPrefix + "sequence"
	// RejectAttemptsHeader is how often the message was delivered.
	RejectAttemptsHeader = RejectPrefix + "attempts"

	RejectPrefix = "candidmq-reject-"
)

// maxReason is how many bytes of a reason are kept.
const maxReason = 1024

// HeaderText makes s fit for a header: one line, not too long, no spaces at its
// ends.
func HeaderText(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s))
}
