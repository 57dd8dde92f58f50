package broker

import (
	"context"
	"iter"
	"time"
)

// Gatherer sends one request to all listeners and collects all their replies
// (scatter-gather). It complements [Requester], whose Request takes only the
// first reply.
type Gatherer interface {
	// Gather returns the replies to m as they arrive. Nothing is sent before
	// the sequence is ranged over, and each range sends a new request; several
	// goroutines may range over it at once. The loop's body delays only its own
	// sequence, and breaking out of the loop ends the request.
	//
	// Since the number of replies is not known, the sequence ends at the first
	// of these:
	//
	//   - after as many replies as [Replies] says;
	//   - when no further reply has arrived for [Silence], counted from the
	//     first reply;
	//   - at ctx's deadline, or after [DefaultRequestTimeout] if ctx has none.
	//     Without Replies this is a normal end, with zero or more replies. With
	//     Replies it is an error that matches [context.DeadlineExceeded] and
	//     [ErrOutcomeUnknown].
	//
	// A reply that carries an error is yielded as a [*ReplyError], counts as a
	// reply, and does not end the sequence. Any other error is the last value
	// yielded: [ErrNoResponders], at once, if there is no listener;
	// [context.Canceled] if ctx was cancelled; [ErrDropped] if replies arrived
	// faster than the loop took them. The delivery is nil if and only if the
	// error is not. m.ReplyTo must be empty, and an option that the backend
	// does not know is an [*UnsupportedError]; both errors are yielded before
	// anything is sent.
	Gather(ctx context.Context, m Message, opts ...GatherOption) iter.Seq2[*Delivery, error]
}

// GatherOption configures one call of Gather. Options are plain values.
type GatherOption interface {
	// GatherOption marks the type.
	GatherOption()
}

// Replies is the number of replies to wait for, at least 1.
type Replies int

// Silence is how long to wait for another reply after each one.
type Silence time.Duration

// GatherOption marks Replies as an option of Gather calls.
func (Replies) GatherOption() {}

// GatherOption marks Silence as an option of Gather calls.
func (Silence) GatherOption() {}
