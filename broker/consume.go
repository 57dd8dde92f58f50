package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Consume receives the messages of queue from r, calls h for each, and settles
// by what h returns; see [Handler]. It returns at once; [Subscription.Drain]
// ends it. ctx lends its values to handlers, and its end has no effect later.
//
// It is the one runtime under every leased backend, whose Subscribe stands on
// it: prefer that, since it checks that the queue exists and Close drains it. Use
// Consume on a Receiver of your own, and drain it before you close that. What it
// does:
//
//   - It asks r for no more messages than may start at once ([Concurrency]),
//     so no lease runs down in a buffer. [Prefetch] trades that for fewer calls.
//   - It keeps each message's lease alive from its receipt on, by a heartbeat
//     after a third to a half of the lease; quick handlers cause none. One call
//     serves all that are due. A heartbeat that fails is tried again while the
//     lease lasts. A lease that is lost cancels the handler's context with
//     [ErrLeaseLost], a fiftieth of the lease before its end if it could not be
//     renewed. A delivery whose [Handle] is not [Leased] has no heartbeat, which
//     is told to [OnError], once; one without a lease needs none.
//   - Messages with one [Message.Key] run one at a time, in order; keys do not
//     wait for each other. If one fails, the later ones in hand are released
//     before it, last first, so that order holds, to come again two seconds
//     after it. If one is rejected, those behind it go on.
//   - Messages that wait behind one of their key are held, their leases kept
//     alive, and take no slot, so that a busy key leaves the others theirs. While
//     handlers are so quick that what waits starts before its first heartbeat,
//     there may be [Batch] times as many as slots. Else a receive asks for one
//     message when there are as many as slots, and none is made with twice as
//     many. [Snapshot] counts them.
//   - It settles on a context that does not end with the handler's. While one
//     delete is under way, the next ones gather and go together; an idle
//     consumer's goes at once. Those that wait leave their slots to other
//     messages, as many as there are slots. A settlement that fails is tried
//     again while the lease lasts, then told to [OnError] and counted; the
//     message comes again.
//   - A receive that fails is told to [OnError], and tried again after a
//     pause, of 5 s at most. Only [ErrClosed] ends the subscription.
//
// A message is released at once when a drain's deadline interrupts its handler.
// SQS and JetStream count that as an attempt, and each release of a message that
// waits behind one of its key, by a drain or since that one failed. So that a
// message which fails until it is dead-lettered does not take those behind it
// along, it comes alone every other time at least. Where a key's messages must
// not spend attempts for each other at all, [Batch](1) receives them one by one.
//
// Options: [Concurrency], [Lease], [Backoff], [MaxAttempts], [Prefetch],
// [Rate], [Circuit], [Batch], [OnError], [Observer], [Logger], [Backend].
func Consume(ctx context.Context, r Receiver, queue string, h Handler, opts ...SubscribeOption) (*Subscription, error) {
	c, err := newConsumer(ctx, r, queue, h, opts)
	if err != nil {
		return nil, err
	}
	c.begins()
	return &c.Subscription, nil
}

// consumer is a Subscription on a Receiver. One goroutine is the heartbeat's, one
// polls where there is room, and each delivery has one while its handler runs,
// which polls next if nobody does; see work. Polls beyond the first and Extend
// calls have one while they last.
type consumer struct {
	Subscription
	receiver Receiver
	queue    string
	handler  Handler
	options  []ReceiveOption

	intake context.Context // ends when the drain begins
	halt   context.CancelFunc
	room   chan struct{} // holds a token after something that the poller waits for has changed
	polls  sync.WaitGroup

	// chance is where the jitter for a delivery, or for the intake (nil), comes
	// from: a number in [0, 1).
	chance func(*Delivery) float64

	// Guarded by Subscription.mu:
	hand    hand
	lanes   map[string]*run // the first delivery in hand of each key, which has the others behind it
	behind  int             // deliveries behind the first one of their key
	ready   []*run          // deliveries waiting for a slot, with Prefetch
	running int             // slots taken: handlers started and not yet settled, but for
	leaving int             // those that have left their slot, their delete waiting for a call
	asked   int             // messages asked for by the receives under way
	polling int             // receives under way
	leading bool            // a goroutine polls, or waits for room to do so
	waits   bool            // that one waits
	full    bool            // the last receive brought what was asked for

	handlerTime time.Duration // a moving average, of messages with a key; 0: none has been handled
	leaseTime   time.Duration // of the last delivery

	told    told
	tokens  tokens
	circuit circuit
	deletes deletes

	settleCtx   context.Context // shared by settling calls that begin before settleUntil
	settleUntil time.Time
	settleEnd   context.CancelFunc

	heart heart
}

func newConsumer(ctx context.Context, r Receiver, queue string, h Handler, opts []SubscribeOption) (*consumer, error) {
	c := &consumer{
		receiver: r, queue: queue, handler: h,
		room:   make(chan struct{}, 1),
		lanes:  map[string]*run{},
		heart:  newHeart(),
		chance: func(*Delivery) float64 { return rand.Float64() },
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
	backend, call := "this backend", "Consume"
	for _, opt := range opts {
		if name, ok := opt.(Backend); ok {
			backend, call = string(name), "Subscribe"
		}
	}
	for _, opt := range opts {
		if _, ok := opt.(Backend); ok {
			continue
		}
		known, err := c.apply(opt)
		if !known {
			err = unknownOption(backend, call, opt)
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
	c.circuit.Circuit = c.breaker
	c.tokens = newTokens(c.rate, time.Now())
	c.init(ctx, queue)
	c.intake, c.halt = context.WithCancel(c.base)
	c.stop = c.stopIntake
	c.end = c.allSettled
	c.cancel = c.cancelHandlers
	c.consumer = c
	return c, nil
}

// begins starts the consumer's goroutines.
func (c *consumer) begins() {
	c.changed()
	go c.beat()
}

// stopIntake is the drain's first stage: it gives back what has not started,
// last first.
func (c *consumer) stopIntake() {
	c.halt()
	c.polls.Wait()
	cleared := make(chan struct{})
	defer close(cleared)
	c.mu.Lock()
	waiting := c.ready
	c.ready = nil
	for r := range c.hand.all() {
		if lane := c.takeLane(r); len(lane) > 0 {
			waiting = append(waiting, lane...)
			r.cleared = cleared
		}
	}
	c.mu.Unlock()
	c.releaseUnstarted(waiting, 0)
}

// allSettled is called when nothing is in hand any more.
func (c *consumer) allSettled() {
	c.heart.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settleEnd != nil {
		c.settleEnd()
	}
}

// cancelHandlers is the drain's last stage. Leases are not renewed any more,
// so that what is abandoned comes again soon.
func (c *consumer) cancelHandlers(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.hand.all() {
		c.stopBeatLocked(r)
		r.cancel(cause)
	}
}
