package memory

import (
	"context"
	"sync"
	"sync/atomic"
)

// activity is how WaitIdle learns that it may be over. Brokers that are joined
// share one.
type activity struct {
	begun   atomic.Uint64 // counts up before work is added
	waiting atomic.Int64  // calls of wait

	mu      sync.Mutex
	changed chan struct{} // closed when work has ended; nil while nobody asked
}

// ended records that some work is done.
func (a *activity) ended() {
	if a.waiting.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

func (a *activity) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return a.changed
}

// wait returns when idle holds and nothing was begun while it was looked at:
// else work could pass from what was not looked at yet to what was.
func (a *activity) wait(ctx context.Context, idle func() bool) error {
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	for {
		changed := a.next()
		begun := a.begun.Load()
		if idle() {
			if a.begun.Load() == begun {
				return nil
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
