package memory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"strconv"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Publish implements [broker.Publisher]. The outcome is [broker.OutcomeStored],
// or [broker.OutcomeAccepted] on a FIFO queue, since SQS does not report
// duplicates.
func (b *SQS) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	q, err := b.checkMessage(ctx, &m)
	if err != nil {
		return broker.Receipt{}, err
	}
	return b.send(q, &m)
}

// PublishBatch implements [broker.Publisher]. If any message is refused, none
// is sent, and the errors of the others match [broker.ErrSkipped]; a
// destination that does not exist fails only its own messages.
func (b *SQS) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	receipts, errs := make([]broker.Receipt, len(ms)), make([]error, len(ms))
	if len(ms) == 0 {
		return receipts, nil
	}
	if err := b.open(ctx, OpPublish, ms[0].Subject); err != nil {
		return receipts, err
	}
	batch := b.checkBatch(ctx, ms, errs)
	if refusedAll(ms, errs) {
		return receipts, broker.NewBatchError(errs)
	}
	broken := map[lane]error{} // the failures, by lane
	for i, c := range batch {
		lane := lane{c.message.Subject, c.message.Key}
		switch {
		case errs[i] != nil:
		case broken[lane] != nil:
			errs[i] = skipped(lane.subject, broken[lane])
		case ctx.Err() != nil:
			errs[i] = failed(OpPublish, lane.subject, nil, ctx.Err())
		default:
			receipts[i], errs[i] = b.send(c.queue, &c.message)
		}
		if errs[i] != nil && lane.key != "" {
			broken[lane] = errs[i]
		}
	}
	return receipts, broker.NewBatchError(errs)
}

// lane is where order must hold.
type lane struct{ subject, key string }

// checked is a message that was checked, and its queue.
type checked struct {
	message broker.Message
	queue   *settings
}

// checkBatch checks all messages. What is wrong with one goes to errs.
func (b *SQS) checkBatch(ctx context.Context, ms []broker.Message, errs []error) []checked {
	all := make([]checked, len(ms))
	for i, m := range ms {
		q, err := b.checkMessage(ctx, &m)
		all[i], errs[i] = checked{m, q}, err
	}
	return all
}

// checkMessage finds m's queue and drops from m what is to be ignored.
func (b *SQS) checkMessage(ctx context.Context, m *broker.Message) (*settings, error) {
	if err := b.open(ctx, OpPublish, m.Subject); err != nil {
		return nil, err
	}
	m.Clear(b.ignore)
	q, err := b.resolve(OpPublish, m.Subject)
	if errors.Is(err, broker.ErrInvalid) {
		return nil, err
	}
	if err == nil {
		err = sqsrules.Check(m, q.rules)
	}
	if err != nil { // first comes what no queue of the kind takes, whether or not there is one
		kind := sqsrules.Queue{FIFO: sqsrules.IsFIFO(b.nameOf(m.Subject)), ContentDedup: true}
		return nil, cmp.Or(sqsrules.Check(m, kind), err)
	}
	return q, nil
}

// send stores a message that was checked.
func (b *SQS) send(q *settings, m *broker.Message) (broker.Receipt, error) {
	if err := b.failure(OpPublish); err != nil {
		return broker.Receipt{}, err
	}
	b.activity.begun.Add(1)
	sent, err := b.engine.Send(q.name, b.sendOf(q, m))
	if err != nil {
		return broker.Receipt{}, engineFailed(OpPublish, m.Subject, err)
	}
	r := broker.Receipt{Outcome: broker.OutcomeStored, ID: sent.ID}
	if q.rules.FIFO {
		r.Outcome = broker.OutcomeAccepted
		r.Sequence = broker.NewSequence(sent.Seq)
	}
	return r, nil
}

// sendOf is what the engine keeps of a message. Its Attrs are the Header.
func (b *SQS) sendOf(q *settings, m *broker.Message) queue.Send {
	s := queue.Send{
		ID:    strconv.FormatUint(b.lastID.Add(1), 10),
		Body:  copyOf(m.Body),
		Group: m.Tenant,
	}
	if len(m.Header) > 0 {
		s.Attrs = maps.Clone(m.Header)
	}
	if m.Delay > 0 {
		s.Delay, s.HasDelay = sqsrules.WholeSeconds(m.Delay), true
	}
	if q.rules.FIFO {
		s.Group, s.DedupID = m.Key, m.DedupID
		if s.DedupID == "" {
			sum := sha256.Sum256(sqsrules.Pack(m).Body) // SQS sees the encoded one
			s.DedupID = hex.EncodeToString(sum[:])
		}
	}
	return s
}
