// Package subscriptions keeps track of a broker's subscriptions, so that
// closing the broker drains them all.
package subscriptions

import (
	"context"
	"errors"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// Set is the subscriptions of one broker. The zero Set is open and empty. It
// is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	subs   map[*broker.Subscription]struct{}
	prune  int // size at which ended subscriptions are looked for
	closed bool
}

// Add adds a subscription. It reports false if the Set is closed; the caller
// must then drain the subscription itself.
func (s *Set) Add(sub *broker.Subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.subs == nil {
		s.subs = map[*broker.Subscription]struct{}{}
	}
	if len(s.subs) >= s.prune {
		s.dropEnded()
		s.prune = 2*len(s.subs) + 8
	}
	s.subs[sub] = struct{}{}
	return true
}

// dropEnded forgets subscriptions that have ended. The caller holds mu.
func (s *Set) dropEnded() {
	for sub := range s.subs {
		select {
		case <-sub.Done():
			delete(s.subs, sub)
		default:
		}
	}
}

// Closed reports whether Close was called.
func (s *Set) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close refuses further subscriptions and drains the existing ones, all at
// once, within ctx. It may be called more than once; every call waits.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	subs := make([]*broker.Subscription, 0, len(s.subs))
	for sub := range s.subs {
		subs = append(subs, sub)
	}
	s.mu.Unlock()

	errs := make([]error, len(subs))
	var drains sync.WaitGroup
	for i, sub := range subs {
		drains.Go(func() { _, errs[i] = sub.Drain(ctx) })
	}
	drains.Wait()
	return errors.Join(errs...)
}

// Dropped returns how many messages the subscriptions have dropped whose
// subject is wanted.
func (s *Set) Dropped(wanted func(subject string) bool) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n uint64
	for sub := range s.subs {
		if wanted(sub.Subject()) {
			n += sub.Counts().Dropped
		}
	}
	return n
}
