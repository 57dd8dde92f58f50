package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// workQueue is a queue with its dead-letter queue: where a message goes that
// failed too often, so that it neither is lost nor comes back forever.
type workQueue struct {
	name, dead string
	fifo       bool
}

var workQueues = []workQueue{
	{name: "orders", dead: "orders-dead"},
	{name: "orders.fifo", dead: "orders-dead.fifo", fifo: true},
}

// Settings of the queues, wherever this program creates them.
const (
	maxReceives = 3               // attempts before a message is dead-lettered
	visibility  = 5 * time.Second // until a message whose consumer died comes again
	// A Standard queue's dead letters go on ageing from their first sending:
	// kept as long as SQS can, they outlive the four days of the queue itself.
	deadRetention = 14 * 24 * time.Hour
)

// message puts an order into the form that the queue takes.
func (q workQueue) message(o Order) broker.Message {
	m := broker.Message{
		Subject: q.name,
		Body:    o.body,
		Header:  broker.Header{"content-type": "application/json"},
	}
	if q.fifo {
		m.Key = o.Customer // one customer's orders in order, customers side by side
		m.DedupID = o.ID   // the queue drops what repeats within five minutes
	}
	return m
}

// concurrency is how many orders are processed at once. On the FIFO queue it
// is one: of several in hand, those behind a failed one of the same customer
// have to go back, and each time costs them one of their attempts.
func (q workQueue) concurrency() broker.Concurrency {
	if q.fifo {
		return 1
	}
	return 4
}

// worker processes the orders of one queue.
type worker struct {
	queue  workQueue
	ledger *ledger
	takes  time.Duration // how long the work on one order takes
	tick   func()
	warn   func(format string, args ...any)
}

var errDeclined = errors.New("payment declined")

// process is the handler. Nil deletes the message. An error releases it, and
// it comes again, until its attempts are used up and the queue moves it to the
// dead-letter queue.
//
// Delivery is at least once, so process must be idempotent: book does nothing
// for an order that is booked already.
func (w *worker) process(ctx context.Context, d *broker.Delivery) error {
	o, err := parseOrder(d.Body)
	if err != nil {
		return broker.Reject(err) // no further attempt can change that
	}
	if err := w.work(ctx); err != nil {
		return err
	}
	if w.ledger.decline(o) {
		// Most services return the error alone: the message then comes again
		// after the subscription's Backoff, which begins at a second. This
		// program does not let you wait.
		return broker.RetryAfter(0, errDeclined)
	}
	w.ledger.book(o, d)
	w.tick()
	return nil
}

// work takes its time. The handler's context ends when the lease is lost or a
// drain runs out of time: then it is no use going on.
func (w *worker) work(ctx context.Context) error {
	if w.takes == 0 {
		return nil
	}
	select {
	case <-time.After(w.takes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failed is called for every error, including those of handlers.
func (w *worker) failed(_ context.Context, d *broker.Delivery, err error) {
	if d != nil && errors.Is(err, errDeclined) {
		return // process has noted it
	}
	w.warn("%s: %v", w.queue.name, err)
}

// runQueue publishes the orders to the queue and processes them, until each has
// come to an end or ctx ends. The ledger then says what became of them.
func runQueue(ctx context.Context, p broker.Publisher, s broker.Subscriber, r broker.Receiver,
	w *worker, orders []Order,
) (broker.Counts, error) {
	// Every process that subscribes with this group takes a share of the
	// orders. Subscribe receives, calls process and deletes what it returns
	// nil for; it keeps the lease of a slow one alive.
	sub, err := s.Subscribe(ctx, w.queue.name, w.process,
		broker.Group("order-workers"), w.queue.concurrency(), broker.OnError(w.failed))
	if err != nil {
		return broker.Counts{}, err
	}
	reading, stopReading := context.WithCancel(ctx)
	var reader sync.WaitGroup
	var readErr error
	reader.Go(func() { readErr = readDeadLetters(reading, r, w) })

	err = publishOrders(ctx, p, w, orders)
	if err == nil {
		select {
		case <-w.ledger.done:
		case <-ctx.Done():
		case <-sub.Done(): // ended by the backend
			err = sub.Err()
		}
	}
	stopReading()
	reader.Wait()

	// Stop receiving, finish the orders in hand, give back the others.
	drainCtx, cancel := wrapUp(ctx)
	defer cancel()
	_, drainErr := sub.Drain(drainCtx)
	return sub.Counts(), errors.Join(err, readErr, drainErr, readLeft(ctx, r, w))
}

// publishOrders puts the orders on the queue, until ctx ends.
func publishOrders(ctx context.Context, p broker.Publisher, w *worker, orders []Order) error {
	defer w.ledger.close()
	for _, o := range orders {
		if interrupted(ctx) {
			return nil
		}
		err := publishOrder(ctx, p, w.queue.message(o))
		switch {
		case err == nil, errors.Is(err, broker.ErrOutcomeUnknown):
			w.ledger.publish(o) // if it is not there, it will stay unaccounted for
		case errors.Is(err, broker.ErrInvalid), errors.Is(err, errors.ErrUnsupported):
			w.warn("%s: order %s not published: %v", w.queue.name, o.ID, err)
		default:
			return fmt.Errorf("order %s: %w", o.ID, err)
		}
	}
	return nil
}

// publishOrder finishes what it began although ctx may end: of a publish that
// is broken off nobody knows whether it happened.
func publishOrder(ctx context.Context, p broker.Publisher, m broker.Message) error {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	_, err := p.Publish(ctx, m)
	return err
}

// readDeadLetters reads the dead-letter queue until ctx ends.
func readDeadLetters(ctx context.Context, r broker.Receiver, w *worker) error {
	for !interrupted(ctx) {
		if _, err := take(ctx, r, w.queue.dead, time.Second, w.ledger.bury); err != nil {
			return err
		}
	}
	return nil
}

// readLeft looks whether anything is on the queue after all, and for as long
// as orders are open: those that an interrupted run leaves there, or in flight
// until their lease ends. A service would just leave them. This program takes
// them back, because its queues end with it.
func readLeft(ctx context.Context, r broker.Receiver, w *worker) error {
	ctx = context.WithoutCancel(ctx)
	deadline := time.Now().Add(2 * visibility)
	for {
		wait := time.Duration(0)
		if w.ledger.isOpen() {
			wait = time.Second
		}
		left, err := take(ctx, r, w.queue.name, wait, w.ledger.leave)
		if err != nil {
			return err
		}
		dead, err := take(ctx, r, w.queue.dead, 0, w.ledger.bury)
		if err != nil {
			return err
		}
		switch {
		case left+dead > 0:
			deadline = time.Now().Add(2 * visibility)
		case !w.ledger.isOpen() || time.Now().After(deadline):
			return nil
		}
	}
}

// take is receive and delete by hand: it waits for messages, hands each to end,
// deletes them and returns how many there were.
func take(ctx context.Context, r broker.Receiver, queue string, wait time.Duration,
	end func(Order, *broker.Delivery),
) (int, error) {
	ds, err := r.Receive(ctx, queue, 10, broker.Wait(wait))
	if err != nil {
		if interrupted(ctx) {
			return 0, nil
		}
		return 0, err
	}
	for _, d := range ds {
		o, err := parseOrder(d.Body)
		if err != nil {
			return 0, fmt.Errorf("%s: message %s: %w", queue, d.ID, err)
		}
		end(o, d)
	}
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	return len(ds), r.Delete(ctx, ds...)
}
