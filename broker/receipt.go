package broker

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
)

// Outcome says what is known of a published message when Publish returns.
// It is a statement about this one message, and the strongest one that the
// backend can honestly make.
type Outcome uint8

// Outcomes, weakest first.
const (
	// OutcomeUnknown: nothing is known. It comes with an error.
	OutcomeUnknown Outcome = iota
	// OutcomeSent: it left this process, or waits in the client's buffer.
	// Nobody confirmed anything (core NATS).
	OutcomeSent
	// OutcomeReceived: the server has read it, as a flush proved. It is not
	// stored.
	OutcomeReceived
	// OutcomeAccepted: the destination took responsibility. It was stored, or
	// recognised as a duplicate of a stored message: the backend does not say
	// which (SQS FIFO).
	OutcomeAccepted
	// OutcomeStored: this message was stored.
	OutcomeStored
	// OutcomeDuplicate: the destination had this message already and did not
	// store it again.
	OutcomeDuplicate
)

var outcomeNames = [...]string{"unknown", "sent", "received", "accepted", "stored", "duplicate"}

// String returns the outcome's word, such as "stored".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// Receipt is what the destination told about one published message.
type Receipt struct {
	// Outcome is what is known of the message.
	Outcome Outcome
	// ID is the destination's own id for the message, "" where it gives none.
	ID string
	// Sequence is the message's position, where the destination counts.
	Sequence Sequence
}

// Sequence is a position in a stream or message group: absent, or up to 128
// bits, because the numbers of SQS FIFO queues exceed 64. The zero Sequence is
// absent; 0 is a legal position. Sequences of one destination (on SQS FIFO: of
// one message group) rise and have gaps. Compare them with [Sequence.Compare]
// or ==.
type Sequence struct {
	hi, lo  uint64
	present bool
}

// NewSequence returns the position n.
func NewSequence(n uint64) Sequence { return Sequence{lo: n, present: true} }

// ParseSequence reads a decimal number of up to 128 bits.
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

// Present reports whether the destination gave a position at all.
func (s Sequence) Present() bool { return s.present }

// Compare orders two positions of one destination: -1, 0 or +1. An absent one
// comes before all others.
func (s Sequence) Compare(t Sequence) int {
	if s.present != t.present {
		if t.present {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(s.hi, t.hi), cmp.Compare(s.lo, t.lo))
}

// Uint64 returns the number, as [FromSequence] takes it; ok is false where there is
// none, or it has more than 64 bits (as SQS FIFO's have).
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
