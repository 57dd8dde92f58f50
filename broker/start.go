package broker

import (
	"fmt"
	"time"
)

// Start is an option of Subscribe without a [Group]: with which message of what the
// destination has kept the subscription begins. It is for destinations that can be
// read again ([Receiving].Replay): JetStream, in natsbroker and in memory. Every
// other backend refuses it with an [*UnsupportedError]: what was published before the
// subscription is gone there, or belongs to whoever receives it next. With a Group it
// is refused too: where a shared consumer begins is fixed when that is created.
//
// Make one with [FromFirst], [FromNew], [FromSequence], [FromTime] or
// [FromLastPerSubject]. The zero Start is like none: what is published from when
// Subscribe returns. Of several, the last one counts. Starts can be compared with ==.
type Start struct {
	policy   StartPolicy
	sequence uint64
	at       time.Time
}

// StartPolicy is the kind of a [Start].
type StartPolicy uint8

// The kinds of a Start.
const (
	StartUnsaid         StartPolicy = iota // the zero Start: as if there were none
	StartFirst                             // FromFirst
	StartNew                               // FromNew
	StartSequence                          // FromSequence
	StartTime                              // FromTime
	StartLastPerSubject                    // FromLastPerSubject
)

var startNames = [...]string{"unsaid", "FromFirst", "FromNew", "FromSequence", "FromTime", "FromLastPerSubject"}

// String is the name of the function that makes such a Start, or "unsaid".
func (p StartPolicy) String() string {
	if int(p) < len(startNames) {
		return startNames[p]
	}
	return fmt.Sprintf("StartPolicy(%d)", uint8(p))
}

// FromFirst begins with the oldest message that the destination has.
func FromFirst() Start { return Start{policy: StartFirst} }

// FromNew begins with what is published from now on.
func FromNew() Start { return Start{policy: StartNew} }

// FromSequence begins with the message of that sequence number, or the next one
// that there is; see [Delivery].Sequence.
func FromSequence(n uint64) Start { return Start{policy: StartSequence, sequence: n} }

// FromTime begins with the first message that was stored at t or later.
func FromTime(t time.Time) Start { return Start{policy: StartTime, at: t} }

// FromLastPerSubject begins with the latest message of each subject, and goes on
// with what is published from now on.
func FromLastPerSubject() Start { return Start{policy: StartLastPerSubject} }

// Position tells what was chosen: the sequence of [FromSequence], the time of
// [FromTime]. It is for authors of backends.
func (s Start) Position() (policy StartPolicy, sequence uint64, at time.Time) {
	return s.policy, s.sequence, s.at
}

// String is the call that makes the Start, or "unsaid".
func (s Start) String() string {
	switch s.policy {
	case StartUnsaid:
		return s.policy.String()
	case StartSequence:
		return fmt.Sprintf("FromSequence(%d)", s.sequence)
	case StartTime:
		return fmt.Sprintf("FromTime(%s)", s.at.Format(time.RFC3339Nano))
	default:
		return s.policy.String() + "()"
	}
}

// SubscribeOption marks Start as an option of Subscribe calls.
func (Start) SubscribeOption() {}

// Ordered is an option of Subscribe without a [Group], for reading what a
// destination has kept strictly in its order, from where a [Start] says. JetStream
// offers it, in natsbroker and in memory, on streams with limits retention, since
// from any other a position cannot be read twice. Everything else is an
// [*UnsupportedError]: every other backend, a Group, [Concurrency] above 1, and all
// options about leases.
//
// The handler is called for one message after the other, and for each position at
// most once, whatever it returns: nothing is leased, settled, released or delivered
// again, and an error of the handler is told to [OnError] and goes no further.
// A message that gets lost on its way is read again, in its place, and so is
// everything if the server loses its end of the subscription; OnError is told of
// both. What the destination itself has dropped meanwhile, for its age or for want
// of room, looks like any other gap between sequence numbers.
//
// To go on where a process has stopped, keep the [Delivery].Sequence of what was
// handled, and begin with [FromSequence] of the number after it ([Sequence].Uint64).
//
// If the destination is deleted the subscription ends with an error that matches
// [ErrClosed] and [ErrNotFound]. A drain leaves what was fetched and not begun.
type Ordered struct{}

// SubscribeOption marks Ordered as an option of Subscribe calls.
func (Ordered) SubscribeOption() {}
