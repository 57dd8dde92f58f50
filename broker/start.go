package broker

import (
	"fmt"
	"time"
)

// Start is an option of Subscribe without a [Group]: it selects the stored
// message at which the subscription begins. It applies to destinations that can
// be read again ([Receiving].Replay): JetStream, in natsbroker and in memory.
// Every other backend refuses it with an [*UnsupportedError]: messages
// published before the subscription are gone there, or belong to the next
// receiver. It is also refused with a Group: the start of a shared consumer is
// fixed when the consumer is created.
//
// Create one with [FromFirst], [FromNew], [FromSequence], [FromTime] or
// [FromLastPerSubject]. The zero Start is the same as no Start: the messages
// published after Subscribe returns. If there are several, the last one counts.
// Starts can be compared with ==.
type Start struct {
	policy   StartPolicy
	sequence uint64
	at       time.Time
}

// StartPolicy is the kind of a [Start].
type StartPolicy uint8

// Values of StartPolicy.
const (
	StartUnsaid         StartPolicy = iota // the zero Start: the same as no Start
	StartFirst                             // FromFirst
	StartNew                               // FromNew
	StartSequence                          // FromSequence
	StartTime                              // FromTime
	StartLastPerSubject                    // FromLastPerSubject
)

var startNames = [...]string{"unsaid", "FromFirst", "FromNew", "FromSequence", "FromTime", "FromLastPerSubject"}

// String returns the name of the function that creates such a Start, or
// "unsaid".
func (p StartPolicy) String() string {
	if int(p) < len(startNames) {
		return startNames[p]
	}
	return fmt.Sprintf("StartPolicy(%d)", uint8(p))
}

// FromFirst begins with the oldest message that the destination holds.
func FromFirst() Start { return Start{policy: StartFirst} }

// FromNew begins with the messages published from now on.
func FromNew() Start { return Start{policy: StartNew} }

// FromSequence begins with the message that has that sequence number, or the
// next existing one; see [Delivery].Sequence.
func FromSequence(n uint64) Start { return Start{policy: StartSequence, sequence: n} }

// FromTime begins with the first message that was stored at t or later.
func FromTime(t time.Time) Start { return Start{policy: StartTime, at: t} }

// FromLastPerSubject begins with the latest message of each subject, and
// continues with the messages published from now on.
func FromLastPerSubject() Start { return Start{policy: StartLastPerSubject} }

// Position returns the policy, with the sequence of [FromSequence] or the time
// of [FromTime]. It is for authors of backends.
func (s Start) Position() (policy StartPolicy, sequence uint64, at time.Time) {
	return s.policy, s.sequence, s.at
}

// String returns the call that creates the Start, or "unsaid".
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

// Ordered is an option of Subscribe without a [Group], for reading the stored
// messages of a destination strictly in order, from the position given by a
// [Start]. JetStream offers it, in natsbroker and in memory, on streams with
// limits retention, since on others a position cannot be read twice. Every
// other backend refuses it with an [*UnsupportedError], as JetStream refuses
// its combination with a Group, with [Concurrency] above 1, or with any option
// about leases.
//
// The handler is called for one message after the other, at most once for each
// position, whatever it returns: nothing is leased, settled, released or
// redelivered, and an error of the handler is only reported to [OnError]. If a
// message is lost on its way, or the server loses its end of the subscription,
// reading resumes at the position that was lost, which is reported to OnError.
// Messages that the destination itself has dropped in the meantime, because of
// their age or a size limit, appear as any other gap between sequence numbers.
//
// To continue where a process has stopped, record the [Delivery].Sequence of
// each handled message, and begin with [FromSequence] of the next number
// ([Sequence].Uint64).
//
// If the destination is deleted, the subscription ends with an error that
// matches [ErrClosed] and [ErrNotFound]. A drain discards messages that were
// fetched but not started.
type Ordered struct{}

// SubscribeOption marks Ordered as an option of Subscribe calls.
func (Ordered) SubscribeOption() {}
