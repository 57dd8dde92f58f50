package broker

import (
	"context"
	"iter"
	"time"
)

// Gatherer asks everybody who listens and takes all their answers
// (scatter-gather). It is a role beside [Requester], whose Request takes the
// first answer only.
type Gatherer interface {
	// Gather returns the answers to m as they arrive. Nothing is sent before
	// the sequence is ranged over, and each range asks anew; it may be ranged
	// over by several goroutines at once. The loop's body holds up nothing but
	// its own sequence, and breaking out of the loop ends the question.
	//
	// Who will answer is not known, so it ends, whichever comes first:
	//
	//   - after as many answers as [Replies] says;
	//   - when for [Silence] no further answer has come, counted from the first
	//     answer on;
	//   - at ctx's deadline, or after [DefaultRequestTimeout] where ctx has none.
	//     Without Replies that is an end like the others, with none or more
	//     answers. With Replies it is an error that matches
	//     [context.DeadlineExceeded] and [ErrOutcomeUnknown].
	//
	// An answer that carries an error is yielded as a [*ReplyError], counts as
	// an answer, and is not the end. Any other error is the last thing yielded:
	// [ErrNoResponders], at once, if nobody listens; [context.Canceled] if ctx
	// was cancelled; [ErrDropped] if answers came faster than the loop took them.
	// The delivery is nil wherever the error is not. m.ReplyTo must be empty, and
	// an option that the backend does not know is an [*UnsupportedError]; both
	// are yielded before anything is sent.
	Gather(ctx context.Context, m Message, opts ...GatherOption) iter.Seq2[*Delivery, error]
}

// GatherOption changes one call of Gather. Options are plain values.
type GatherOption interface {
	// GatherOption marks the type.
	GatherOption()
}

// Replies is how many answers are awaited, at least 1.
type Replies int

// Silence is how long after an answer another one is waited for.
type Silence time.Duration

// GatherOption marks Replies as an option of Gather calls.
func (Replies) GatherOption() {}

// GatherOption marks Silence as an option of Gather calls.
func (Silence) GatherOption() {}
