package memory

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Delete implements [broker.Receiver].
func (b *SQS) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return b.settle(ctx, OpDelete, ds, deletion{})
}

// Extend implements [broker.Receiver]. Close to the end of the 12 hours for
// which a message can be leased in total, the lease is the remaining time, in
// whole seconds; if there is none, the lease is lost.
func (b *SQS) Extend(ctx context.Context, d time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckExtend(d); err != nil {
		return err
	}
	return b.settle(ctx, OpExtend, ds, extension{sqsrules.WholeSeconds(d)})
}

// Release implements [broker.Receiver]. The delay is shortened to what remains
// of the 12 hours for which a message can be invisible since its receive.
func (b *SQS) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckRelease(delay); err != nil {
		return err
	}
	return b.settle(ctx, OpRelease, ds, release{sqsrules.WholeSeconds(delay)})
}

// Reject implements [broker.Receiver]. It moves the messages to the dead-letter
// queue, with the headers [broker.RejectReasonHeader], [broker.RejectSourceHeader] and
// [broker.RejectAttemptsHeader] as far as there is room for them in the size. ID and
// attempts are kept, as when SQS itself moves a message; sqsbroker has to send a
// copy, which has new ones.
func (b *SQS) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return b.settle(ctx, OpReject, ds, rejection{reason})
}

// change is one of the four things that can be done to a delivery.
type change interface {
	// do does it to a message that was received.
	do(h *handle, d *broker.Delivery) error
	// note writes it down for a delivery made by hand; false: it is settled.
	note(h *Handle) bool
}

// settle does c to each of ds.
func (b *SQS) settle(ctx context.Context, op Op, ds []*broker.Delivery, c change) error {
	if err := b.open(ctx, op, ""); err != nil {
		return err
	}
	var errs []error
	for i, d := range ds {
		if err := b.settleOne(op, d, c); err != nil {
			if errs == nil {
				errs = make([]error, len(ds))
			}
			errs[i] = err
		}
	}
	return broker.NewBatchError(errs)
}

func (b *SQS) settleOne(op Op, d *broker.Delivery, c change) error {
	var err error
	switch h := handleOf(d).(type) {
	case *handle:
		if h.owner != b {
			return notOurs()
		}
		if err = b.failure(op); err == nil {
			err = c.do(h, d)
		}
	case *Handle:
		if err = b.failure(op); err == nil && !c.note(h) {
			err = broker.ErrLeaseLost
		}
	default:
		return notOurs()
	}
	if errors.Is(err, broker.ErrLeaseLost) {
		return failed(op, d.Subject, broker.ErrLeaseLost, nil)
	}
	return err
}

func handleOf(d *broker.Delivery) broker.Handle {
	if d == nil {
		return nil
	}
	return d.Handle
}

func notOurs() error {
	return &broker.FieldError{Field: "Delivery", Limit: "a delivery that this broker received"}
}

type deletion struct{}

// do sends a late delete of a Standard queue nevertheless: it may still prevent
// a duplicate.
func (deletion) do(h *handle, d *broker.Delivery) error {
	if done, err := h.CheckDelete(); done {
		return err
	}
	late := h.Expired(time.Now())
	if late && sqsrules.IsFIFO(h.queue) {
		return broker.ErrLeaseLost
	}
	if err := h.owner.engine.Delete(h.queue, h.receipt); err != nil {
		return engineFailed(OpDelete, d.Subject, err)
	}
	if late {
		return broker.ErrLeaseLost
	}
	h.Settle(lease.Deleted)
	return nil
}

func (deletion) note(h *Handle) bool {
	return h.change(func() { h.settled = Deleted }) || h.Settled() == Deleted
}

type extension struct{ lease time.Duration }

func (x extension) do(h *handle, d *broker.Delivery) error {
	if err := h.checkChange(); err != nil {
		return err
	}
	wanted := x.lease
	if wanted == 0 {
		wanted = h.owner.settingsOf(h.queue).options.Visibility
	}
	wanted = min(wanted, h.left())
	if wanted == 0 {
		return broker.ErrLeaseLost
	}
	end, err := h.owner.engine.Extend(h.queue, h.receipt, wanted)
	if err != nil {
		return engineFailed(OpExtend, d.Subject, err)
	}
	h.Renew(end)
	return nil
}

func (x extension) note(h *Handle) bool {
	return h.change(func() {
		h.extended++
		h.leaseEnd = time.Now().Add(cmp.Or(x.lease, sqsrules.DefaultVisibility))
	})
}

// checkChange refuses what is settled or late.
func (h *handle) checkChange() error {
	if h.Expired(time.Now()) {
		return broker.ErrLeaseLost
	}
	return h.CheckChange()
}

// left is what is left of the longest lease, in whole seconds.
func (h *handle) left() time.Duration {
	return max(0, time.Until(h.received.Add(sqsrules.MaxLease)).Truncate(time.Second))
}

type release struct{ delay time.Duration }

func (r release) do(h *handle, d *broker.Delivery) error {
	if err := h.checkChange(); err != nil {
		return err
	}
	if _, err := h.owner.engine.Extend(h.queue, h.receipt, min(r.delay, h.left())); err != nil {
		return engineFailed(OpRelease, d.Subject, err)
	}
	h.Settle(lease.Released)
	return nil
}

func (r release) note(h *Handle) bool {
	return h.change(func() { h.settled, h.delay = Released, r.delay })
}

type rejection struct{ reason string }

func (r rejection) do(h *handle, d *broker.Delivery) error {
	if err := h.checkChange(); err != nil {
		return err
	}
	name := h.owner.settingsOf(h.queue).options.DeadLetter
	if name == "" {
		return sqsrules.NoDeadLetter(h.queue)
	}
	target := h.owner.settingsOf(name)
	err := h.owner.engine.Reject(h.queue, h.receipt, func(attrs any) any {
		header, _ := attrs.(broker.Header)
		w := sqsrules.Pack(&broker.Message{Body: d.Body, Header: header})
		added := sqsrules.RejectHeader(w, sqsrules.Others{}, target.rules, r.reason, h.queue, d.Attempt)
		_, unpacked := sqsrules.Unpack(w.Body, added)
		if w.Trace != "" {
			unpacked.Set(sqsrules.TraceHeader, w.Trace)
		}
		return unpacked
	})
	if errors.Is(err, queue.ErrNoDeadLetter) {
		return sqsrules.NoDeadLetter(h.queue)
	}
	if err != nil {
		return engineFailed(OpReject, d.Subject, err)
	}
	h.Settle(lease.Rejected)
	return nil
}

func (r rejection) note(h *Handle) bool {
	return h.change(func() { h.settled, h.reason = Rejected, r.reason })
}
