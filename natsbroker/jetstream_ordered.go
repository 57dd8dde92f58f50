package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

const (
	// orderedKey marks the consumer of an ordered subscription in its metadata.
	orderedKey = "candidmq-ordered"
	// orderedBatch is how many messages are fetched at a time.
	orderedBatch = 100
	// orderedPull is how long one request waits: within that, and what an
	// answer may take, the loss of a consumer is noticed.
	orderedPull = 3 * time.Second
	// orderedAhead is how many messages may be fetched as signs of life.
	orderedAhead = 1000
	// orderedIdle is how long the server keeps a consumer that was given up.
	orderedIdle = time.Minute
	// orderedRemoval bounds the removal of a consumer that was given up.
	orderedRemoval = time.Second
)

// orderedPauses are the pauses while a consumer cannot be made anew.
var orderedPauses = broker.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// shortStreamTries is how often a stream may seem to end before what was read: a
// new leader may not know of all yet.
const shortStreamTries = 6

var (
	errGap           = errors.New("messages got lost on their way: they are read again")
	errAnotherStream = fmt.Errorf("%w: it was deleted, and another made in its place", jetstream.ErrStreamNotFound)
	errShortStream   = errors.New("the stream has lost messages that were read, and uses their numbers again")
)

// ordered is a subscription with Ordered. One goroutine fetches and handles.
type ordered struct {
	*jsSubscribe
	stream     string
	created    time.Time // of the stream
	config     jetstream.ConsumerConfig
	dispatcher *broker.Dispatcher
	ctx        context.Context //nolint:containedctx // ends when the drain begins
	halt       context.CancelFunc
	over       chan struct{} // closed when the goroutine is done

	// Of the goroutine:
	last     uint64 // the position in the stream up to which all is handled
	consumed uint64 // the consumer's own count of what it has sent
	begun    bool   // a handler has been called

	fetching sync.Mutex  // held while the consumer is asked or replaced
	ahead    []*nats.Msg // what came with signs of life

	turn     sync.Mutex
	reads    receive // the consumer
	handling bool
	stopped  bool
}

// inOrder subscribes with Ordered.
func (s *jsSubscribe) inOrder(stream *jetstream.StreamInfo, pattern string) (*broker.Subscription, error) {
	if r := stream.Config.Retention; r != jetstream.LimitsPolicy {
		return nil, natsrules.NoOrder(stream.Config.Name, r.String(), pattern)
	}
	o := &ordered{
		jsSubscribe: s, stream: stream.Config.Name, created: stream.Created,
		config: s.orderedConfig(&stream.Config, pattern), over: make(chan struct{}),
	}
	var err error
	if o.dispatcher, err = broker.NewDispatcher(s.ctx, jsBackend, s.name, o.handle, s.Others...); err != nil {
		return nil, err
	}
	if err := o.create(s.ctx, o.config); err != nil {
		return nil, err
	}
	s.idle, s.live = o.config.InactiveThreshold, o.keepAlive
	o.ctx, o.halt = context.WithCancel(context.WithoutCancel(s.ctx))
	sub := o.dispatcher.Subscription()
	go o.read()
	o.dispatcher.Run(o.stop)
	return s.started(sub, nil, o.removeConsumer)
}

func (s *jsSubscribe) orderedConfig(stream *jetstream.StreamConfig, pattern string) jetstream.ConsumerConfig {
	c := s.privateConfig(stream, pattern, orderedIdle)
	c.AckPolicy, c.MemoryStorage, c.Replicas = jetstream.AckNonePolicy, true, 1
	c.Metadata = map[string]string{orderedKey: "true"}
	return c
}

// create makes the consumer and notes where it begins.
func (o *ordered) create(ctx context.Context, c jetstream.ConsumerConfig) error {
	ctx, cancel := o.withDeadline(ctx)
	defer cancel()
	made, err := o.api.CreateConsumer(ctx, o.stream, c)
	if err != nil {
		return err
	}
	info := made.CachedInfo()
	facts, err := readConsumer(consumerName{Stream: o.stream, Name: info.Name}, &info.Config)
	if err != nil {
		return err
	}
	o.last, o.consumed = info.Delivered.Stream, 0
	o.turn.Lock()
	defer o.turn.Unlock()
	o.reads = receive{
		JetStream: o.JetStream, name: o.name, limit: orderedBatch, facts: facts,
		queue: o.queue(consumerName{Stream: o.stream, Name: info.Name}),
	}
	return nil
}

// read fetches and handles until the drain begins or the stream is gone.
func (o *ordered) read() {
	defer close(o.over)
	for failures := 0; o.ctx.Err() == nil; {
		err := o.fetch()
		if err == nil {
			failures = 0
			continue
		}
		if o.ctx.Err() != nil {
			return
		}
		o.tell(err)
		if err = o.renew(); err == nil {
			continue
		}
		failures++
		if errors.Is(err, errShortStream) && failures >= shortStreamTries {
			err = fmt.Errorf("%w: %w", jetstream.ErrStreamNotFound, err)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			o.dispatcher.End(&broker.Error{
				Backend: jsBackend, Op: "receive", Subject: o.name, Kind: broker.ErrClosed, Err: o.failure("receive", o.name, err),
			})
			return
		}
		o.pause(o.ctx, nil, orderedPauses.Delay(failures, rand.Float64()))
	}
}

