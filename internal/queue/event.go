package queue

import "time"

// EventKind is the kind of an [Event].
type EventKind uint8

// Kinds of events reported to an observer. A poll that finds nothing, and a
// duplicate that is not stored, are not events.
const (
	EventSent         EventKind = iota // stored
	EventReceived                      // handed to a receiver
	EventDeleted                       // by Delete
	EventExtended                      // the lease has a new end
	EventReleased                      // made visible by its receiver
	EventExpired                       // the lease ran out; Time is its end
	EventDeadLettered                  // left Queue for its dead-letter queue
	EventDiscarded                     // past its retention, purged, or dropped with its queue
)

// Event is one thing that happened to one message.
type Event struct {
	Kind    EventKind
	Queue   string
	ID      string
	Receipt Receipt // the last one; before the first receive, only its Seq is set
	Time    time.Time
}

// Observe makes f the observer of all later events; nil means none. The calls
// come one at a time, in order, under the engine's mutex: f must be quick and
// must not call the engine. Timed changes are reported by the operation that
// detects them.
func (e *Engine) Observe(f func(Event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observe = f
}

func (q *queue) report(k EventKind, m *msg, at time.Time) {
	if f := q.engine.observe; f != nil {
		f(Event{k, q.name, m.ID, Receipt{m.Seq, m.Receipt.Receive}, at})
	}
}
