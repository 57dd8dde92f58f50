package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// The words of the acknowledgement protocol (ADR-15).
var (
	ackWord      = []byte("+ACK")
	progressWord = []byte("+WPI")
	nakWord      = []byte("-NAK")
)

var (
	errLate    = errors.New("the lease has ended")
	errSettled = errors.New("the message is already settled")
	errNobody  = errors.New("the consumer is gone")
)

// Delete acknowledges all the messages at once and waits for the server to
// confirm each (unless Unconfirmed). Late deletes are not sent, since the
// server would accept them although another receiver may hold the message by
// now: they fail with [broker.ErrLeaseLost]. A deleted message stays in a
// stream with limits retention, for other consumers, and leaves one with
// work-queue retention.
//
// A confirmation means that the server has recorded the delete. On a stream
// with limits retention and one replica it is written to disk within 100 ms, so
// a server that is killed before that delivers the message again.
func (j *JetStream) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return j.settle(ctx, &settlement{op: "delete", state: lease.Deleted, word: ackWord}, ds)
}

// Extend reports to the server that work is in progress, which restarts the
// lease. 0 is the only lease that every consumer has; any other than the
// consumer's ack_wait is unsupported.
func (j *JetStream) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if lease < 0 {
		return &broker.FieldError{Field: "lease", Value: lease.String(), Limit: "0 (the consumer's own) or above"}
	}
	return j.settle(ctx, &settlement{
		op: "extend", lease: lease, extend: true, word: progressWord,
	}, ds)
}

// Release gives the messages back, to be delivered again after delay. With 0
// they come at once, but not necessarily before others, whatever the consumer's
// backoff. With a backoff, a delay above 0 is longer by the difference between
// the attempt's lease and the first one's: the server counts it from the end of
// an ack_wait, which is the first lease, and waits for the attempt's
// (nats-server 2.15: with a backoff of 200 ms and 1 s, a delay of 100 ms takes
// 100 ms after the first attempt, and 900 ms after each later one). The attempt
// counts: after the consumer's max_deliver a message is stranded, unless the
// consumer has a dead-letter subject ([DeadLetters]).
func (j *JetStream) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if delay < 0 {
		return &broker.FieldError{Field: "delay", Value: delay.String(), Limit: "0 or above"}
	}
	word := nakWord
	if delay > 0 {
		word = fmt.Appendf(nil, `-NAK {"delay": %d}`, delay.Nanoseconds())
	}
	return j.settle(ctx, &settlement{op: "release", state: lease.Released, word: word}, ds)
}

// settlement is one call that settles or extends deliveries.
type settlement struct {
	op     string
	word   []byte
	state  lease.State   // of the deliveries afterwards
	extend bool          // they stay open
	lease  time.Duration // of an extend
	before func(ctx context.Context, d *jsDelivery) error
	sent   time.Time // the server counts a renewed lease from a later moment
	errs   []error   // nil: none has failed
	confirmations
}

// settle sends a word for each delivery, all of them before it waits for the
// first confirmation.
func (j *JetStream) settle(ctx context.Context, s *settlement, ds []*broker.Delivery) error {
	if err := j.ready(ctx, s.op, ""); err != nil {
		return err
	}
	s.sent = time.Now()
	if j.options.Unconfirmed {
		j.core.ledger.start() // for Flush
	} else {
		s.confirmations = newConfirmations(len(ds))
	}
	told := 0
	for i, d := range ds {
		own, err := j.own(d)
		done := err != nil
		if !done {
			done, err = s.check(ctx, own)
		}
		if !done {
			if err = j.tell(own, s, i); err == nil {
				told++
			}
		}
		if err != nil {
			s.fail(i, len(ds), err)
		}
	}
	if told > 0 && !j.options.Unconfirmed {
		j.confirm(ctx, s, ds)
	}
	return broker.NewBatchError(s.errs)
}

// fail records the error of one of n deliveries.
func (s *settlement) fail(i, n int, err error) {
	if s.errs == nil {
		s.errs = make([]error, n)
	}
	s.errs[i] = err
}

