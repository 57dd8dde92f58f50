package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
)

const placed = "orders.placed"

// patterns are what the subscribers of stage 1 listen to: '*' stands for one
// word of a subject, '>' for one or more at its end.
var patterns = []string{"orders.*", "orders.>"}

// tap is a subscriber that counts what it gets.
type tap struct {
	pattern string
	sub     *broker.Subscription
	got     atomic.Int64
}

// subscribeTaps subscribes once for each pattern. Without a group, every
// subscription gets every message: that is fan-out.
func subscribeTaps(ctx context.Context, s broker.Subscriber) ([]*tap, error) {
	var taps []*tap
	for _, pattern := range patterns {
		t := &tap{pattern: pattern}
		sub, err := s.Subscribe(ctx, pattern, func(context.Context, *broker.Delivery) error {
			t.got.Add(1)
			return nil
		})
		if err != nil {
			return nil, errors.Join(err, drainTaps(ctx, taps))
		}
		t.sub = sub
		taps = append(taps, t)
	}
	return taps, nil
}

// quiet is how long nothing must have come before the taps are taken to have all
// that will come.
const quiet = time.Second

// awaitTaps waits until each subscriber has as many as were published. Of a
// stream a drain takes no more, while on core NATS all has arrived by now.
func awaitTaps(ctx context.Context, taps []*tap, published int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	latest, since := int64(-1), time.Now()
	for time.Since(since) < quiet {
		sum, all := int64(0), true
		for _, t := range taps {
			got := t.got.Load()
			sum += got
			all = all && got >= published
		}
		if all {
			return
		}
		if sum != latest {
			latest, since = sum, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// drainTaps lets the subscribers finish what they have received.
func drainTaps(ctx context.Context, taps []*tap) error {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	var errs []error
	for _, t := range taps {
		_, err := t.sub.Drain(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// publishPlaced announces every order, until ctx ends, and returns how many it
// announced.
func publishPlaced(ctx context.Context, p broker.Publisher, f broker.Flusher, orders []Order, tick func()) (int, error) {
	n := 0
	for _, o := range orders {
		if interrupted(ctx) {
			break
		}
		m := broker.Message{
			Subject: placed,
			Body:    o.body,
			Header:  broker.Header{"content-type": "application/json"},
		}
		// A publish that has begun is finished, so that what was counted is
		// what was sent.
		if _, err := p.Publish(context.WithoutCancel(ctx), m); err != nil {
			return n, fmt.Errorf("order %s: %w", o.ID, err)
		}
		n++
		tick()
	}
	// Nothing confirms a message on a fire-and-forget subject. After a flush
	// the server has at least read them all, and, since it answers in order,
	// has passed them on to the subscribers of this connection.
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	return n, f.Flush(ctx)
}

// fanOut is stage 1.
func (s *story) fanOut(ctx context.Context) error {
	taps, err := subscribeTaps(ctx, s.broker)
	if err != nil {
		return err
	}
	flusher, err := broker.As[broker.Flusher](s.broker)
	if err != nil {
		return errors.Join(err, drainTaps(ctx, taps))
	}
	s.progress.begin("publish", len(s.in.orders))
	published, err := publishPlaced(ctx, s.broker, flusher, s.in.orders, s.progress.tick)
	awaitTaps(ctx, taps, int64(published))
	err = errors.Join(err, drainTaps(ctx, taps))

	s.saw(placed, asEvents, s.broker)
	s.table.add(row{name: placed, published: count(published), unsent: count(len(s.in.orders) - published)})
	s.say("published %d orders to %s", published, placed)
	for _, t := range taps {
		got := int(t.got.Load())
		s.say("%-8s got %d of them", t.pattern, got)
		s.table.add(row{name: "  " + t.pattern, delivered: count(got), unaccounted: count(max(0, published-got))})
	}
	return err
}
