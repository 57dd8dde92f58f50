package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// PublishAtomic stores all of the messages or none, as natsbroker.JetStream
// does: in slice order, with no other message between them, and none is
// delivered before all are stored. Each receipt has a sequence number.
//
// All subjects must belong to one stream, with AllowAtomicPublish; otherwise
// the error is an [*broker.UnsupportedError]. A batch has at most 1,000
// messages, each within the limits of a single one, including the server's
// headers for a batch, of about 110 bytes. A Delay is unsupported, and so are
// several subjects on a stream that has DiscardNewPerSubject together with
// MaxMsgs or MaxBytes, which the server miscounts.
//
// There is one error for the whole batch, except for messages that are refused
// before the stream sees any, which a [*broker.BatchError] names. A DedupID
// that the stream already has, or that is in the batch twice, is
// [ErrDuplicate], a header Nats-Expected-… that does not hold [ErrExpectation];
// only the first message may expect a last sequence, and only the first of its
// subject a last sequence of the subject. A stream that discards new messages
// counts all messages of the batch, including those that would replace others.
// A stream with NoAck stores the batch and does not answer, as with Publish.
// StreamWait does not apply.
func (b *JetStream) PublishAtomic(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	if err := b.open(ctx, OpPublish, ""); err != nil || len(ms) == 0 {
		return nil, err
	}
	all, err := b.prepareAtomic(ms)
	if err != nil {
		return nil, err
	}
	if err := b.failure(OpPublish); err != nil {
		return nil, err
	}
	sends := make([]stream.Send, len(all))
	for i := range all {
		sends[i] = all[i].send
	}
	b.activity.begun.Add(1)
	last := &all[len(all)-1]
	switch sent, failed, err := b.engine.PublishAtomic(sends); {
	case errors.Is(err, stream.ErrTooLarge), errors.Is(err, stream.ErrHeaderTooLarge):
		return nil, all[failed].refused(err)
	case err != nil: // the server does not tell which message it is about
		return nil, last.refused(err)
	case sent.NoAck:
		return nil, b.unanswered(ctx, last.name)
	default:
		return receiptsOf(sent, len(all)), nil
	}
}

// receiptsOf are those of n messages, the last of which is sent.
func receiptsOf(sent stream.Sent, n int) []broker.Receipt {
	receipts := make([]broker.Receipt, n)
	sent.Seq -= uint64(n)
	for i := range receipts {
		sent.Seq++
		receipts[i] = receiptOf(sent)
	}
	return receipts
}

// prepareAtomic checks a batch, and whether one stream takes it.
func (b *JetStream) prepareAtomic(ms []broker.Message) ([]stored, error) {
	if err := natsrules.CheckAtomicCount(len(ms)); err != nil {
		return nil, err
	}
	all, errs := make([]stored, len(ms)), make([]error, len(ms))
	id := rand.Text()
	for i, m := range ms {
		errs[i] = natsrules.CheckAtomic(&m, b.ignore)
		if errs[i] == nil {
			errs[i] = b.prepare(&m, &all[i])
		}
		if errs[i] == nil {
			all[i].join(id, i, i == len(ms)-1)
			errs[i] = b.checkPayload(&all[i])
		}
	}
	if err := skipRest(errs, ms); err != nil {
		return nil, err
	}
	return all, b.checkAtomicStream(all)
}

// join gives a message the size that it has as the next one of a batch.
func (p *stored) join(id string, index int, last bool) {
	controls := []string{natsrules.BatchIDHeader, id, natsrules.BatchSequenceHeader, strconv.Itoa(index + 1)}
	if last {
		controls = append(controls, natsrules.BatchCommitHeader, "1")
	}
	p.send.HeaderSize = plusControls(p.send.HeaderSize, controls)
}

func (b *JetStream) checkAtomicStream(all []stored) error {
	subjects := make([]string, len(all))
	for i := range all {
		subjects[i] = all[i].send.Subject
	}
	s := b.streamOf(subjects[0])
	if s == nil {
		return noStream(all[0].name)
	}
	of := natsrules.AtomicStream{
		Name: s.Name, Subjects: s.Subjects, Allowed: s.AllowAtomicPublish,
		Miscounts: s.DiscardNewPerSubject && (s.MaxMsgs > 0 || s.MaxBytes > 0),
	}
	return of.Check(subjects)
}
