package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// ordered is a subscription with Ordered. One goroutine receives and handles.
type ordered struct {
	*streamSubscribe
	of         string
	dispatcher *broker.Dispatcher
	ctx        context.Context //nolint:containedctx // ends when a drain begins
	halt       context.CancelFunc
	done       chan struct{} // closed when the goroutine ends
	consumer   natsrules.Consumer
	last       uint64 // the position in the stream up to which all is handled

	turn     sync.Mutex // of consumer too
	handling bool
	stopped  bool
}

// inOrder subscribes with Ordered.
func (s *streamSubscribe) inOrder(of *StreamConfig, pattern string) (*broker.Subscription, error) {
	if of.Retention != LimitsRetention {
		return nil, natsrules.NoOrder(of.Name, of.Retention.String(), pattern)
	}
	o := &ordered{streamSubscribe: s, of: of.Name, done: make(chan struct{})}
	var err error
	if o.dispatcher, err = broker.NewDispatcher(s.ctx, natsrules.JetStream, s.name, o.handle, s.Others...); err != nil {
		return nil, err
	}
	if err := o.create(pattern, s.start()); err != nil {
		return nil, err
	}
	o.ctx, o.halt = context.WithCancel(context.WithoutCancel(s.ctx))
	sub := o.dispatcher.Subscription()
	go o.read(pattern)
	o.dispatcher.Run(o.stop)
	sub, err = keep(s.ctx, &s.subs, sub)
	if err != nil || !s.after(sub, o.removeConsumer) {
		o.removeConsumer()
	}
	return sub, err
}

// removeConsumer removes the consumer when the subscription is over.
func (o *ordered) removeConsumer() {
	o.turn.Lock()
	o.stopped = true // none is made anew
	n := o.consumer
	o.turn.Unlock()
	o.remove(n)
}

// create makes the consumer. To the engine each message is leased until it was
// handled, so that WaitIdle waits for it, and forever, so that it is delivered once.
func (o *ordered) create(pattern string, from broker.Start) error {
	c := &ConsumerConfig{FilterSubject: pattern, Start: from, AckNone: true}
	engine := c.engine()
	engine.NoAck, engine.AckWait, engine.MaxAckPending = false, math.MaxInt64/2, 1
	n := natsrules.Consumer{Stream: o.of, Name: fmt.Sprint("ordered-", o.ephemeral.Add(1))}
	o.turn.Lock()
	defer o.turn.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return failed(OpSubscribe, o.name, broker.ErrClosed, nil)
	}
	if err := o.engine.CreateConsumer(o.of, n.Name, engine); err != nil {
		return streamFailed(OpSubscribe, o.name, err)
	}
	o.consumer, o.consumers[n] = n, c
	return nil
}

// read receives and handles until the drain begins or the stream is gone.
func (o *ordered) read(pattern string) {
	defer close(o.done)
	for o.ctx.Err() == nil {
		ms, err := o.engine.Receive(o.ctx, o.of, o.consumer.Name, 1, time.Hour)
		for i := range ms {
			o.next(&ms[i])
		}
		if errors.Is(err, stream.ErrNoConsumer) {
			err = o.create(pattern, broker.FromSequence(o.last+1))
		}
		if err != nil && o.ctx.Err() == nil {
			cause := failed(OpReceive, o.name, broker.ErrNotFound, err)
			o.dispatcher.End(failed(OpReceive, o.name, broker.ErrClosed, cause))
			return
		}
	}
}

// next hands a message to the handler, unless a drain has begun.
func (o *ordered) next(m *stream.Message) {
	receipt := m.Receipt()
	o.turn.Lock()
	if o.stopped {
		o.turn.Unlock()
		return
	}
	o.handling, o.last = true, m.Seq
	d := &streamDelivery{handle: streamHandle{owner: o.JetStream, consumer: o.consumer, name: o.name, receipt: receipt}}
	m.LeaseEnd = time.Time{}
	fillFrom(&d.Delivery, o.consumer, m)
	d.Handle = &d.handle
	o.dispatcher.Dispatch(&d.Delivery)                  // handle gives the turn back
	_ = o.engine.Delete(o.of, o.consumer.Name, receipt) // it fails where the consumer is gone, with nothing to undo
	o.turn.Lock()
	o.handling = false
	o.turn.Unlock()
}

// handle is the subscription's handler. The dispatcher knows of the message by now,
// so that a drain may begin, in the caller's handler too.
func (o *ordered) handle(ctx context.Context, d *broker.Delivery) error {
	o.turn.Unlock()
	return o.Handler(ctx, d)
}

// stop is the drain's first stage: when it returns no further handler begins.
func (o *ordered) stop(context.Context) (discarded int) {
	o.halt()
	o.turn.Lock()
	o.stopped = true
	handling := o.handling
	o.turn.Unlock()
	if !handling { // else it may be the handler that waits for the drain
		<-o.done
	}
	return 0 // what was received is in the stream
}
