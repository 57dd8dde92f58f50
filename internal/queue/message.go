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
	// Delay, if HasDelay is set, overrides the queue's.
	Delay    time.Duration
	HasDelay bool
}

// Sent is the result of a Send.
type Sent struct {
	ID        string // the first one's, for a duplicate
	Seq       uint64 // the first one's, for a duplicate
	Duplicate bool   // accepted and not stored: the window remembers the id
	Time      time.Time
}

// Receipt identifies one receive of one message; it is comparable. A transport
// may take it apart and reassemble it.
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
	// their queue, from 1. A move to a dead-letter queue assigns a new one, so
	// it increases within each group of each queue.
	Seq uint64
	// Receives counts the receives, including this one, over all queues that
	// the message has been in.
	Receives     int
	Sent         time.Time // reset by a move to a FIFO dead-letter queue, not to a Standard one
	FirstReceive time.Time
	Source       string    // the queue that it was last moved from, if dead-lettered
	LeaseEnd     time.Time // as of this receive
	Receipt      Receipt
}

// State is the state of a message in a queue.
type State uint8

const (
	// Ready is neither in flight nor delayed. On a FIFO queue it may still have
	// to wait for earlier messages of its group.
	Ready State = iota
	// InFlight is leased to a receiver.
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
	here     int       // receives from its current queue: what MaxReceives counts
	group    *group    // FIFO queues
	links    [listKinds]links
	lateAt   int  // index in ages.late, or heap.Absent
	back     bool // deleted once, but still there: see PlayWorst
}
