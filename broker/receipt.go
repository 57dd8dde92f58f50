package broker

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
)

// Outcome says what is known about a published message when Publish returns. It
// is a statement about this one message, and the strongest that the backend can
// truthfully make.
type Outcome uint8

// Values of Outcome, weakest first.
const (
	// OutcomeUnknown: nothing is known. It is accompanied by an error.
	OutcomeUnknown Outcome = iota
	// OutcomeSent: the message left this process, or waits in the client's
	// buffer. Nothing confirmed it (core NATS).
	OutcomeSent
	// OutcomeReceived: the server has read the message, as a flush confirmed.
	// It is not stored.
	OutcomeReceived
	// OutcomeAccepted: the destination took responsibility. The message was
	// stored, or recognised as a duplicate of a stored message: the backend
	// does not say which (SQS FIFO).
	OutcomeAccepted
	// OutcomeStored: the message was stored.
	OutcomeStored
	// OutcomeDuplicate: the destination already had the message and did not
	// store it again.
	OutcomeDuplicate
)

var outcomeNames = [...]string{"unknown", "sent", "received", "accepted", "stored", "duplicate"}

// String returns the outcome's name, such as "stored".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// Receipt is what the destination reported about one published message.
type Receipt struct {
	// Outcome is what is known about the message.
	Outcome Outcome
	// ID is the destination's id for the message, "" where it assigns none.
	ID string
	// Sequence is the message's position, where the destination numbers
	// messages.
	Sequence Sequence
}

// Sequence is a position in a stream or message group: absent, or a number of
// up to 128 bits, because the numbers of SQS FIFO queues exceed 64. The zero
// Sequence is absent; 0 is a valid position. Sequences of one destination (on
// SQS FIFO: of one message group) rise and have gaps. Compare them with
// [Sequence.Compare] or ==.
type Sequence struct {
	hi, lo  uint64
	present bool
}

// NewSequence returns the position n.
func NewSequence(n uint64) Sequence { return Sequence{lo: n, present: true} }

// ParseSequence parses a decimal number of up to 128 bits.
func ParseSequence(s string) (Sequence, error) {
	if s == "" {
		return Sequence{}, &FieldError{Field: "Sequence", Value: s, Limit: "a decimal number"}
	}
	q := Sequence{present: true}
	for i := range len(s) {
		digit := uint64(s[i] - '0')
		overflow, hi := bits.Mul64(q.hi, 10)
		carry, lo := bits.Mul64(q.lo, 10)
		lo, c := bits.Add64(lo, digit, 0)
		hi, c = bits.Add64(hi, carry, c)
		if digit > 9 || overflow != 0 || c != 0 {
			return Sequence{}, &FieldError{Field: "Sequence", Value: s, Limit: "a decimal number of at most 128 bits"}
		}
		q.hi, q.lo = hi, lo
	}
	return q, nil
}

// Present reports whether the destination gave a position.
func (s Sequence) Present() bool { return s.present }

// Compare compares two positions of one destination and returns -1, 0 or +1. An
// absent one sorts before all others.
func (s Sequence) Compare(t Sequence) int {
	if s.present != t.present {
		if t.present {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(s.hi, t.hi), cmp.Compare(s.lo, t.lo))
}

// Uint64 returns the number, as [FromSequence] takes it; ok is false if it is
// absent or needs more than 64 bits (as those of SQS FIFO do).
func (s Sequence) Uint64() (n uint64, ok bool) { return s.lo, s.present && s.hi == 0 }

// String returns the decimal number, or "" where there is none.
func (s Sequence) String() string {
	switch {
	case !s.present:
		return ""
	case s.hi == 0:
		return strconv.FormatUint(s.lo, 10)
	}
	const chunk = 1e19 // the largest power of ten that fits 64 bits
	high, rest := s.hi/chunk, s.hi%chunk
	mid, low := bits.Div64(rest, s.lo, chunk)
	high, mid = bits.Div64(high, mid, chunk)
	if high == 0 {
		return fmt.Sprintf("%d%019d", mid, low)
	}
	return fmt.Sprintf("%d%019d%019d", high, mid, low)
}
