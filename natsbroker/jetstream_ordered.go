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
	// orderedPull is how long one request waits: the loss of a consumer is
	// noticed within that time plus the time for an answer.
	orderedPull = 3 * time.Second
	// orderedAhead is how many messages may be fetched as signs of life.
	orderedAhead = 1000
	// orderedIdle is how long the server keeps an abandoned consumer.
	orderedIdle = time.Minute
	// orderedRemoval bounds the removal of an abandoned consumer.
	orderedRemoval = time.Second
)

// orderedPauses are the pauses while a consumer cannot be recreated.
var orderedPauses = broker.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// shortStreamTries is how often a stream may seem to end before the position
// already read: a new leader may not know of all messages yet.
const shortStreamTries = 6

var (
	errGap           = errors.New("messages lost in transit; reading them again")
	errAnotherStream = fmt.Errorf("%w: it was deleted, and another created in its place", jetstream.ErrStreamNotFound)
	errShortStream   = errors.New("the stream has lost messages that were already read, and is reusing their numbers")
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

	// Used only by the goroutine:
	last     uint64 // the position in the stream up to which all is handled
	consumed uint64 // the consumer's own count of what it has sent
	begun    bool   // a handler has been called

	fetching sync.Mutex  // held while the consumer is asked or replaced
	ahead    []*nats.Msg // messages that came with signs of life

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

// create creates the consumer and notes where it starts.
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

// read fetches and handles messages until the drain begins or the stream is
// gone.
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

// fetch handles the messages of one request. After an error the consumer is
// recreated.
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

// await returns the messages fetched ahead, or those of one request.
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

// keepAlive fetches one more message while a handler takes its time. Without a
// request the server would remove the consumer; where nothing is acknowledged,
// it accepts no other sign of life.
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

// compare finds out whether the consumer has sent messages that never came.
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
	o.dispatcher.Dispatch(&o.newJSDelivery(&o.reads, msg, time.Now()).Delivery) // handle returns the turn
	o.turn.Lock()
	o.handling = false
	o.turn.Unlock()
	return nil
}

// handle is the subscription's handler. The dispatcher knows of the message by
// now, so a drain may begin, even in the caller's handler.
func (o *ordered) handle(ctx context.Context, d *broker.Delivery) error {
	o.turn.Unlock()
	return o.Handler(ctx, d)
}

// renew creates a consumer that starts after the last message.
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

// giveUp removes a replaced consumer. If that fails, the server removes it
// within a minute.
func (o *ordered) giveUp(ctx context.Context, old *queue) {
	ctx, cancel := context.WithTimeout(ctx, orderedRemoval)
	defer cancel()
	o.forget(old)
	_ = o.api.DeleteConsumer(ctx, old.Stream, old.Name)
}

// stop is the drain's first stage: when it returns, no further handler begins.
func (o *ordered) stop(context.Context) (discarded int) {
	o.halt()
	o.turn.Lock()
	o.stopped = true
	handling := o.handling
	o.turn.Unlock()
	if !handling { // else it may be the handler that waits for the drain
		<-o.over
	}
	return 0 // fetched messages remain in the stream
}

// removeConsumer removes the consumer when the subscription is over.
func (o *ordered) removeConsumer() {
	o.turn.Lock()
	n := o.reads.queue.consumerName
	o.turn.Unlock()
	o.remove(n)
}
