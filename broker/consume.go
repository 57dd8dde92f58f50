package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Consume receives the messages of queue from r, calls h for each, and settles
// each by the result of h; see [Handler]. It returns at once;
// [Subscription.Drain] ends it. Handlers inherit the values of ctx; cancelling
// ctx later has no effect.
//
// Consume is the one runtime under every leased backend, whose Subscribe is
// built on it. Prefer Subscribe, since it checks that the queue exists, and
// Close drains it. Use Consume with a Receiver of your own, and drain it before
// closing that. Consume works as follows:
//
//   - It requests no more messages than may start at once ([Concurrency]), so
//     no lease expires in a buffer. [Prefetch] trades that for fewer calls.
//   - It keeps each message's lease alive from receipt, by a heartbeat after a
//     third to a half of the lease; quick handlers cause none. One call serves
//     all leases that are due. A failed heartbeat is retried while the lease
//     lasts. If a lease cannot be renewed, the handler's context is cancelled
//     with [ErrLeaseLost] shortly (1/50 of the lease) before it expires; if it
//     is lost earlier, at once. A delivery whose [Handle] is not [Leased] has
//     no heartbeat, which is reported to [OnError] once; a delivery without a
//     lease needs none.
//   - It handles messages with the same [Message.Key] one at a time, in order;
//     different keys do not wait for each other. If a message fails, the later
//     ones of its key in hand are released before it, last first, so that the
//     order holds, and are delivered again two seconds after it. If a message
//     is rejected, the later ones continue.
//   - Messages that wait behind another of their key are held with their leases
//     kept alive, and take no slots, so that a busy key leaves the other keys
//     their slots. While handlers are so quick that the messages that a receive
//     may return of one key start before their first heartbeat, [Batch] times
//     as many may wait as there are slots (and places of the prefetch).
//     Otherwise, once as many wait as there are those, receives request one
//     message each, several at a time while such messages come, and none is
//     made once twice as many wait. [Snapshot] counts them.
//   - It settles on a context that does not end with the handler's. While one
//     delete is in progress, further ones collect and are sent together; an
//     idle consumer's delete is sent at once. Waiting deletes leave their slots
//     to other messages, up to as many as there are slots. A failed settlement
//     is retried while the lease lasts, then reported to [OnError] and counted;
//     the message is delivered again.
//   - A failed receive is reported to [OnError], and retried after a pause of
//     at most 5 s. Only [ErrClosed] ends the subscription.
//
// A message is released at once when a drain's deadline interrupts its handler.
// Releasing a message counts as an attempt on SQS and JetStream, including
// messages released because an earlier one with the same key failed. To keep a
// failing message from using up its successors' attempts, it is redelivered
// alone at least every second time. Where the messages of a key must not use up
// each other's attempts at all, [Batch](1) receives them one by one.
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

// consumer is a Subscription on a Receiver. It has one goroutine for the
// heartbeat, one that polls while there is room, and one for each running
// handler, which polls next if no other does; see work. Polls beyond the first
// and Extend calls have one while they last.
type consumer struct {
	Subscription
	receiver Receiver
	queue    string
	handler  Handler
	options  []ReceiveOption

	intake context.Context // ends when the drain begins
	halt   context.CancelFunc
	room   chan struct{} // holds a token after a change that the poller waits for
	polls  sync.WaitGroup

	// chance is the source of the jitter for a delivery, or for the intake
	// (nil): a number in [0, 1).
	chance func(*Delivery) float64

	// Guarded by Subscription.mu:
	hand    hand
	lanes   map[string]*run // the first delivery in hand of each key; the others are behind it
	behind  int             // deliveries behind the first one of their key
	ready   []*run          // deliveries waiting for a slot, with Prefetch
	running int             // slots taken: handlers started and not yet settled, without leaving
	leaving int             // those that have left their slot while their delete waits for a call
	asked   int             // messages requested by the receives in progress
	polling int             // receives in progress
	leading bool            // a goroutine polls, or waits for room to do so
	waits   bool            // that goroutine waits
	full    bool            // the last receive returned as many as requested

	handlerTime time.Duration // a moving average, of messages with a key; 0: none handled yet
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

// stopIntake is the first stage of a drain: it releases the messages that have
// not started, last first.
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

// allSettled is called when no delivery is in hand any more.
func (c *consumer) allSettled() {
	c.heart.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settleEnd != nil {
		c.settleEnd()
	}
}

// cancelHandlers is the last stage of a drain. Leases are no longer renewed, so
// that abandoned messages are soon delivered again.
func (c *consumer) cancelHandlers(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.hand.all() {
		c.stopBeatLocked(r)
		r.cancel(cause)
	}
}
