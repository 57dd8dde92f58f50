package memory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Subscribe implements [broker.Subscriber]. Options: [broker.Group], a queue
// group; [broker.PendingLimits]; [broker.Concurrency]; [broker.OnError];
// [broker.Logger]. Drops are reported when the handler next returns, or 100 ms
// after the first if it does not.
func (b *CoreNATS) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	return b.subscribe(ctx, OpSubscribe, subject, h, opts)
}

func (b *CoreNATS) subscribe(ctx context.Context, op Op, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.open(ctx, op, name); err != nil {
		return nil, err
	}
	s, err := newSubscription(ctx, b, name, h, opts)
	if err != nil {
		return nil, err
	}
	if err := b.failure(op); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.index.Add(s.pattern, s)
	b.mu.Unlock()
	s.dispatcher.Run(s.stop)
	return keep(ctx, &b.subs, s.dispatcher.Subscription())
}

// subscription holds the messages that wait for one subscription's handler.
// While there are any, a goroutine passes them to the dispatcher.
type subscription struct {
	core       *CoreNATS
	pattern    string
	group      string
	limits     broker.PendingLimits
	dispatcher *broker.Dispatcher

	mu       sync.Mutex
	backlog  backlog
	waiting  broker.PendingLimits // what waits, with what is being dispatched
	current  int                  // size of what is being dispatched
	dropped  uint64               // and not yet reported
	total    uint64               // dropped in all
	telling  int                  // calls of tell pending or in progress
	late     *time.Timer          // reports drops while a handler does not return; nil before the first
	running  bool                 // the goroutine is there
	ended    bool                 // nothing more is taken in or dispatched
	quiet    chan struct{}        // closed when isQuiet; nil until stop asks
	deadline <-chan struct{}      // closed when a drain's deadline has passed: nothing more is dispatched

	starting atomic.Int64 // messages on their way from the backlog to the start of their handler
	stopping atomic.Bool  // stop wants to know when starting is 0
}

func newSubscription(ctx context.Context, b *CoreNATS, name string, h broker.Handler, opts []broker.SubscribeOption) (*subscription, error) {
	s := &subscription{core: b, pattern: b.address(name), limits: b.limits}
	var errs []error
	others, err := s.apply(opts)
	s.limits = b.chance.pending(s.limits)
	errs = append(errs, natsrules.CheckPattern("Subject", s.pattern), err)
	if h != nil {
		h = s.watched(h)
	}
	s.dispatcher, err = broker.NewDispatcher(ctx, natsrules.Backend, name, h, withLogger(b.log, others)...)
	return s, errors.Join(append(errs, err)...)
}

// apply reads the options of this backend and returns the others.
func (s *subscription) apply(opts []broker.SubscribeOption) (others []broker.SubscribeOption, err error) {
	var errs []error
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Group:
			s.group = string(o)
			errs = append(errs, natsrules.CheckGroup(s.pattern, s.group))
		case broker.PendingLimits:
			errs = append(errs, natsrules.CheckPending(o))
			s.limits = orElse(o, s.limits)
		default:
			others = append(others, opt)
		}
	}
	return others, errors.Join(errs...)
}

func (s *subscription) queueGroup() string { return s.group }

// take drops the newest message, this one, when a limit is reached.
func (s *subscription) take(m broker.Message, size int) {
	d := &broker.Delivery{Message: m, Source: s.pattern}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.waiting.Messages >= s.limits.Messages || s.waiting.Bytes+size > s.limits.Bytes {
		s.drop()
		return
	}
	s.core.busy.Add(1)
	s.waiting.Messages++
	s.waiting.Bytes += size
	s.backlog.push(d)
	if !s.running {
		s.running = true
		go s.run()
	}
}

// run is the goroutine. It ends when nothing waits any more; Drain waits for
// what it has begun.
func (s *subscription) run() {
	returned := false
	defer func() {
		if !returned { // the handler ended the goroutine: runtime.Goexit
			s.die()
		}
	}()
	for more := true; more; {
		more = s.step()
	}
	returned = true
}

// step reports drops or dispatches one message; false: there is nothing to do.
func (s *subscription) step() bool {
	d, dropped := s.next()
	switch {
	case dropped != nil:
		s.tell(dropped)
	case d != nil:
		s.dispatcher.Dispatch(d)
	default:
		return false
	}
	return true
}

// next ends one dispatch and begins the next.
func (s *subscription) next() (*broker.Delivery, *broker.DropError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current > 0 {
		s.waiting.Messages--
		s.waiting.Bytes -= s.current
		s.current = 0
	}
	if dropped := s.takeDropped(); dropped != nil {
		return nil, dropped
	}
	if s.pastDeadline() {
		s.running = false
		return nil, nil
	}
	if d := s.backlog.pop(); d != nil {
		s.current = pendingSize(&d.Message)
		s.starting.Add(1)
		return d, nil
	}
	s.running = false
	return nil, nil
}

// pastDeadline leaves the rest to stop. The caller holds mu.
func (s *subscription) pastDeadline() bool {
	select {
	case <-s.deadline:
		return true
	default:
		return false
	}
}

// watched notifies stop when a handler begins, and WaitIdle when it ends.
func (s *subscription) watched(h broker.Handler) broker.Handler {
	return func(ctx context.Context, d *broker.Delivery) error {
		defer s.core.handled(1)
		if s.starting.Add(-1) == 0 && s.stopping.Load() {
			s.mu.Lock()
			s.checkQuiet()
			s.mu.Unlock()
		}
		return h(ctx, d)
	}
}

// die ends a subscription whose goroutine is gone. The dispatcher has ended the
// user's side.
func (s *subscription) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.ended = false, true
	s.checkQuiet()
}

// isQuiet: every accepted message has its handler running, or is done, and no
// drops are being reported. The caller holds mu.
func (s *subscription) isQuiet() bool {
	return (s.backlog.len() == 0 || s.ended) && s.starting.Load() == 0 && s.telling == 0
}

// checkQuiet wakes stop. The caller holds mu.
func (s *subscription) checkQuiet() {
	if s.quiet != nil && s.isQuiet() {
		close(s.quiet)
		s.quiet = nil
	}
}

// stop is the drain's: it leaves the index, waits until all handlers have begun
// or ctx ends, and discards the rest. It waits for no handler's end: that is the
// Subscription's, as it may be a handler that called for the drain.
func (s *subscription) stop(ctx context.Context) (discarded int) {
	b := s.core
	b.mu.Lock()
	b.index.Remove(s.pattern, s)
	b.mu.Unlock()

	s.stopping.Store(true)
	s.mu.Lock()
	s.deadline = ctx.Done()
	s.await(s.deadline)
	s.ended = true
	discarded = s.backlog.len()
	s.backlog.clear()
	if s.late != nil {
		s.late.Stop()
	}
	s.await(nil)
	dropped := s.takeDropped()
	s.mu.Unlock()

	b.handled(discarded)
	if dropped != nil {
		s.tell(dropped)
	}
	return discarded
}

// await waits until the subscription is quiet, or canceled is closed. The
// caller holds mu, which await releases while it waits.
func (s *subscription) await(canceled <-chan struct{}) {
	if s.isQuiet() {
		return
	}
	quiet := make(chan struct{})
	s.quiet = quiet
	s.mu.Unlock()
	select {
	case <-quiet:
	case <-canceled:
	}
	s.mu.Lock()
	s.quiet = nil
}
