package natsrules

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/candidmq/candidmq/broker"
)

// MaxAtomic is the largest number of messages in an atomic batch: nats-server's
// default (ADR-50, server/stream.go's streamDefaultMaxAtomicBatchSize).
const MaxAtomic = 1000

// Headers of an atomic batch (ADR-50). The last message has the third.
const (
	BatchIDHeader       = "Nats-Batch-Id"
	BatchSequenceHeader = "Nats-Batch-Sequence"
	BatchCommitHeader   = "Nats-Batch-Commit"
)

const lastIDHeader = "Nats-Expected-Last-Msg-Id"

// ErrDuplicate is the category of an atomic batch of which nothing was stored
// because the stream already has a message with the DedupID of one of its
// messages, or the batch contains it twice. After an error that matched
// [broker.ErrOutcomeUnknown], it means that the earlier batch was stored.
var ErrDuplicate = errors.New("the stream already has a message with this id: nothing was stored")

// CheckAtomicCount refuses a batch with too many messages.
func CheckAtomicCount(n int) error {
	if n <= MaxAtomic {
		return nil
	}
	return &broker.FieldError{
		Field: "messages", Value: strconv.Itoa(n), TooLarge: true,
		Limit: fmt.Sprintf("at most %d in an atomic batch (ADR-50)", MaxAtomic),
	}
}

// CheckAtomic drops the ignored fields from m and refuses what a single message
// may have but one of an atomic batch may not. The rest is for
// [CheckJetStream].
func CheckAtomic(m *broker.Message, ignore broker.Fields) error {
	m.Clear(m.Fields() & ignore)
	var what, instead string
	switch {
	case m.Delay > 0:
		what, instead = "Message.Delay", "Publish for each"
	case m.Header[lastIDHeader] != "":
		what, instead = "the header "+lastIDHeader, "Nats-Expected-Last-Sequence (error 10177)"
	default:
		return nil
	}
	return &broker.UnsupportedError{Backend: JetStream, What: what + " in an atomic batch", Why: "all messages are stored at once", Instead: instead}
}

// NoAtomic returns the error for a batch that a stream does not accept.
func NoAtomic(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "PublishAtomic", Why: why,
		Instead: "a stream with allow_atomic (nats-server 2.12), or PublishBatch, which stores each by itself",
	}
}

// AtomicStream holds the properties of a stream that matter for an atomic
// batch.
type AtomicStream struct {
	Name     string
	Subjects []string // that it captures
	Allowed  bool     // allow_atomic
	// Miscounts means that the stream has discard_new_per_subject together with
	// max_msgs or max_bytes. Then nats-server 2.15 checks the count of an
	// arbitrary subject of the batch instead of the message's, and may store
	// the messages up to the one that has no room
	// (checkMsgHeadersPreClusteredProposal, where two loops use i).
	Miscounts bool
}

// Check returns why the stream does not accept a batch for these native
// subjects, the first of which it captures.
func (s *AtomicStream) Check(batch []string) error {
	if !s.Allowed {
		return NoAtomic("stream " + s.Name + " has no allow_atomic")
	}
	for _, native := range batch {
		if !Captures(s.Subjects, native) {
			return &broker.UnsupportedError{
				Backend: JetStream, What: "an atomic batch to several streams",
				Why:     fmt.Sprintf("stream %s captures %s but not %s", s.Name, batch[0], native),
				Instead: "one stream with all subjects, or a batch for each stream",
			}
		}
		if s.Miscounts && native != batch[0] {
			return &broker.UnsupportedError{
				Backend: JetStream, What: "an atomic batch to several subjects of stream " + s.Name,
				Why:     "with discard_new_per_subject and max_msgs or max_bytes the server may store a part of it",
				Instead: "a stream with only one kind of limit, or a batch for each subject",
			}
		}
	}
	return nil
}
