package memory

import (
	"context"
	"errors"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Delete implements [broker.Receiver]. A late delete is [broker.ErrLeaseLost].
// A deleted message stays in a stream with limits retention, for other
// consumers.
func (b *JetStream) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return b.settle(ctx, OpDelete, ds, streamDeletion{})
}

// Extend implements [broker.Receiver]: it restarts the lease. 0 is the only
// lease that every consumer supports; one that is not the consumer's AckWait is
// unsupported.
func (b *JetStream) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if lease < 0 {
		return &broker.FieldError{Field: "lease", Value: lease.String(), Limit: "0 (the consumer's own) or above"}
	}
	return b.settle(ctx, OpExtend, ds, streamExtension{extension{lease}})
}

// Release implements [broker.Receiver]. With a delay of 0 the message is
// delivered at once, after other messages to be redelivered. With a backoff, a
// delay above 0 is extended by the difference between the attempt's lease and
// the first one's, as on the server. The attempt counts.
func (b *JetStream) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if delay < 0 {
		return &broker.FieldError{Field: "delay", Value: delay.String(), Limit: "0 or above"}
	}
	return b.settle(ctx, OpRelease, ds, streamRelease{release{delay}})
}

// Reject implements [broker.Receiver]. It publishes a copy to the consumer's
// dead-letter subject, with the headers of natsbroker.JetStream, and settles the
// message. If a copy cannot be stored, and without such a subject, the message
// stays leased.
func (b *JetStream) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return b.settle(ctx, OpReject, ds, streamRejection{rejection{reason}})
}

// streamChange is one of the four things that can be done to a delivery.
type streamChange interface {
	// check is asked first; done says that there is nothing to do.
	check(h *streamHandle) (done bool, err error)
	// unleased says whether it is nothing to do for what a consumer with AckNone
	// delivered.
	unleased() bool
	// do does it.
	do(ctx context.Context, h *streamHandle, d *broker.Delivery, c *ConsumerConfig) error
	// note writes it down for a delivery made by hand; false: it is settled.
	note(h *Handle) bool
}

// settle does x to each of ds.
func (b *JetStream) settle(ctx context.Context, op Op, ds []*broker.Delivery, x streamChange) error {
	if err := b.open(ctx, op, ""); err != nil {
		return err
	}
	var errs []error
	for i, d := range ds {
		if err := b.settleOne(ctx, op, d, x); err != nil {
			if errs == nil {
				errs = make([]error, len(ds))
			}
			errs[i] = err
		}
	}
	return broker.NewBatchError(errs)
}

func (b *JetStream) settleOne(ctx context.Context, op Op, d *broker.Delivery, x streamChange) error {
	switch h := handleOf(d).(type) {
	case *streamHandle:
		if h.owner != b {
			return notOurs()
		}
		err := b.failure(op)
		if err == nil {
			err = h.change(ctx, op, d, x)
		}
		if errors.Is(err, broker.ErrLeaseLost) {
			return failed(op, h.name, broker.ErrLeaseLost, nil)
		}
		return err
	case *Handle:
		if err := b.failure(op); err != nil {
			return err
		}
		if !x.note(h) {
			return failed(op, d.Subject, broker.ErrLeaseLost, nil)
		}
		return nil
	}
	return notOurs()
}

func (h *streamHandle) change(ctx context.Context, op Op, d *broker.Delivery, x streamChange) error {
	if done, err := x.check(h); done || err != nil {
		return err
	}
	c := h.owner.consumerOf(h.consumer)
	switch {
	case c == nil:
		return failed(op, h.name, broker.ErrNotFound, errors.New("the consumer is gone"))
	case c.AckNone && x.unleased():
		return nil
	case c.AckNone:
		return natsrules.Unleased(string(op), h.consumer)
	case h.Expired(time.Now()):
		return broker.ErrLeaseLost
	}
	return x.do(ctx, h, d, c)
}

// settled records what has become of a delivery.
func (h *streamHandle) settled(op Op, s lease.State, err error) error {
	if err != nil {
		return streamFailed(op, h.name, err)
	}
	h.Settle(s)
	return nil
}

type streamDeletion struct{ deletion }

func (streamDeletion) check(h *streamHandle) (bool, error) { return h.CheckDelete() }
func (streamDeletion) unleased() bool                      { return true }

func (streamDeletion) do(_ context.Context, h *streamHandle, _ *broker.Delivery, _ *ConsumerConfig) error {
	return h.settled(OpDelete, lease.Deleted, h.owner.engine.Delete(h.consumer.Stream, h.consumer.Name, h.receipt))
}

type streamExtension struct{ extension }

func (streamExtension) check(h *streamHandle) (bool, error) { return false, h.CheckChange() }
func (streamExtension) unleased() bool                      { return true }

func (x streamExtension) do(_ context.Context, h *streamHandle, _ *broker.Delivery, c *ConsumerConfig) error {
	if err := c.checkLease(x.lease, h.consumer); err != nil {
		return err
	}
	end, err := h.owner.engine.Extend(h.consumer.Stream, h.consumer.Name, h.receipt)
	if err != nil {
		return streamFailed(OpExtend, h.name, err)
	}
	h.Renew(end)
	return nil
}

type streamRelease struct{ release }

func (streamRelease) check(h *streamHandle) (bool, error) { return false, h.CheckChange() }
func (streamRelease) unleased() bool                      { return false }

func (r streamRelease) do(_ context.Context, h *streamHandle, _ *broker.Delivery, _ *ConsumerConfig) error {
	return h.settled(OpRelease, lease.Released, h.owner.engine.Release(h.consumer.Stream, h.consumer.Name, h.receipt, r.delay))
}

type streamRejection struct{ rejection }

func (streamRejection) check(h *streamHandle) (bool, error) { return false, h.CheckChange() }
func (streamRejection) unleased() bool                      { return false }

// do stores the copy, and then settles the message.
func (r streamRejection) do(ctx context.Context, h *streamHandle, d *broker.Delivery, c *ConsumerConfig) error {
	if err := h.owner.copyToDeadLetter(ctx, h, d, c, r.reason); err != nil {
		return err
	}
	return h.settled(OpReject, lease.Rejected, h.owner.engine.Delete(h.consumer.Stream, h.consumer.Name, h.receipt))
}
