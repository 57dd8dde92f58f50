package queue

import "time"

// Send is a message to be sent.
type Send struct {
	ID    string // the caller's name for it, kept through every move; not checked for uniqueness
	Body  []byte // kept as it is, not copied
	Attrs any    // opaque to the engine, kept as it is

	// Group is the message group of a FIFO queue; the empty one is a group like
	// any other. On a Standard queue it is carried and has no effect.
	Group string
	// DedupID makes the message a duplicate of one sent with the same id within
	// the queue's dedup window. Empty: never a duplicate.
	DedupID string
	// Delay counts if HasDelay is set and then overrides the queue's.
	Delay    time.Duration
	HasDelay bool
}

// Sent is what became of a Send.
type Sent struct {
	ID        string // the first one's, for a duplicate
	Seq       uint64 // the first one's, for a duplicate
	Duplicate bool   // accepted and not stored: the window remembers the id
	Time      time.Time
}

// Receipt identifies one receive of one message; comparable. A transport may
// take it apart and put it together again.
type Receipt struct {
	Seq     uint64 // Message.Seq
	Receive uint32 // Message.Receives at that receive
}

// Message is a message as one receive sees it.
type Message struct {
	ID      string
	Body    []byte // shared by all receives: read-only
	Attrs   any
	Group   string
	DedupID string

	// Seq numbers the messages of an engine in the order in which they entered
	// their queue, from 1. A move to a dead-letter queue gives a new one, so
	// that it grows within each group of each queue.
	Seq uint64
	// Receives counts the receives, this one included, over all queues that the
	// message has been in.
	Receives     int
	Sent         time.Time // reset by a move to a FIFO dead-letter queue, not to a Standard one
	FirstReceive time.Time
	Source       string    // the queue that it was moved from last, when dead-lettered
	LeaseEnd     time.Time // as of this receive
	Receipt      Receipt
}

// State is where a message of a queue stands.
type State uint8

const (
	// Ready is neither in flight nor delayed. On a FIFO queue it may still have
	// to wait for earlier messages of its group.
	Ready State = iota
	// InFlight is on lease to a receiver.
	InFlight
	// Delayed is sent, and not yet visible for the first time.
	Delayed
	states // how many there are
)

// msg is a message in a queue. Message holds what a receiver sees, kept up to
// date at each receive, so that a delivery is one copy of it.
type msg struct {
	Message
	state    State
	due      time.Time // end of the lease or of the delay
	dueAt    int       // index in queue.due, or heap.Absent
	received time.Time // of the last receive: what MaxLease counts from
	here     int       // receives from the queue that it is in now: what MaxReceives counts
	group    *group    // FIFO queues
	links    [listKinds]links
	lateAt   int  // index in ages.late, or heap.Absent
	back     bool // deleted once, and there all the same: see PlayWorst
}