// check reports done if there is nothing to send, because of err or because the
// delivery is already in the wanted state.
func (s *settlement) check(ctx context.Context, d *jsDelivery) (done bool, err error) {
	if s.state == lease.Deleted && !s.extend {
		if done, err := d.CheckDelete(); done {
			return true, s.lost(d, err, errSettled)
		}
	} else if err := d.CheckChange(); err != nil {
		return true, s.lost(d, err, errSettled)
	}
	if d.facts.ackWait == 0 { // ack none
		return true, s.unleased(d)
	}
	now := s.sent
	if s.before != nil { // it may take long
		now = time.Now()
	}
	if d.Expired(now) {
		return true, s.lost(d, broker.ErrLeaseLost, errLate)
	}
	if s.lease != 0 && (s.lease != d.facts.ackWait || len(d.facts.backoff) > 0) {
		return true, natsrules.LeaseFixed(s.lease, d.queue.consumerName)
	}
	if s.before != nil {
		err = s.before(ctx, d)
	}
	return err != nil, err
}

// unleased settles a delivery from a consumer with ack_policy none, which is
// already settled.
func (s *settlement) unleased(d *jsDelivery) error {
	if s.extend || s.state == lease.Deleted {
		return nil
	}
	return natsrules.Unleased(s.op, d.queue.consumerName)
}

// lost returns the error of a delivery that can no longer be settled, or nil if
// err is nil.
func (s *settlement) lost(d *jsDelivery, err, why error) error {
	if err == nil {
		return nil
	}
	return &broker.Error{Backend: jsBackend, Op: s.op, Subject: d.name, Kind: broker.ErrLeaseLost, Err: why}
}

// tell sends the word.
func (j *JetStream) tell(d *jsDelivery, s *settlement, index int) error {
	if j.options.Unconfirmed {
		if err := j.conn.Publish(d.msg.Reply, s.word); err != nil {
			return j.sendFailure(s.op, d.name, err)
		}
		s.settled(d)
		return nil
	}
	replyTo, err := j.answers.ask(&s.confirmations, index)
	if err != nil {
		return j.failure(s.op, d.name, err)
	}
	if err := j.conn.PublishRequest(d.msg.Reply, replyTo, s.word); err != nil {
		j.answers.unask(&s.confirmations, index)
		return j.sendFailure(s.op, d.name, err)
	}
	return nil
}

// confirm waits for the server's answers.
func (j *JetStream) confirm(ctx context.Context, s *settlement, ds []*broker.Delivery) {
	late, stop := j.until(ctx)
	defer stop()
	over := j.answers.collect(ctx, &s.confirmations, late)
	gone := map[*queue]bool{} // those that did not get the word, and whether they are gone
	for i := range s.want {
		w := &s.want[i]
		if w.token == 0 {
			continue
		}
		switch d := ds[i].Handle.(*jsDelivery); {
		case w.answer == nil:
			s.fail(i, len(ds), j.uncertain(s.op, d.name, over))
		case unanswered(w.answer):
			if _, asked := gone[d.queue]; !asked {
				_, err := j.look(ctx, d.queue, 0)
				gone[d.queue] = notFound(err)
			}
			s.fail(i, len(ds), j.unheard(s.op, d, gone[d.queue]))
		default:
			s.settled(d)
		}
	}
}

// unheard returns the error of a delivery whose consumer did not get the word:
// it is gone, or its leader is being replaced, which is transient.
func (j *JetStream) unheard(op string, d *jsDelivery, gone bool) error {
	e := j.failure(op, d.name, nats.ErrNoResponders)
	if gone {
		e.Kind, e.Err, e.Retryable = broker.ErrNotFound, fmt.Errorf("%w: %w", errNobody, nats.ErrNoResponders), false
	}
	return e
}

// settled records the new state of a delivery.
func (s *settlement) settled(d *jsDelivery) {
	if s.extend {
		d.Renew(s.sent.Add(d.facts.lease(d.Attempt)))
		return
	}
	d.Settle(s.state)
}
