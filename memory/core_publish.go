package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// Publish implements [broker.Publisher]. It honours ReplyTo and refuses the
// other optional fields. It never blocks; the outcome is [broker.OutcomeSent],
// or with CoreNATSOptions.Confirm [broker.OutcomeReceived], whether or not
// there are subscribers.
func (b *CoreNATS) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := b.open(ctx, OpPublish, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	if err := b.prepare(&m); err != nil {
		return broker.Receipt{}, err
	}
	if err := b.failure(OpPublish); err != nil {
		return broker.Receipt{}, err
	}
	b.deliver(&m)
	return broker.Receipt{Outcome: b.outcome()}, nil
}

// outcome is that of what was published.
func (b *CoreNATS) outcome() broker.Outcome {
	if b.confirm {
		return broker.OutcomeReceived
	}
	return broker.OutcomeSent
}

// PublishBatch implements [broker.Publisher]. If any message is refused, none
// is sent, and the errors of the others match [broker.ErrSkipped].
func (b *CoreNATS) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	receipts, errs := make([]broker.Receipt, len(ms)), make([]error, len(ms))
	if err := b.open(ctx, OpPublish, ""); err != nil {
		return receipts, err
	}
	checked := make([]broker.Message, len(ms))
	for i, m := range ms {
		errs[i] = b.prepare(&m)
		checked[i] = m
	}
	if refusedAll(ms, errs) {
		return receipts, broker.NewBatchError(errs)
	}
	broken := map[string]error{} // the failures, by subject
	for i := range checked {
		m := &checked[i]
		if broken[m.Subject] != nil {
			errs[i] = skipped(ms[i].Subject, broken[m.Subject])
			continue
		}
		if errs[i] = b.failure(OpPublish); errs[i] != nil {
			broken[m.Subject] = errs[i]
			continue
		}
		b.deliver(m)
		receipts[i].Outcome = b.outcome()
	}
	return receipts, broker.NewBatchError(errs)
}

// refusedAll reports whether a message of a batch is refused, and then gives
// the others, which are not sent either, their errors.
func refusedAll(ms []broker.Message, errs []error) bool {
	n := slices.IndexFunc(errs, refused)
	if n < 0 {
		return false
	}
	for i, err := range errs {
		if err == nil {
			errs[i] = skipped(ms[i].Subject, errs[n])
		}
	}
	return true
}

// skipped is the error of a message that is not sent because of another one's,
// and as retryable as that.
func skipped(subject string, behind error) error {
	e, ok := errors.AsType[*broker.Error](behind)
	return &broker.Error{Backend: backend, Op: string(OpPublish), Subject: subject, Kind: broker.ErrSkipped, Retryable: ok && e.Retryable}
}

// refused is for errors of messages that can never be sent as they are.
func refused(err error) bool {
	return errors.Is(err, broker.ErrInvalid) || errors.Is(err, errors.ErrUnsupported)
}

// receiver is what the index finds: a subscription, or a request that waits.
type receiver interface {
	// take puts a message in, or drops it. It does not block. All receivers
	// share Body and Header. size is what pending limits count.
	take(m broker.Message, size int)
	// queueGroup is "" for one that gets every message.
	queueGroup() string
}

// rooms are for what the index finds.
var rooms = sync.Pool{New: func() any { return new([]receiver) }}

// deliver gives a message that was checked to its receivers, and returns how
// many they are. It holds the index for as long, so that a subscription that
// has left it gets nothing more.
func (b *CoreNATS) deliver(m *broker.Message) int {
	b.activity.begun.Add(1)
	b.mu.RLock()
	defer b.mu.RUnlock()
	room := rooms.Get().(*[]receiver)
	found := b.index.Lookup(m.Subject, *room)
	n := 0
	if len(found) > 0 {
		n = b.fanOut(found, m)
	}
	clear(found)
	*room = found[:0]
	rooms.Put(room)
	return n
}

// fanOut gives every receiver the message, and of each queue group one.
func (b *CoreNATS) fanOut(found []receiver, m *broker.Message) (receivers int) {
	shared := broker.Message{Subject: m.Subject, ReplyTo: m.ReplyTo, Body: copyOf(m.Body)}
	if len(m.Header) > 0 {
		shared.Header = maps.Clone(m.Header)
	}
	size := pendingSize(m)
	var groups []choice
	for _, r := range found {
		if group := r.queueGroup(); group != "" {
			groups = choose(groups, group, r, &b.chance)
			continue
		}
		r.take(shared, size)
		receivers++
	}
	for _, c := range groups {
		c.picked.take(shared, size)
	}
	return receivers + len(groups)
}

// copyOf is bytes.Clone at two thirds of its cost.
func copyOf(b []byte) []byte {
	if b == nil {
		return nil
	}
	c := make([]byte, len(b))
	copy(c, b)
	return c
}

// choice is the member that a queue group's message goes to, picked among those
// seen so far with equal probability. A group is one group, whatever patterns
// its members use.
type choice struct {
	group  string
	seen   int
	picked receiver
}

func choose(groups []choice, group string, r receiver, by *chance) []choice {
	for i := range groups {
		c := &groups[i]
		if c.group != group {
			continue
		}
		if c.seen++; by.below(c.seen) == 0 {
			c.picked = r
		}
		return groups
	}
	return append(groups, choice{group, 1, r})
}