func (o *ordered) tell(err error) {
	o.dispatcher.Tell(o.failure("receive", o.name, err)) // none is lost
}

// fetch handles what one request brings. After an error the consumer is made
// anew.
func (o *ordered) fetch() error {
	if err := o.reads.awaitConnection(o.ctx, time.Now().Add(defaultWait)); err != nil {
		return err
	}
	msgs, err := o.await()
	for _, msg := range msgs {
		if err := o.next(msg); err != nil {
			return err
		}
	}
	return err
}

// await returns what there is already, or what one request brings.
func (o *ordered) await() ([]*nats.Msg, error) {
	o.fetching.Lock()
	defer o.fetching.Unlock()
	if msgs := o.ahead; len(msgs) > 0 {
		o.ahead = nil
		return msgs, nil
	}
	p, err := o.reads.pull(o.ctx, time.Now().Add(orderedPull))
	if len(p.msgs) == 0 && err == nil {
		err = o.compare()
	}
	return p.msgs, err
}

// keepAlive asks for one message more while a handler takes its time. Without a
// request the server would remove the consumer; it takes no other sign of life where
// nothing is acknowledged.
func (o *ordered) keepAlive() {
	if !o.fetching.TryLock() {
		return // there is a request
	}
	defer o.fetching.Unlock()
	if o.ctx.Err() != nil || len(o.ahead) >= orderedAhead || !o.conn.IsConnected() {
		return
	}
	p, err := o.reads.ask(o.ctx, request{batch: 1, noWait: true})
	if err == nil {
		o.ahead = append(o.ahead, p.msgs...)
	}
}

// compare finds out whether the consumer has sent what never came.
func (o *ordered) compare() error {
	ctx, cancel := o.withDeadline(o.ctx)
	defer cancel()
	info, err := o.consumerInfo(ctx, o.reads.queue.consumerName)
	if err == nil && info.Delivered.Consumer != o.consumed {
		err = errGap
	}
	return err
}

// next hands a message to the handler if it is the next one.
func (o *ordered) next(msg *nats.Msg) error {
	at, ok := parsePosition(msg.Reply)
	if !ok || at.consumed != o.consumed+1 || at.sequence <= o.last {
		return errGap
	}
	o.turn.Lock()
	if o.stopped {
		o.turn.Unlock()
		return context.Canceled
	}
	o.handling, o.begun = true, true
	o.consumed, o.last = at.consumed, at.sequence
	o.dispatcher.Dispatch(&o.newJSDelivery(&o.reads, msg, time.Now()).Delivery) // handle gives the turn back
	o.turn.Lock()
	o.handling = false
	o.turn.Unlock()
	return nil
}

// handle is the subscription's handler. The dispatcher knows of the message by
// now, so that a drain may begin, in the caller's handler too.
func (o *ordered) handle(ctx context.Context, d *broker.Delivery) error {
	o.turn.Unlock()
	return o.Handler(ctx, d)
}

// renew makes a consumer for what comes after the last message.
func (o *ordered) renew() error {
	if err := o.reads.awaitConnection(o.ctx, time.Now().Add(defaultWait)); err != nil {
		return err
	}
	ctx, cancel := o.withDeadline(o.ctx)
	defer cancel()
	stream, err := o.api.Stream(ctx, o.stream)
	if err != nil {
		return err
	}
	switch info := stream.CachedInfo(); {
	case !info.Created.Equal(o.created):
		return errAnotherStream
	case info.State.LastSeq < o.last && (o.begun || o.config.OptStartSeq == 0): // else it may begin beyond the end
		return errShortStream
	}
	o.fetching.Lock()
	defer o.fetching.Unlock()
	o.ahead = nil
	old, c := o.reads.queue, o.config
	if o.begun || c.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy {
		c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverByStartSequencePolicy, o.last+1, nil
	}
	if err := o.create(ctx, c); err != nil {
		return err
	}
	o.giveUp(ctx, old)
	return nil
}

// giveUp removes a consumer that another has replaced. If it is not gone already
// the server removes it within a minute.
func (o *ordered) giveUp(ctx context.Context, old *queue) {
	ctx, cancel := context.WithTimeout(ctx, orderedRemoval)
	defer cancel()
	o.forget(old)
	_ = o.api.DeleteConsumer(ctx, old.Stream, old.Name)
}

// stop is the drain's first stage: when it returns no further handler begins.
func (o *ordered) stop(context.Context) (discarded int) {
	o.halt()
	o.turn.Lock()
	o.stopped = true
	handling := o.handling
	o.turn.Unlock()
	if !handling { // else it may be the handler that waits for the drain
		<-o.over
	}
	return 0 // what was fetched is in the stream
}

// removeConsumer removes the consumer when the subscription is over.
func (o *ordered) removeConsumer() {
	o.turn.Lock()
	n := o.reads.queue.consumerName
	o.turn.Unlock()
	o.remove(n)
}
