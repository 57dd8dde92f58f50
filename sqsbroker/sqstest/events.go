package sqstest

import (
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// EventKind says what happened to a message.
type EventKind string

// What an observer is told. A poll that finds nothing, and a duplicate that a
// FIFO queue does not store, are no events.
const (
	EventSent         EventKind = "sent"          // stored
	EventReceived     EventKind = "received"      // handed to a receiver, whether the answer arrives or not
	EventDeleted      EventKind = "deleted"       // by its receiver
	EventExtended     EventKind = "extended"      // the visibility timeout has a new end
	EventReleased     EventKind = "released"      // visible again: a visibility timeout of 0 was set
	EventExpired      EventKind = "expired"       // the visibility timeout ran out; Time is its end
	EventDeadLettered EventKind = "dead-lettered" // left Queue for its dead-letter queue
	EventDiscarded    EventKind = "discarded"     // past its retention, purged, or deleted with its queue
)

var eventKinds = map[queue.EventKind]EventKind{
	queue.EventSent:         EventSent,
	queue.EventReceived:     EventReceived,
	queue.EventDeleted:      EventDeleted,
	queue.EventExtended:     EventExtended,
	queue.EventReleased:     EventReleased,
	queue.EventExpired:      EventExpired,
	queue.EventDeadLettered: EventDeadLettered,
	queue.EventDiscarded:    EventDiscarded,
}

// Event is one thing that happened to one message.
type Event struct {
	Kind    EventKind
	Queue   string // its name
	ID      string // the message's
	Receive int    // ApproximateReceiveCount as of the last receive, 0 before the first
	Time    time.Time
}

// Observe has f told of every event from now on; nil: nobody. It is what a test
// judges a client by, since it does not depend on what the client believes. The
// calls come one at a time, in order, while the endpoint waits: f must be quick
// and must not call the endpoint. What time did is told with the next request
// or wake-up that finds it, so Event.Time may lie before that of an earlier
// event.
func (h *Handler) Observe(f func(Event)) {
	if f == nil {
		h.engine.Observe(nil)
		return
	}
	h.engine.Observe(func(e queue.Event) {
		name, _ := h.names.Load(e.Queue)
		f(Event{
			Kind: eventKinds[e.Kind], Queue: name.(string), //nolint:forcetypeassert // add is the only writer
			ID: e.ID, Receive: int(e.Receipt.Receive), Time: e.Time,
		})
	})
}
