package natsrules

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
)

const (
	// redriveBatch is how many dead letters are received at a time.
	redriveBatch = 100
	// giveBackTimeout bounds giving back the remaining messages, even after the
	// context has ended.
	giveBackTimeout = time.Second
	// maxStayErrors is the number of messages that stay whose errors are
	// reported.
	maxStayErrors = 10
)

// Redrive calls one to move each dead letter of a queue, at most limit, and
// returns how many were moved. A message that cannot be moved stays, is
// reported at the end, and does not keep later ones from being moved.
func Redrive(ctx context.Context, r broker.Receiver, queue string, limit int, one func(context.Context, *broker.Delivery) error) (int, error) {
	if limit < 1 {
		return 0, &broker.FieldError{Field: "limit", Value: fmt.Sprint(limit), Limit: "at least 1"}
	}
	v := &redrive{receiver: r, limit: limit, one: one, seen: map[string]bool{}}
	err := v.run(ctx, queue)
	if len(v.stay) > 0 {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
		defer cancel()
		_ = r.Release(late, 0, v.stay...) // messages it does not reach come again when their leases end
	}
	return v.moved, errors.Join(append([]error{err}, v.stays()...)...)
}

// redrive is one call of Redrive.
type redrive struct {
	receiver broker.Receiver
	one      func(context.Context, *broker.Delivery) error
	limit    int
	moved    int
	stay     []*broker.Delivery // leased, so that they do not come again at once
	seen     map[string]bool    // of these, by ID
	errs     []error            // of the first of these
}

// run ends when nothing comes, or only messages that it has seen: a message
// that stays comes again after each lease.
func (v *redrive) run(ctx context.Context, queue string) error {
	for news := true; news && v.moved < v.limit; {
		ds, err := v.receiver.Receive(ctx, queue, min(v.limit-v.moved, redriveBatch), broker.Wait(0))
		if err != nil {
			return err
		}
		news = false
		for i, d := range ds {
			if v.seen[d.ID] {
				v.stay = append(v.stay, d)
				continue
			}
			news = true
			if err := v.one(ctx, d); err == nil {
				v.moved++
			} else if concernsOne(err) {
				v.leave(d, err)
			} else {
				v.stay = append(v.stay, ds[i:]...)
				return err
			}
		}
	}
	return nil
}

// concernsOne reports whether an error concerns only one message and its
// target, so that others can still be moved.
func concernsOne(err error) bool {
	for _, kind := range []error{
		broker.ErrInvalid, broker.ErrTooLarge, broker.ErrNotFound, broker.ErrLeaseLost, ErrFull, errors.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (v *redrive) leave(d *broker.Delivery, why error) {
	v.stay = append(v.stay, d)
	v.seen[d.ID] = true
	if len(v.errs) < maxStayErrors {
		v.errs = append(v.errs, fmt.Errorf("message %s stays: %w", d.ID, why))
	}
}

// stays returns the errors of the messages that stay.
func (v *redrive) stays() []error {
	if n := len(v.seen) - len(v.errs); n > 0 {
		return append(v.errs, fmt.Errorf("and %d more messages were not moved", n))
	}
	return v.errs
}

// RedriveTarget returns the subject that a dead letter came from.
func RedriveTarget(d *broker.Delivery) (string, error) {
	target := d.Header[broker.RejectSubjectHeader]
	if target == "" {
		return "", &broker.FieldError{
			Field: "Header[" + broker.RejectSubjectHeader + "]", Limit: "the subject that it came from: without it, it is not a dead letter of this package",
		}
	}
	return target, nil
}
