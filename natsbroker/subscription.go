package natsbroker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// subscription connects a native subscription to its Dispatcher. nats.go runs
// receive on one goroutine per subscription.
type subscription struct {
	broker     *Broker
	name       string // as the caller named it
	pattern    string // native
	options    subscribeOptions
	dispatcher *broker.Dispatcher
	native     *nats.Subscription

	gate    chan struct{} // closed when Subscribe has succeeded or failed
	refused atomic.Bool   // it failed
	opened  bool          // used by receive only

	last  chan struct{} // closed when a drain waits for the message that is begun now
	ended chan struct{} // closed when nats.go's goroutine is done
	once  struct{ last, ended sync.Once }

	returned atomic.Uint64 // calls of receive that have dispatched and returned
	begun    atomic.Uint64 // twice the messages that were or will be dispatched; odd while turn is held
	turn     sync.Mutex    // held to count messages that have not begun; see hold
	removed  bool          // messages that have not begun are discarded
	fenced   atomic.Bool   // a drain has begun, and the server sends nothing more

	drops drops
}

func newSubscription(ctx context.Context, b *Broker, name string, h broker.Handler, opts []broker.SubscribeOption) (*subscription, error) {
	s := &subscription{
		broker: b, name: name, pattern: b.address(name),
		gate: make(chan struct{}), last: make(chan struct{}), ended: make(chan struct{}),
	}
	err := natsrules.CheckPattern("Subject", s.pattern)
	options, optionsErr := b.readOptions(s.pattern, opts)
	s.options = options
	dispatcher, dispatcherErr := broker.NewDispatcher(ctx, backend, name, h, options.others...)
	s.dispatcher = dispatcher
	return s, errors.Join(err, optionsErr, dispatcherErr)
}

// setUp creates the native subscription and waits until the server has it.
// Messages that arrive in the meantime wait at the gate.
func (s *subscription) setUp(ctx context.Context) error {
	b := s.broker
	denied := b.watchDenial(s.pattern, s.options.group)
	native, err := b.conn.QueueSubscribe(s.pattern, s.options.group, s.receive)
	if err != nil {
		return err
	}
	s.native = native
	native.SetClosedHandler(func(string) { s.end() })
	if err := s.setLimits(); err != nil {
		return err
	}
	if err := s.awaitServer(ctx); err != nil {
		return err
	}
	return denied.err()
}

func (s *subscription) setLimits() error {
	limits := s.options.limits
	messages, bytes := nats.DefaultSubPendingMsgsLimit, nats.DefaultSubPendingBytesLimit
	if limits.Messages > 0 {
		messages = limits.Messages
	}
	if limits.Bytes > 0 {
		bytes = limits.Bytes
	}
	return s.native.SetPendingLimits(messages, bytes)
}

// awaitServer flushes until the server has answered. nats.go subscribes again
// by itself after a reconnect, so a connection lost in the meantime is not a
// failure.
func (s *subscription) awaitServer(ctx context.Context) error {
	b := s.broker
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	for {
		err := b.conn.FlushWithContext(ctx)
		if err == nil || ctx.Err() != nil || b.conn.IsClosed() {
			return err
		}
	}
}

// refuse undoes setUp. No handler has run.
func (s *subscription) refuse() {
	s.refused.Store(true)
	close(s.gate)
	if s.native != nil {
		_ = s.native.Unsubscribe() // on a closed connection there is nothing to undo
	}
}

// receive takes one message. It returns when the message is handled or, with
// Concurrency, when its handler may start.
func (s *subscription) receive(msg *nats.Msg) {
	if !s.open() || !s.begin() {
		return
	}
	returned := false
	defer func() {
		if !returned { // the handler ended this goroutine by runtime.Goexit
			s.end()
		}
	}()
	s.watchDrops()
	if headersLost(msg) {
		s.tellHeadersLost()
	}
	s.dispatcher.Dispatch(newDelivery(msg, s.pattern))
	returned = true
	s.returned.Add(1)
}

// open waits for Subscribe to finish and reports whether it succeeded.
func (s *subscription) open() bool {
	if !s.opened {
		<-s.gate
		s.opened = true
	}
	return !s.refused.Load()
}

// end is called when nats.go's goroutine is done: after a drain, or because the
// connection was closed.
func (s *subscription) end() {
	s.once.ended.Do(func() { close(s.ended) })
	if s.refused.Load() {
		return // the caller never got it
	}
	s.dispatcher.End(s.broker.failure("receive", s.name, nats.ErrConnectionClosed))
}
