package memory

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// copyToDeadLetter publishes the copy of a message that is rejected.
func (b *JetStream) copyToDeadLetter(ctx context.Context, h *streamHandle, d *broker.Delivery, c *ConsumerConfig, reason string) error {
	target := c.DeadLetters.Subject
	if target == "" {
		return natsrules.NoDeadLetters(h.consumer, "ConsumerConfig.DeadLetters")
	}
	header := make(broker.Header, len(d.Header)+5)
	maps.Copy(header, d.Header)
	header[broker.RejectReasonHeader] = natsrules.HeaderText(reason)
	header[broker.RejectSourceHeader] = d.Source
	header[broker.RejectSubjectHeader] = d.Subject
	header[broker.RejectSequenceHeader] = d.Sequence.String()
	header[broker.RejectAttemptsHeader] = strconv.Itoa(d.Attempt)
	return b.forward(ctx, target, header, d.Body, natsrules.RejectID(d))
}

// forward publishes a copy under an id of its own. Bodies and headers are shared,
// since nobody may change them.
func (b *JetStream) forward(ctx context.Context, native string, header broker.Header, body []byte, id string) error {
	p := stored{name: native, send: stream.Send{
		Subject: native, Body: body, DedupID: id, HeaderSize: headerSize(header, []string{"Nats-Msg-Id", id}),
	}}
	if len(header) > 0 {
		p.send.Attrs = header
	}
	sent, err := b.storeAwaiting(ctx, &p)
	if err == nil && sent.NoAck {
		return b.unanswered(ctx, native)
	}
	return err
}

// Redrive publishes the messages of a dead-letter queue back to the subjects
// they came from, as new messages, and deletes them there: at most limit, which
// is 1 or above, and at most as many as there are now. It returns their number.
// Other consumers of the subject receive the redriven messages too. A message
// that cannot be moved stays, is named in the error, and does not prevent
// others from being moved.
func (b *JetStream) Redrive(ctx context.Context, queue string, limit int) (int, error) {
	return natsrules.Redrive(ctx, b, queue, limit, b.redriveOne)
}

func (b *JetStream) redriveOne(ctx context.Context, d *broker.Delivery) error {
	target, err := natsrules.RedriveTarget(d)
	if err != nil {
		return err
	}
	header := maps.Clone(d.Header)
	maps.DeleteFunc(header, func(key, _ string) bool { return strings.HasPrefix(key, natsrules.RejectPrefix) })
	if err := b.forward(ctx, target, header, d.Body, natsrules.RedriveID(d)); err != nil {
		return err
	}
	return broker.ItemError(b.Delete(ctx, d), 0)
}

// checkDeadLetters refuses dead letters of a consumer to be that cannot work. The
// caller holds mu.
func (b *JetStream) checkDeadLetters(s *StreamConfig, c *ConsumerConfig) error {
	target := c.DeadLetters.Subject
	if target == "" {
		return nil // what else is wrong createConsumer finds
	}
	delivers := c.filters()
	if len(delivers) == 0 {
		delivers = s.Subjects
	}
	err := natsrules.CheckDeadLetters(c.DeadLetters.Metadata(nil), c.MaxDeliver, delivers)
	if err == nil && b.engine.StreamOf(target) == "" {
		err = natsrules.DeadLettersUncaptured(target)
	}
	return err
}
