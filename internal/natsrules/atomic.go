package natsrules

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/candidmq/candidmq/broker"
)

// MaxAtomic is the most messages of an atomic batch: nats-server's default
// (ADR-50, server/stream.go's streamDefaultMaxAtomicBatchSize).
const MaxAtomic = 1000

// The headers of an atomic batch (ADR-50). The last message has the third.
const (
	BatchIDHeader       = "Nats-Batch-Id"
	BatchSequenceHeader = "Nats-Batch-Sequence"
	BatchCommitHeader   = "Nats-Batch-Commit"
)

const lastIDHeader = "Nats-Expected-Last-Msg-Id"

// ErrDuplicate is the category of an atomic batch of which nothing was stored
// because the stream has a message with the DedupID of one of its messages
// already, or the batch has it twice. After an error that matched
// [broker.ErrOutcomeUnknown] it says that the earlier batch was stored.
var ErrDuplicate = errors.New("the stream has a message of this id already: nothing was stored")

// CheckAtomicCount refuses a batch of too many messages.
func CheckAtomicCount(n int) error {
	if n <= MaxAtomic {
		return nil
	}
	return &broker.FieldError{
		Field: "messages", Value: strconv.Itoa(n), TooLarge: true,
		Limit: fmt.Sprintf("at most %d in an atomic batch (ADR-50)", MaxAtomic),
	}
}

// CheckAtomic drops from m the fields to be ignored and refuses what a single
// message may have and one of an atomic batch may not. The rest is for
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
	return &broker.UnsupportedError{Backend: JetStream, What: what + " in an atomic batch", Why: "all are stored at one moment", Instead: instead}
}

// NoAtomic is the error of a batch that a stream does not take.
func NoAtomic(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "PublishAtomic", Why: why,
		Instead: "a stream with allow_atomic (nats-server 2.12), or PublishBatch, which stores each by itself",
	}
}

// CheckAtomicStream is why a stream does not take a batch to these native subjects,
// of which it captures the first.
func CheckAtomicStream(stream string, captured []string, allowed bool, subjects []string) error {
	if !allowed {
		return NoAtomic("stream " + stream + " has no allow_atomic")
	}
	for _, s := range subjects {
		if !Captures(captured, s) {
			return &broker.UnsupportedError{
				Backend: JetStream, What: "an atomic batch to several streams",
				Why:     fmt.Sprintf("stream %s takes %s and not %s", stream, subjects[0], s),
				Instead: "one stream with all subjects, or a batch for each stream",
			}
		}
	}
	return nil
}
