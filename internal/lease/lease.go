// Package lease keeps the state of a leased delivery's handle: when its lease
// ends, and whether it is settled.
package lease

import (
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// State is the state of a delivery.
type State uint8

// States of a delivery.
const (
	Open State = iota
	Deleted
	Released
	Rejected
)

// Lease is one delivery's lease. It is safe for concurrent use. Embedding it
// gives a handle the LeaseEnd method of [broker.Leased].
type Lease struct {
	mu    sync.Mutex
	end   time.Time
	state State
}

// LeaseEnd returns when the lease currently ends.
func (l *Lease) LeaseEnd() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// Renew sets when the lease ends.
func (l *Lease) Renew(end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = end
}

// Expired reports whether the lease has ended by now.
func (l *Lease) Expired(now time.Time) bool {
	end := l.LeaseEnd()
	return !end.IsZero() && !now.Before(end)
}

// Settle records the state of the delivery, once it is certain.
func (l *Lease) Settle(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
}

// CheckDelete is called before a delete. done means that there is nothing to
// do: the delivery is already deleted, or err reports that it was given away.
func (l *Lease) CheckDelete() (done bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.state {
	case Open:
		return false, nil
	case Deleted:
		return true, nil
	default:
		return true, broker.ErrLeaseLost
	}
}

// CheckChange is called before an extend, a release or a reject, which a
// settled delivery refuses.
func (l *Lease) CheckChange() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != Open {
		return broker.ErrLeaseLost
	}
	return nil
}
