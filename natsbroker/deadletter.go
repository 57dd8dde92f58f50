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

// DeadLetters configures where a consumer's messages go that are rejected or
// were delivered too often. JetStream has no such setting: it is kept in the
// consumer's metadata, where Describe and every process that uses this package
// find it.
//
// The consumer's max_deliver must stay unlimited (-1), or be above MaxAttempts:
// the server never delivers a message beyond it, so nobody could move that
// message. A message that was delivered MaxAttempts times is moved when it is
// delivered once more, to a Receive of this package, which does not return it.
// That Receive waits for the move for at most half a second; the move then
// continues in the background for up to RequestTimeout, or until Close. So
// nothing is lost when a process dies at any moment: the message comes again
// until its copy is stored, and the copy has an id by which a second copy is
// recognised within the stream's duplicate_window. Other software that reads
// the consumer is delivered such messages and does not move them. A message so
// large that it has no room for the headers of its copy cannot be moved: it
// comes again, and is logged each time.
//
// [DeadLetters.Metadata] returns the settings as consumer metadata.
type DeadLetters struct {
	// Subject is where the copies are published; "" means nowhere. A stream
	// must capture it.
	Subject string
	// MaxAttempts is how often a message is delivered; 0 means no limit. When
	// it would be delivered once more, Receive moves it.
	MaxAttempts int
}

// Metadata returns others with the settings added, for the Metadata of the
// consumer configuration passed to [JetStream.EnsureConsumer] or to nats.go's
// own calls. others may be nil and is not modified.
func (d DeadLetters) Metadata(others map[string]string) map[string]string {
	return natsrules.DeadLetters(d).Metadata(others)
}

// Reject copies each message to the dead-letter subject of its consumer (see
// [DeadLetters]), with headers that say why and where from, and then terminates
// it. If a copy cannot be stored, the message stays leased. If the termination
// fails, Reject returns that error and the message comes again; rejecting it
// again makes no second copy within the duplicate_window of the stream that
// keeps the copies.
//
// Without a dead-letter subject, the error is a [*broker.UnsupportedError] and
// the message stays leased: terminating it would lose it on a work-queue
// stream.
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

// deadLetterHeader returns the message's own header, with all its values,
// without headers that the server would act on.
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

// checkDeadLetters refuses dead-letter settings that cannot work for a new
// consumer.
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
	rest, err := j.capture(ctx, target)
	if err == nil && rest.known && rest.stream == "" {
		err = natsrules.DeadLettersUncaptured(target)
	}
	return err
}

// moveWait is how long a Receive waits for messages that it dead-letters.
const moveWait = 500 * time.Millisecond

// moveDeadLetters moves messages that were delivered too often to the dead-letter
// subject. The moves continue after ctx ends and after moveWait, because the
// other messages of the request wait for them while their leases run. Failures
// are logged, and the move is tried again when the message comes again.
func (j *JetStream) moveDeadLetters(ctx context.Context, attempts int, ds []*broker.Delivery) {
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
// they came from, as new messages, and deletes them from the queue. It moves at
// most limit messages, which must be at least 1, and no more than are there
// now, and returns how many it moved. A message that was published but not
// deleted is published again by a later call, and recognised as a duplicate
// within the stream's duplicate_window. Other consumers of the subject receive
// redriven messages too.
//
// A message that cannot be moved, because it has no
// [broker.RejectSubjectHeader] header or its stream does not accept it, stays
// in the queue and does not keep others from being moved. The returned error
// joins the errors of at most ten such messages.
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
