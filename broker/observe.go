package broker

import (
	"sync"
	"time"
)

// Observer is told of everything that happens to a subscription's messages, for
// metrics and traces, without wrapping handlers. It is called from the
// subscription's goroutines, several at once, and must return soon, as [OnError].
// The events of one delivery come in order; that of its receive may come while
// its handler runs.
type Observer func(Event)

// EventKind says what happened.
type EventKind uint8

// Kinds of events. Later versions may add kinds.
const (
	EventReceived  EventKind = iota // a receive returned Messages, or failed
	EventHandled                    // a handler returned, Took after the receipt
	EventSettled                    // Op ended: "delete", "release" or "reject"
	EventExtended                   // a heartbeat renewed the leases of Messages, or failed
	EventLeaseLost                  // a lease ended before its message was settled, as a heartbeat, or then the settlement, found
)

// Event is one thing that happened. Later versions may add fields.
type Event struct {
	Kind     EventKind
	Subject  string        // what was subscribed to
	Delivery *Delivery     // nil where it is about none or many
	Messages int           // how many it is about
	Op       string        // of EventSettled
	Took     time.Duration // of EventReceived and EventHandled
	Err      error         // nil if it went well
}

func (s *Subscription) observe(e Event) {
	if s.observer != nil {
		e.Subject = s.subject
		s.observer(e)
	}
}

// apart runs hooks on a goroutine of their own and waits for it: one that ends
// its goroutine, as t.FailNow does, must not end one of the subscription's. Only
// a handler's own goroutine, which ends anyhow, calls the hooks itself.
func (s *Subscription) apart(hooks func()) {
	var one sync.WaitGroup
	one.Go(hooks)
	one.Wait()
}

// Snapshot is how a subscription stands at one moment. Later versions may add
// fields.
type Snapshot struct {
	Counts
	Concurrency int           // handlers that may run at once
	Running     int           // handlers that run, or are being settled; these may go beyond Concurrency
	Waiting     int           // deliveries in hand that have not started
	Behind      int           // of these, behind an earlier one of their key
	Idle        int           // free slots
	Oldest      time.Duration // since the oldest delivery in hand was received
	Polls       int           // receives under way
	Paused      bool          // by Pause
	Draining    bool
	// Open is the error that opened the circuit; nil while it is closed.
	Open error
}

// Snapshot returns how the subscription stands. It is cheap enough to call every
// second, and more often.
func (s *Subscription) Snapshot() Snapshot {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	snap := Snapshot{
		Counts: s.counts, Concurrency: s.concurrency,
		Running: s.counts.InFlight, Paused: s.paused, Draining: s.begun,
	}
	taken := s.counts.InFlight
	if c := s.consumer; c != nil {
		taken = c.running
		snap.Running = c.running + c.leaving
		snap.Polls = c.polling
		snap.Open = c.circuit.reason
		snap.Behind = c.behind
		if first := c.hand.first; first != nil {
			snap.Oldest = now.Sub(first.received)
		}
	}
	snap.Waiting = s.counts.InFlight - snap.Running
	snap.Idle = max(s.concurrency-taken, 0)
	return snap
}
