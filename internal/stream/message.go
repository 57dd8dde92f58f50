package stream

import "time"

// Send is a message to be published.
type Send struct {
	Subject string
	Body    []byte // kept as it is, not copied
	Attrs   any    // opaque to the engine, kept as it is
	// HeaderSize is the size in bytes of the headers that Attrs stands for.
	HeaderSize int64
	DedupID    string // "": never a duplicate
	TTL        time.Duration
	// After makes the message a schedule: after that time it leaves the stream,
	// and Then is stored in its place, with its own TTL but without an id or
	// expectations.
	After time.Duration
	Then  *Send
	// Rollup says which messages leave the stream once this one is stored.
	Rollup Rollup
	// Expect is the condition for the message to be stored.
	Expect Expectation
}

// Size returns what counts against MaxMsgSize.
func (m *Send) Size() int64 { return m.HeaderSize + int64(len(m.Body)) }

// Rollup says which messages a message replaces.
type Rollup uint8

// Rollups.
const (
	RollupNothing Rollup = iota
	RollupSubject        // the earlier messages of its subject
	RollupAll            // all earlier messages
)

// Expectation is what a publish expects of its stream; nil means nothing.
type Expectation struct {
	Stream         *string
	LastSeq        *uint64
	LastSubjectSeq *uint64
	LastID         *string
}

// Sent is the result of a Send.
type Sent struct {
	Stream    string
	Seq       uint64 // the first one's, for a duplicate
	Duplicate bool   // acknowledged and not stored: the window remembers the id
	NoAck     bool   // the stream's
}

// Message is a message as seen by one delivery or, with Attempt 0, in the
// stream.
type Message struct {
	Seq     uint64 // in its stream, from 1
	Subject string
	Body    []byte // shared by all deliveries: read-only
	Attrs   any
	DedupID string
	Time    time.Time // when it was stored

	Attempt  int
	LeaseEnd time.Time // as of this delivery; zero where nothing is leased
}

// Receipt returns the delivery's receipt.
func (m *Message) Receipt() Receipt { return Receipt{m.Seq, m.Attempt} }

// Receipt identifies one delivery of one message by one consumer. It is
// comparable.
type Receipt struct {
	Seq     uint64
	Attempt int
}

// msg is a message in a stream.
type msg struct {
	Message
	stored int64
	then   *Send // of a schedule
	gone   bool  // it left the stream

	prev, next   *msg // in the stream
	older, newer *msg // of its subject
	interest     int  // consumers that have still to settle it, of a stream with interest retention

	endAt int // index in stream.ends, or Absent
	dueAt int // index in stream.schedules, or Absent
}
