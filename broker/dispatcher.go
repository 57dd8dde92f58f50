package broker

import (
	"context"
	"errors"
	"sync/atomic"
)

// Dispatcher is the backend's side of a [Subscription] without settling, such
// as one on core NATS. It is for authors of backends; backends that settle use
// [Consume].
//
// It runs the handler, recovers its panics, keeps the counters, reports errors
// to [OnError] and the logger, and drains.
type Dispatcher struct {
	sub     Subscription
	handler Handler
	scope   scope
	slots   chan struct{} // nil: handlers run on the backend's goroutine
	tally   tally
}

// tally counts the deliveries of a Dispatcher without the subscription's lock,
// which would cost more than the rest of the work. addUp transfers it to the
// subscription's counts.
type tally struct {
	received  atomic.Uint64
	succeeded atomic.Uint64
	before    uint64 // handlers that had returned when the drain began; guarded by mu
}

// addUp updates the counts and, once a drain has begun, the report. The caller
// holds mu.
func (s *Subscription) addUp() {
	t := s.tally
	if t == nil {
		return
	}
	c := &s.counts
	c.Succeeded = t.succeeded.Load()
	c.Received = t.received.Load() // loaded last, so that it includes all that have returned
	returned := c.Succeeded + c.Failed
	c.InFlight = int(c.Received - returned) //nolint:gosec // the number in hand
	if s.begun {
		s.report.Finished = int(returned - t.before) //nolint:gosec // the number that was in hand
	} else {
		t.before = returned
	}
}

// NewDispatcher returns a Dispatcher whose [Dispatcher.Subscription] the
// backend returns to its user. subject is the subject as named by the user;
// handlers inherit the values of ctx. NewDispatcher honours [Concurrency],
// [OnError] and [Logger] and refuses every other option on behalf of the named
// backend, so the backend first removes the options that it handles itself
// (including [Group] and [PendingLimits]).
//
// The backend then calls [Dispatcher.Run] once.
func NewDispatcher(ctx context.Context, backend, subject string, h Handler, opts ...SubscribeOption) (*Dispatcher, error) {
	if h == nil {
		return nil, &FieldError{Field: "Handler", Value: "nil", Limit: "a function"}
	}
	p := &Dispatcher{handler: h}
	var errs []error
	for _, opt := range opts {
		errs = append(errs, p.apply(backend, opt))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &p.sub
	s.tally = &p.tally
	s.finishSettings()
	s.init(ctx, subject)
	s.stop = func() {}
	if s.concurrency > 1 {
		p.slots = make(chan struct{}, s.concurrency)
	}
	handlers, cancel := context.WithCancelCause(s.base)
	s.cancel = cancel
	p.scope = scope{Context: handlers, sub: s}
	return p, nil
}

func (p *Dispatcher) apply(backend string, opt SubscribeOption) error {
	switch opt.(type) {
	case Lease, Backoff, MaxAttempts, Prefetch, Batch, Rate, Circuit:
		return &UnsupportedError{
			Backend: backend, What: optionName(opt) + " in a subscription",
			Why:     "nothing is leased or redelivered here: a message is delivered at most once",
			Instead: "a backend with receive-delete",
		}
	}
	known, err := p.sub.apply(opt)
	if !known {
		return unknownOption(backend, "a subscription", opt)
	}
	return err
}

// Run makes the subscription live. stop is called once, when a drain begins: it
// must stop the intake, wait until the messages already received by the client
// are dispatched, and return when no further Dispatch will follow. Its context
// is cancelled when the drain's deadline has passed; stop then discards the
// remaining messages and returns their number.
func (p *Dispatcher) Run(stop func(ctx context.Context) (discarded int)) {
	s := &p.sub
	stopIntake := func() {
		discarded := stop(&p.scope)
		s.mu.Lock()
		s.report.Abandoned += discarded
		s.counts.Dropped += uint64(discarded)
		s.mu.Unlock()
	}
	s.mu.Lock()
	begun := s.begun
	if !begun {
		s.stop = stopIntake
	}
	s.mu.Unlock()
	if begun { // the backend ended it before Run, and finish calls the empty stop
		stopIntake()
	}
}

// Subscription returns the subscription for the user.
func (p *Dispatcher) Subscription() *Subscription { return &p.sub }

// Dispatch passes one delivery to the handler. With [Concurrency] 1 it returns
// after the handler has; otherwise as soon as a handler may start. Dispatch
// must not be called concurrently for one subscription.
func (p *Dispatcher) Dispatch(d *Delivery) {
	p.tally.received.Add(1)
	if d.Attempt > 1 {
		p.countRedelivered()
	}
	if p.slots == nil {
		call(&p.scope, p.handler, d, p)
		return
	}
	p.slots <- struct{}{}
	go call(&p.scope, p.handler, d, p)
}

func (p *Dispatcher) countRedelivered() {
	s := &p.sub
	s.mu.Lock()
	s.counts.Redelivered++
	s.mu.Unlock()
}

// handled takes the handler's result.
func (p *Dispatcher) handled(ctx context.Context, d *Delivery, err error) {
	if err != nil {
		p.sub.apart(func() { p.sub.tell(ctx, d, err) })
		p.leaveFailed(err)
		return
	}
	p.tally.succeeded.Add(1)
	if s := &p.sub; s.dry.Load() { // if not yet set, whatever sets it counts this one
		s.mu.Lock()
		s.checkIdle()
		s.mu.Unlock()
	}
	p.freeSlot()
}

func (p *Dispatcher) leaveFailed(err error) {
	s := &p.sub
	s.mu.Lock()
	s.countResult(err)
	s.checkIdle()
	s.mu.Unlock()
	p.freeSlot()
	if p.slots == nil && errors.Is(err, errGoexit) {
		p.End(err) // the backend's delivering goroutine is gone, and no message will follow
	}
}

func (p *Dispatcher) freeSlot() {
	if p.slots != nil {
		<-p.slots
	}
}

// Drop counts messages that were discarded before a handler received them and
// reports cause to [OnError]: an error that matches [ErrDropped] and contains a
// [*DropError].
func (p *Dispatcher) Drop(n uint64, cause error) {
	s := &p.sub
	s.mu.Lock()
	s.counts.Dropped += n
	s.mu.Unlock()
	s.apart(func() { s.tell(&p.scope, nil, cause) })
}

// Tell counts an error that does not concern a single delivery, such as a
// failed receive, and reports it to [OnError]. The subscription continues.
func (p *Dispatcher) Tell(err error) {
	s := &p.sub
	s.mu.Lock()
	s.counts.Errors++
	s.mu.Unlock()
	s.apart(func() { s.tell(&p.scope, nil, err) })
}

// End records that the backend ended the subscription, for example because of a
// lost connection. It does not wait; it may be called more than once.
func (p *Dispatcher) End(cause error) { p.sub.begin(cause) }
