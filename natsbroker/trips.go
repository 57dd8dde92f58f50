package natsbroker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// trips lets callers share round trips: callers that arrive during one wait for
// the next, which is made for all of them at once. A lone caller makes its own
// at once.
type trips struct {
	flush func(context.Context) error // one round trip; the context has a deadline

	mu      sync.Mutex
	under   bool  // a round trip is under way
	current *trip // the one under way, if it is shared
	next    *trip // of the callers that wait for its end; nil if there are none
	stopped bool
}

// trip is a round trip of several callers.
type trip struct {
	callers int
	ctx     context.Context // ends when the last caller has gone
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // valid once done
}

// never is a deadline for calls that end with their callers.
const never = 100 * 365 * 24 * time.Hour

// do returns when a round trip has been made that began after the call.
func (t *trips) do(ctx context.Context) error {
	t.mu.Lock()
	if t.stopped {
		t.mu.Unlock()
		return errBrokerClosed
	}
	if !t.under {
		t.under = true
		t.mu.Unlock()
		defer t.ended()
		return t.flush(ctx)
	}
	if t.next == nil {
		t.next = &trip{done: make(chan struct{})}
		t.next.ctx, t.next.cancel = context.WithTimeout(context.Background(), never)
	}
	shared := t.next
	shared.callers++
	t.mu.Unlock()
	select {
	case <-shared.done:
		return shared.err
	case <-ctx.Done():
		t.leave(shared)
		return ctx.Err()
	}
}

// leave is for a caller whose context has ended.
func (t *trips) leave(shared *trip) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shared.callers--; shared.callers > 0 {
		return
	}
	shared.cancel()
	if t.next == shared {
		t.next = nil
	}
}

// ended begins the round trip for callers that have arrived in the meantime.
func (t *trips) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current, t.next = t.next, nil
	t.under = t.current != nil
	if t.under {
		go t.run(t.current)
	}
}

func (t *trips) run(shared *trip) {
	defer t.ended()
	defer shared.cancel()
	err := t.flush(shared.ctx)
	if errors.Is(err, context.Canceled) { // by stop: its callers, if any, are still there
		err = errBrokerClosed
	}
	shared.end(err)
}

// end releases the callers.
func (s *trip) end(err error) {
	s.err = err
	close(s.done)
}

// stop ends the shared round trips, and joins the one in progress. One that its
// caller makes alone ends with its caller.
func (t *trips) stop() {
	t.mu.Lock()
	t.stopped = true
	current, next := t.current, t.next
	t.next = nil
	t.mu.Unlock()
	if next != nil {
		next.cancel()
		next.end(errBrokerClosed)
	}
	if current != nil {
		current.cancel()
		<-current.done
	}
}
