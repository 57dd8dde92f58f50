package broker

import (
	"sync"
	"time"
)

// Observer is called for every event of a subscription's messages, for metrics
// and traces, without wrapping handlers. It is called from the subscription's
// goroutines, possibly concurrently, and must return soon, like [OnError]. The
// events of one delivery come in order, except that the event of its receive
// may come while its handler runs.
type Observer func(Event)

// EventKind says what happened.
type EventKind uint8

// Values of EventKind. Later versions may add more.
const (
	EventReceived  EventKind = iota // a receive returned Messages, or failed
	EventHandled                    // a handler returned, Took after receipt
	EventSettled                    // Op ended: "delete", "release" or "reject"
	EventExtended                   // a heartbeat renewed the leases of Messages, or failed
	EventLeaseLost                  // a lease ended before its message was settled, as found by a heartbeat or the settlement
)

// Event is one event of a subscription. Later versions may add fields.
type Event struct {
	Kind     EventKind
	Subject  string        // what was subscribed to
	Delivery *Delivery     // nil where the event concerns none or many
	Messages int           // number of messages concerned
	Op       string        // of EventSettled
	Took     time.Duration // of EventReceived and EventHandled
	Err      error         // nil on success
}

func (s *Subscription) observe(e Event) {
	if s.observer != nil {
		e.Subject = s.subject
		s.observer(e)
	}
}

// apart runs hooks on a separate goroutine and waits for it: a hook that ends
// its goroutine, as t.FailNow does, must not end one of the subscription's.
// Only a handler's goroutine, which ends anyway, calls hooks itself.
func (s *Subscription) apart(hooks func()) {
	var one sync.WaitGroup
	one.Go(hooks)
	one.Wait()
}

// Snapshot is the state of a subscription at one moment. Later versions may add
// fields.
type Snapshot struct {
	Counts
	Concurrency int           // handlers that may run at once
	Running     int           // handlers running or being settled; may exceed Concurrency
	Waiting     int           // deliveries in hand that have not started
	Behind      int           // of these, behind an earlier one of their key
	Idle        int           // free slots
	Oldest      time.Duration // since the oldest delivery in hand was received
	Polls       int           // receives in progress
	Paused      bool          // by Pause
	Draining    bool
	// Open is the error that opened the circuit; nil while it is closed.
	Open error
}

// Snapshot returns the current state of the subscription. It is cheap enough to
// call more than once per second.
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
