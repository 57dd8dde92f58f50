package broker_test

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// handle works on a message as a bad handler may.
func (s *soak) handle(ctx context.Context, d *broker.Delivery) (err error) {
	h := d.Handle.(*soakHandle)
	s.mu.Lock()
	s.handled++
	s.begins(ctx, h, d)
	s.mu.Unlock()
	err = errors.New("panicked, or ended its goroutine")
	defer func() {
		inTime := ctx.Err() == nil && time.Until(h.LeaseEnd()) > soakLease/3
		s.mu.Lock()
		s.returns(h, d, err, inTime)
		s.mu.Unlock()
	}()

	luck := s.dice("handle", h.number, d.Attempt)
	work := luck.upTo(2 * time.Second)
	if luck.chance(3) {
		work = luck.upTo(2 * time.Minute) // some beyond the lease
	}
	listens := ctx
	if luck.chance(2) { // does not listen to its context
		listens = context.WithoutCancel(ctx)
		work = min(work, 4*time.Second) // within the grace of a drain
		if s.mutant.deaf {
			work = time.Minute
		}
	}
	if err := s.restOr(listens, work, idPlace(h.number)); err != nil {
		return err
	}
	switch what := luck.float() * 100; {
	case what < 5:
		return errors.New("failed")
	case what < 8:
		panic("failed")
	case what < 9:
		runtime.Goexit()
	case what < 12:
		return broker.RetryAfter(time.Duration(what)*time.Second, nil)
	case what < 14:
		return broker.Reject(nil)
	}
	return nil
}
