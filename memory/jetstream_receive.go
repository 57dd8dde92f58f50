package memory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// What natsbroker receives with.
const (
	jetStreamWait  = 20 * time.Second
	jetStreamBatch = 500
)

// Receive implements [broker.Receiver]. Options: [broker.Wait], without an
// upper limit, 20 s by default; [broker.Lease], which must equal the consumer's
// AckWait. A message that was tried as often as [DeadLetters] allows is moved,
// and not returned. If no stream takes it at once, whatever StreamWait, it is
// delivered again when its lease ends.
func (b *JetStream) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	if err := b.open(ctx, OpReceive, queue); err != nil {
		return nil, err
	}
	n, err := b.findConsumer(queue)
	wait, leased, optErr := natsrules.ParseReceive(limit, opts, jetStreamWait)
	if err := errors.Join(err, optErr); err != nil {
		return nil, err
	}
	c := b.consumerOf(n)
	if c == nil {
		return nil, failed(OpReceive, queue, broker.ErrNotFound, nil)
	}
	if err := c.checkLease(leased, n); err != nil {
		return nil, err
	}
	if err := b.failure(OpReceive); err != nil {
		return nil, err
	}
	end := time.Now().Add(wait)
	for {
		ms, err := b.engine.Receive(ctx, n.Stream, n.Name, min(limit, jetStreamBatch), time.Until(end))
		if err != nil {
			return nil, streamFailed(OpReceive, queue, err)
		}
		if ds := b.deliver(ctx, n, queue, ms); len(ds) > 0 || !time.Now().Before(end) {
			return ds, nil
		}
	}
}

// findConsumer is the consumer that a name stands for.
func (b *JetStream) findConsumer(name string) (natsrules.Consumer, error) {
	n, ok := b.queueName(name)
	if !ok {
		return n, &broker.FieldError{Field: "queue", Value: name, Limit: "a name in JetStreamOptions.Queues, or " + natsrules.ConsumerLimit}
	}
	return n, nil
}

// checkLease refuses a lease that is not the consumer's; 0 is.
func (c *ConsumerConfig) checkLease(d time.Duration, n natsrules.Consumer) error {
	if d == 0 || d == c.AckWait && len(c.BackOff) == 0 && !c.AckNone {
		return nil
	}
	return natsrules.LeaseFixed(d, n)
}

// streamHandle is the Handle of a delivery that was received from a consumer.
type streamHandle struct {
	lease.Lease
	owner    *JetStream
	consumer natsrules.Consumer
	name     string // of the queue, as the caller named it
	receipt  stream.Receipt
}

// As finds nothing: there is no native message.
func (h *streamHandle) As(any) bool { return false }

// streamDelivery is a Delivery together with its Handle.
type streamDelivery struct {
	broker.Delivery
	handle streamHandle
}

// deliver makes deliveries of messages, but for those that were tried too often,
// which it moves.
func (b *JetStream) deliver(ctx context.Context, n natsrules.Consumer, name string, ms []stream.Message) []*broker.Delivery {
	var ds []*broker.Delivery
	c := b.consumerOf(n)
	for i := range ms {
		d := &streamDelivery{handle: streamHandle{owner: b, consumer: n, name: name, receipt: ms[i].Receipt()}}
		fillFrom(&d.Delivery, n, &ms[i])
		d.handle.Renew(ms[i].LeaseEnd)
		d.Handle = &d.handle
		if c != nil && c.DeadLetters.MaxAttempts > 0 && ms[i].Attempt > c.DeadLetters.MaxAttempts {
			b.exhausted(ctx, &d.Delivery, c.DeadLetters.MaxAttempts)
			continue
		}
		if ds == nil {
			ds = make([]*broker.Delivery, 0, len(ms)-i)
		}
		ds = append(ds, &d.Delivery)
	}
	return ds
}

// fillFrom makes d of m, without a Handle.
func fillFrom(d *broker.Delivery, n natsrules.Consumer, m *stream.Message) {
	d.Subject, d.Body, d.DedupID = m.Subject, m.Body, m.DedupID
	d.Header, _ = m.Attrs.(broker.Header)
	d.ID, d.Source = messageID(n.Stream, m.Seq), n.String()
	d.Sequence = broker.NewSequence(m.Seq)
	d.Attempt = m.Attempt
	d.Time, d.LeaseEnd = m.Time, m.LeaseEnd
}

// exhausted dead-letters a message whose attempts are used up. A failure, or a
// move that would take time, is logged, and repeated when the message is
// delivered again.
func (b *JetStream) exhausted(ctx context.Context, d *broker.Delivery, attempts int) {
	ctx, over := context.WithCancel(context.WithoutCancel(ctx))
	over() // there is no waiting for a stream, nor for an acknowledgement
	d.Attempt = attempts
	err := b.settleOne(ctx, OpReject, d, streamRejection{rejection{fmt.Sprintf("tried %d times", attempts)}})
	if err != nil {
		b.logger().WarnContext(ctx, "dead letter not moved", "delivery", d, "error", err)
	}
}

func (b *JetStream) logger() *slog.Logger {
	if b.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.log
}
