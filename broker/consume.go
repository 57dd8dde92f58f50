package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// settleTimeout bounds the settling of one message, which does not end with
// the handler's context.
const settleTimeout = 5 * time.Second

// Pauses of the intake after a failed receive: they double from the first to
// the second, each with chance, and start anew after a receive that worked.
const (
	receivePauseMin = 100 * time.Millisecond
	receivePauseMax = 30 * time.Second
)

// Consume receives the messages of queue from r, calls h for each, and settles
// by what h returns; see [Handler]. It returns at once; [Subscription.Drain]
// ends it. ctx lends its values to handlers, and its end has no effect later.
//
// It is the one runtime under every leased backend, whose Subscribe stands on
// it. What it does:
//
//   - It asks r for no more messages than may start at once ([Concurrency]),
//     so no lease runs down in a buffer.
//   - It keeps each message's lease alive from its receipt on, by a heartbeat
//     after a third to a half of the lease; quick handlers cause none. A lease
//     that is lost cancels the handler's context with [ErrLeaseLost].
//   - Messages with one [Message.Key] run one at a time, in order. If one
//     fails, the later ones in hand are released before it, last first, so
//     that order holds.
//   - It settles within 5 s on a context that does not end with the handler's.
//     A settlement that fails is told to [OnError] and counted; the message
//     comes again when its lease ends.
//   - A receive that fails is told to [OnError], and tried again after a
//     pause. Only [ErrClosed] ends the subscription.
//
// Options: [Concurrency], [Lease], [Backoff], [OnError], [Logger].
func Consume(ctx context.Context, r Receiver, queue string, h Handler, opts ...SubscribeOption) (*Subscription, error) {
	c, err := newConsumer(ctx, r, queue, h, opts)
	if err != nil {
		return nil, err
	}
	go c.poll()
	go c.beat()
	return &c.Subscription, nil
}

// consumer is a Subscription on a Receiver. Two goroutines are its own: the
// poller and the heartbeat; each delivery adds one while its handler runs.
type consumer struct {
	Subscription
	receiver Receiver
	queue    string
	handler  Handler
	options  []ReceiveOption

	intake   context.Context // ends when the drain begins
	halt     context.CancelFunc
	slotFree chan struct{} // holds a token after a slot was given back
	polled   chan struct{} // closed when the poller has returned

	// Guarded by Subscription.mu:
	runs  map[*run]struct{} // deliveries in hand, until they are settled
	lanes map[string][]*run // deliveries waiting for an earlier one of their key
	heart heart
}

