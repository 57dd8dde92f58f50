package natsbroker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// DeadLetters says where a consumer's messages go that are rejected, or were
// tried too often. JetStream has no such setting: it is kept in the consumer's
// metadata, where Describe and every process that uses this package find it.
//
// The consumer's max_deliver must stay unlimited (-1), or be above MaxAttempts:
// what exceeds it the server never delivers again, and nobody can move it. A
// message that was tried MaxAttempts times is moved when it is delivered once
// more, to a Receive of this package, which does not return it. That Receive waits for
// the move for half a second at most; then it goes on by itself for up to
// RequestTimeout, or until Close. So nothing is lost when a process dies at any
// moment: the message comes again until its copy is stored, and the copy has an id by
// which a second one is recognised within the stream's duplicate_window. Other software that reads the consumer is
// delivered such messages and does not move them. A message so large that it has
// no room for the headers of its copy cannot be moved: it comes again, and is
// logged each time.
//
// [DeadLetters.Metadata] makes the consumer's metadata of it.
type DeadLetters struct {
	// Subject is where the copies are published; "": nowhere. A stream must capture
	// it.
	Subject string
	// MaxAttempts is how often a message is delivered, 0 for no limit. When it would
	// be delivered once more, Receive moves it.
	MaxAttempts int
}

// Metadata returns others with the settings added, for the Metadata of the consumer's
// configuration, which [JetStream.EnsureConsumer] and nats.go's own calls take. others
// may be nil, and is not changed.
func (d DeadLetters) Metadata(others map[string]string) map[string]string {
	return natsrules.DeadLetters(d).Metadata(others)
}

// Reject copies each message to the dead-letter subject of its consumer (see
// [DeadLetters]), with headers that say why and whence, and then terminates it.
// If a copy cannot be stored the message stays leased. If the termination fails,
// which is the error then, the message comes again, and rejecting it again makes
// no second copy within the duplicate_window of the stream that keeps the copies.
//
// Without a dead-letter subject it is a [*broker.UnsupportedError] and the
// message stays leased: terminating it would lose it on a work-queue stream.
func (j *JetStream) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return j.settle(ctx, j.rejection(reason), ds)
}

func (j *JetStream) rejection(reason string) *settlement {
	return &settlement{
		op: "reject", state: lease.Rejected, word: []byte("+TERM " + natsrules.HeaderText(reason)),
		before: func(ctx context.Context, d *jsDelivery) error { return j.copyToDeadLetter(ctx, d, reason) },
	}
}

// copyToDeadLetter publishes the copy and waits until it is stored.
func (j *JetStream) copyToDeadLetter(ctx context.Context, d *jsDelivery, reason string) error {
	if d.facts.dead.Subject == "" {
		return natsrules.NoDeadLetters(d.queue.consumerName, "DeadLetters, with EnsureConsumer")
	}
	late, stop := j.until(ctx)
	defer stop()
	p := jsMessage{name: d.facts.dead.Subject, native: d.facts.dead.Subject, header: deadLetterHeader(d, reason), body: d.Body}
	_, err := j.store(ctx, &p, late)
	return err
}

// deadLetterHeader is the message's own header, all values of it, without what
// would tell the server anything.
func deadLetterHeader(d *jsDelivery, reason string) nats.Header {
	h := make(nats.Header, len(d.msg.Header)+6)
	for key, values := range d.msg.Header {
		if !strings.HasPrefix(key, natsrules.ControlPrefix) {
			h[key] = values
		}
	}
	sequence := d.Sequence.String()
	h[broker.RejectReasonHeader] = []string{natsrules.HeaderText(reason)}
	h[broker.RejectSourceHeader] = []string{d.Source}
	h[broker.RejectSubjectHeader] = []string{d.Subject}
	h[broker.RejectSequenceHeader] = []string{sequence}
	h[broker.RejectAttemptsHeader] = []string{strconv.Itoa(d.Attempt)}
	h[jetstream.MsgIDHeader] = []string{natsrules.RejectID(&d.Delivery)}
	return h
}

// checkDeadLetters refuses dead letters of a consumer to be that cannot work.
func (j *JetStream) checkDeadLetters(ctx context.Context, stream string, c *jetstream.ConsumerConfig) error {
	if c.Metadata[natsrules.DeadLetterKey] == "" && c.Metadata[natsrules.MaxAttemptsKey] == "" {
		return nil
	}
	s, err := j.api.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if err := natsrules.CheckDeadLetters(c.Metadata, c.MaxDeliver, effectiveFilters(&s.CachedInfo().Config, c)); err != nil {
		return err
	}
	target := c.Metadata[natsrules.DeadLetterKey]
	rest, err := readCapture(ctx, j.conn, j.api, target)
	if err == nil && rest.known && rest.stream == "" {
		err = natsrules.NowhereToRest(target)
	}
	return err
}

// moveWait is how long a Receive waits for what it puts to rest.
const moveWait = 500 * time.Millisecond

// putToRest moves messages that were tried often enough. That goes on after ctx, and
// after moveWait, for the others of the request wait for it and their leases run. What
// fails is logged, and done again when the message comes again.
func (j *JetStream) putToRest(ctx context.Context, attempts int, ds []*broker.Delivery) {
	for _, d := range ds {
		d.Attempt = attempts
	}
	done := make(chan struct{})
	begun := j.task(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.options.RequestTimeout)
		defer cancel()
		defer context.AfterFunc(j.life, cancel)()
		err := j.settle(ctx, j.rejection(fmt.Sprintf("tried %d times", attempts)), ds)
		for i, d := range ds {
			if err := broker.ItemError(err, i); err != nil {
				j.logger.WarnContext(ctx, "dead letter not moved", "delivery", d, "error", err)
			}
		}
	})
	if !begun { // closed
		return
	}
	timer := time.NewTimer(moveWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	case <-j.life.Done():
	}
}

// Redrive publishes the messages of a dead-letter queue back to the subjects
// they came from, as new messages, and deletes them there: at most limit, which is 1
// or above, and as many as there are now. It returns how many. One that was published
// and then not deleted is published again by a later call, and recognised as a
// duplicate within the stream's duplicate_window. Other consumers of the subject
// receive what is redriven too.
//
// A message that cannot be moved, because it has no header [broker.RejectSubjectHeader] or
// its stream does not take it, stays and keeps no other from being moved. The error
// tells of such messages, joined, of ten at most.
func (j *JetStream) Redrive(ctx context.Context, queue string, limit int) (int, error) {
	return natsrules.Redrive(ctx, j, queue, limit, j.redriveOne)
}

func (j *JetStream) redriveOne(ctx context.Context, d *broker.Delivery) error {
	target, err := natsrules.RedriveTarget(d)
	if err != nil {
		return err
	}
	own := d.Handle.(*jsDelivery)
	h := make(nats.Header, len(own.msg.Header))
	for key, values := range own.msg.Header {
		if !strings.HasPrefix(key, natsrules.ControlPrefix) && !strings.HasPrefix(key, natsrules.RejectPrefix) {
			h[key] = values
		}
	}
	h[jetstream.MsgIDHeader] = []string{natsrules.RedriveID(d)}
	late, stop := j.until(ctx)
	defer stop()
	if _, err := j.store(ctx, &jsMessage{name: target, native: target, header: h, body: d.Body}, late); err != nil {
		return err
	}
	return broker.ItemError(j.Delete(ctx, d), 0)
}
