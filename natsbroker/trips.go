package natsbroker

import (
	"context"
	"sync"
	"time"
)

// trips lets callers share round trips: those that come while one is under way
// wait for the next, which is made for all of them at once. A caller that comes
// alone makes its own, at once.
type trips struct {
	flush func(context.Context) error // one round trip; the context has a deadline

	mu    sync.Mutex
	under bool          // a round trip is under way
	next  *trip         // of those who wait for its end; nil: nobody does
	idle  chan struct{} // closed when none is under way any more; nil: nobody waits for that
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

// ended begins the round trip for those who have come meanwhile.
func (t *trips) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	shared := t.next
	t.next, t.under = nil, shared != nil
	switch {
	case shared != nil:
		go t.run(shared)
	case t.idle != nil:
		close(t.idle)
		t.idle = nil
	}
}

func (t *trips) run(shared *trip) {
	defer t.ended()
	defer shared.cancel()
	shared.err = t.flush(shared.ctx)
	close(shared.done)
}

// wait returns when no round trip is under way. Each ends with its callers.
func (t *trips) wait(ctx context.Context) error {
	t.mu.Lock()
	if !t.under {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