func newConsumer(ctx context.Context, r Receiver, queue string, h Handler, opts []SubscribeOption) (*consumer, error) {
	c := &consumer{
		receiver: r, queue: queue, handler: h,
		slotFree: make(chan struct{}, 1),
		polled:   make(chan struct{}),
		runs:     map[*run]struct{}{},
		lanes:    map[string][]*run{},
		heart:    newHeart(),
	}
	var errs []error
	if r == nil {
		errs = append(errs, &FieldError{Field: "Receiver", Value: "nil", Limit: "a backend"})
	}
	if h == nil {
		errs = append(errs, &FieldError{Field: "Handler", Value: "nil", Limit: "a function"})
	}
	if queue == "" {
		errs = append(errs, &FieldError{Field: "queue", Limit: "not empty"})
	}
	for _, opt := range opts {
		known, err := c.apply(opt)
		if !known {
			err = unknownOption("Consume", opt)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return nil, err
	}
	c.finishSettings()
	if c.lease > 0 {
		c.options = append(c.options, Lease(c.lease))
	}
	c.init(ctx, queue)
	c.intake, c.halt = context.WithCancel(c.base)
	c.stop = c.stopIntake
	c.end = c.heart.stop
	c.cancel = c.cancelHandlers
	return c, nil
}

// poll is the intake: a slot first, then a receive.
func (c *consumer) poll() {
	defer close(c.polled)
	for failures := 0; ; {
		free := c.awaitSlots()
		if free == 0 {
			return
		}
		ds, err := c.receiver.Receive(c.intake, c.queue, free, c.options...)
		c.take(ds)
		switch {
		case c.intake.Err() != nil:
			return
		case errors.Is(err, ErrClosed):
			c.begin(err)
			return
		case err != nil:
			c.receiveFailed(err)
			failures++
			c.pause(failures)
		default:
			failures = 0
		}
	}
}

// awaitSlots waits for a free slot and returns how many there are, or 0 once
// the drain has begun.
func (c *consumer) awaitSlots() int {
	for {
		c.mu.Lock()
		free, begun := c.concurrency-c.counts.InFlight, c.begun
		c.mu.Unlock()
		if begun {
			return 0
		}
		if free > 0 {
			return free
		}
		select {
		case <-c.slotFree:
		case <-c.draining:
		}
	}
}

func (c *consumer) receiveFailed(err error) {
	c.mu.Lock()
	c.counts.Errors++
	c.mu.Unlock()
	c.tell(c.intake, nil, err)
}

// pause waits before the next receive, for the n-th failure in a row.
func (c *consumer) pause(n int) {
	timer := time.NewTimer(Backoff{Min: receivePauseMin, Max: receivePauseMax}.Delay(n, rand.Float64()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.draining:
	}
}

// take puts deliveries in hand and starts those that need not wait for an
// earlier one of their key. Once a drain has begun it gives them back.
func (c *consumer) take(ds []*Delivery) {
	if len(ds) == 0 {
		return
	}
	now := time.Now()
	runs := make([]*run, len(ds))
	for i, d := range ds {
		runs[i] = newRun(c, d)
	}
	c.mu.Lock()
	begun := c.begun
	for _, r := range runs {
		c.enterLocked(r.delivery)
		c.runs[r] = struct{}{}
		c.scheduleBeat(r, now)
		if !begun {
			c.startInLane(r)
		}
	}
	c.mu.Unlock()
	if begun {
		c.releaseUnstarted(c.base, runs)
	}
}

// startInLane starts a delivery, or lets it wait behind the earlier one of its
// key. The caller holds mu.
func (c *consumer) startInLane(r *run) {
	key := r.delivery.Key
	if key == "" {
		c.start(r)
		return
	}
	lane, busy := c.lanes[key]
	if busy {
		c.lanes[key] = append(lane, r)
		return
	}
	c.lanes[key] = nil
	c.start(r)
}

// start runs a delivery's handler on a goroutine of its own. The caller holds
// mu.
func (c *consumer) start(r *run) {
	if r.lost { // while it waited
		go r.skip()
		return
	}
	go call(r, c.handler, r.delivery, r)
}

// finished takes a settled delivery out of hand. What waited behind it in its
// lane was released by then if it failed, and starts here otherwise.
func (c *consumer) finished(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, r)
	if key := r.delivery.Key; key != "" {
		c.nextInLane(key)
	}
	c.leaveLocked()
	select {
	case c.slotFree <- struct{}{}:
	default:
	}
}

// nextInLane starts the next delivery of a key; once a drain has begun it
// leaves that to stopIntake, which gives the waiting ones back. The caller
// holds mu.
func (c *consumer) nextInLane(key string) {
	lane := c.lanes[key]
	if c.begun {
		return
	}
	if len(lane) == 0 {
		delete(c.lanes, key)
		return
	}
	next := lane[0]
	c.lanes[key] = lane[1:]
	c.start(next)
}

// clearLane gives back what waits behind a delivery that failed, last first,
// and returns once that is done.
func (c *consumer) clearLane(ctx context.Context, key string) {
	if key == "" {
		return
	}
	c.mu.Lock()
	waiting := c.lanes[key]
	if len(waiting) > 0 {
		c.lanes[key] = nil
	}
	c.mu.Unlock()
	c.releaseUnstarted(ctx, waiting)
}

// stopIntake is the drain's first stage.
func (c *consumer) stopIntake() {
	c.halt()
	<-c.polled
	c.mu.Lock()
	var waiting []*run
	for key, lane := range c.lanes {
		waiting = append(waiting, lane...)
		c.lanes[key] = nil
	}
	c.mu.Unlock()
	c.releaseUnstarted(c.base, waiting)
}

// releaseUnstarted gives deliveries back whose handlers have not started.
func (c *consumer) releaseUnstarted(ctx context.Context, waiting []*run) {
	if len(waiting) == 0 {
		return
	}
	slices.Reverse(waiting)
	ds := make([]*Delivery, len(waiting))
	for i, r := range waiting {
		c.stopBeat(r)
		ds[i] = r.delivery
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := c.receiver.Release(ctx, 0, ds...)
	for i, r := range waiting {
		c.released(r, ItemError(err, i))
		r.cancel(context.Canceled)
		c.mu.Lock()
		delete(c.runs, r)
		c.leaveLocked()
		c.mu.Unlock()
	}
}

// released counts a release, or tells why it failed.
func (c *consumer) released(r *run, err error) {
	c.mu.Lock()
	if err == nil {
		c.counts.Released++
		if c.begun {
			c.report.Released++
		}
	} else {
		c.counts.Errors++
	}
	c.mu.Unlock()
	if err != nil {
		c.tell(r, r.delivery, err)
	}
}

// cancelHandlers is the drain's last stage. Leases are not renewed any more,
// so that what is abandoned comes again soon.
func (c *consumer) cancelHandlers(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.runs {
		r.settling = true
		r.beatAt = time.Time{}
		r.cancel(cause)
	}
}
