package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
)

// The words of the acknowledgement protocol (ADR-15).
var (
	ackWord      = []byte("+ACK")
	progressWord = []byte("+WPI")
	nakWord      = []byte("-NAK")
)

var (
	errLate    = errors.New("the lease has ended")
	errSettled = errors.New("the message is settled already")
	errNobody  = errors.New("the consumer is gone")
)

// Delete acknowledges the messages, all at once, and waits for the server to
// confirm each (unless Unconfirmed). What is late is not sent, since the server
// would take it although the message may be with somebody else by now: that is
// [broker.ErrLeaseLost]. A message that is deleted stays in a stream with limits
// retention, for other consumers, and leaves one with work-queue retention.
//
// A confirmation means that the server has noted it. On a stream with limits
// retention and one replica it writes that down within 100 ms, so that a server
// which is killed just then delivers the message again.
func (j *JetStream) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return j.settle(ctx, &settlement{op: "delete", state: lease.Deleted, word: func(*jsDelivery) []byte { return ackWord }}, ds)
}

// Extend tells the server that the work is in progress, which begins the lease
// anew. 0 is the only lease that every consumer has; one that is not the
// consumer's ack_wait is unsupported.
func (j *JetStream) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if lease < 0 {
		return &broker.FieldError{Field: "lease", Value: lease.String(), Limit: "0 (the consumer's own) or above"}
	}
	return j.settle(ctx, &settlement{
		op: "extend", lease: lease, extend: true, word: func(*jsDelivery) []byte { return progressWord },
	}, ds)
}

// Release gives the messages back, to be delivered again after delay. With 0
// they come at once, and not necessarily before others; the consumer's backoff
// does not apply. The attempt counts: after the consumer's max_deliver a message
// is stranded, unless the consumer has a dead-letter subject ([DeadLetters]).
func (j *JetStream) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if delay < 0 {
		return &broker.FieldError{Field: "delay", Value: delay.String(), Limit: "0 or above"}
	}
	word := nakWord
	if delay > 0 {
		word = fmt.Appendf(nil, `-NAK {"delay": %d}`, delay.Nanoseconds())
	}
	return j.settle(ctx, &settlement{op: "release", state: lease.Released, word: func(*jsDelivery) []byte { return word }}, ds)
}

// settlement is one call that settles or extends deliveries.
type settlement struct {
	op     string
	word   func(*jsDelivery) []byte
	state  lease.State   // what the deliveries are in then
	extend bool          // they stay open
	lease  time.Duration // of an extend
	before func(ctx context.Context, d *jsDelivery) error
}

// settle sends a word for each delivery, all of them before it waits for the
// first confirmation.
func (j *JetStream) settle(ctx context.Context, s *settlement, ds []*broker.Delivery) error {
	if err := j.ready(ctx, s.op, ""); err != nil {
		return err
	}
	errs := make([]error, len(ds))
	sent := time.Now() // the server counts a renewed lease from a later moment
	got := make(chan answer, len(ds))
	var tokens []uint64
	if !j.options.Unconfirmed {
		tokens = make([]uint64, len(ds))
	}
	waiting := 0
	for i, d := range ds {
		own, err := j.own(d)
		if err != nil {
			errs[i] = err
			continue
		}
		if done, err := s.check(ctx, own); done || err != nil {
			errs[i] = err
			continue
		}
		token, err := j.tell(own, s, slot{to: got, index: i})
		switch {
		case err != nil:
			errs[i] = err
		case tokens != nil:
			tokens[i] = token
			waiting++
		default:
			s.settled(own, sent)
		}
	}
	if waiting > 0 {
		j.confirm(ctx, s, ds, errs, tokens, got, waiting, sent)
	}
	return broker.NewBatchError(errs)
}

// check reports done where there is nothing to send.
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
	if d.Expired(time.Now()) {
		return true, s.lost(d, broker.ErrLeaseLost, errLate)
	}
	if s.lease != 0 && (s.lease != d.facts.ackWait || len(d.facts.backoff) > 0) {
		return true, leaseFixed(s.lease, d.queue)
	}
	if s.before != nil {
		return false, s.before(ctx, d)
	}
	return false, nil
}

// unleased is the settlement of what a consumer with ack_policy none delivered:
// it is gone already.
func (s *settlement) unleased(d *jsDelivery) error {
	if s.extend || s.state == lease.Deleted {
		return nil
	}
	return &broker.UnsupportedError{
		Backend: jsBackend, What: s.op, Why: "consumer " + d.queue.String() + " has ack_policy none: what was delivered is gone",
		Instead: "a consumer with ack_policy explicit",
	}
}

// lost is the error of a delivery that is nobody's to settle; nil where err is.
func (s *settlement) lost(d *jsDelivery, err, why error) error {
	if err == nil {
		return nil
	}
	return &broker.Error{Backend: jsBackend, Op: s.op, Subject: d.name, Kind: broker.ErrLeaseLost, Err: why}
}

// tell sends the word.
func (j *JetStream) tell(d *jsDelivery, s *settlement, to slot) (token uint64, err error) {
	if j.options.Unconfirmed {
		if err := j.conn.Publish(d.msg.Reply, s.word(d)); err != nil {
			return 0, j.uncertain(s.op, d.name, err)
		}
		return 0, nil
	}
	token, replyTo, err := j.answers.expect(to)
	if err != nil {
		return 0, j.failure(s.op, d.name, err)
	}
	if err := j.conn.PublishRequest(d.msg.Reply, replyTo, s.word(d)); err != nil {
		j.answers.forget(token)
		return 0, j.uncertain(s.op, d.name, err)
	}
	return token, nil
}

// confirm waits for the server's answers.
func (j *JetStream) confirm(ctx context.Context, s *settlement, ds []*broker.Delivery, errs []error,
	tokens []uint64, got <-chan answer, waiting int, sent time.Time,
) {
	late, stop := j.until(ctx)
	defer stop()
	var over error
	for ; waiting > 0; waiting-- {
		var a answer
		if a, over = j.answers.wait(ctx, got, late); over != nil {
			break
		}
		tokens[a.index] = 0
		d := ds[a.index].Handle.(*jsDelivery)
		if unanswered(a.msg) {
			j.forget(d.queue)
			e := j.failure(s.op, d.name, nats.ErrNoResponders)
			e.Kind, e.Err, e.Retryable = broker.ErrNotFound, fmt.Errorf("%w: %w", errNobody, nats.ErrNoResponders), false
			errs[a.index] = e
			continue
		}
		s.settled(d, sent)
	}
	for i, token := range tokens {
		if token != 0 {
			j.answers.forget(token)
			errs[i] = j.uncertain(s.op, ds[i].Handle.(*jsDelivery).name, over)
		}
	}
}

// settled records what has become of a delivery.
func (s *settlement) settled(d *jsDelivery, sent time.Time) {
	if s.extend {
		d.Renew(sent.Add(d.facts.lease(d.Attempt)))
		return
	}
	d.Settle(s.state)
}
