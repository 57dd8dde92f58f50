package stream

import "time"

// Retention says when a stream removes a message, besides its limits.
type Retention uint8

// Retentions.
const (
	Limits    Retention = iota // never
	WorkQueue                  // when a consumer has settled it
	Interest                   // when all consumers that it is for have, at once without one
)

// Config configures a stream. The engine has no defaults and checks only for
// overlaps: a zero field means not limited, not allowed, not remembered.
type Config struct {
	Subjects  []string // patterns
	Retention Retention

	MaxMsgs           int64
	MaxBytes          int64
	MaxMsgsPerSubject int64
	MaxAge            time.Duration
	// DiscardNew refuses messages that exceed MaxMsgs or MaxBytes; without it
	// the oldest are removed. DiscardNewPerSubject does so for
	// MaxMsgsPerSubject.
	DiscardNew           bool
	DiscardNewPerSubject bool

	MaxMsgSize    int64
	MaxHeaderSize int64
	AllowTTL      bool
	AllowRollup   bool
	AllowAtomic   bool
	NoAck         bool // reported with each Sent
	// A message counts against MaxBytes as its own size, its subject's, and
	// PerMessage, plus PerHeader if it has a header.
	PerMessage, PerHeader int64

	DedupWindow time.Duration // from the first publish with an id
}

// stored returns what a message counts against MaxBytes.
func (c *Config) stored(m *Send) int64 {
	n := m.Size() + int64(len(m.Subject)) + c.PerMessage
	if m.HeaderSize > 0 {
		n += c.PerHeader
	}
	return n
}

// Start is where a consumer starts.
type Start uint8

// Starts.
const (
	FromAll Start = iota
	FromNew
	FromLast       // the last message that it is for
	FromLastOfEach // the last message of each subject
	FromSequence
	FromTime
)

// ConsumerConfig configures a consumer.
type ConsumerConfig struct {
	Filters []string // patterns, of which a subject matches at most one; none: all
	Start   Start
	Seq     uint64    // of FromSequence
	Time    time.Time // of FromTime

	NoAck   bool // deliveries are settled at once
	AckWait time.Duration
	// Backoff holds the lease of each attempt, the last for all further ones,
	// in place of AckWait.
	Backoff       []time.Duration
	MaxDeliver    int // 0: unlimited
	MaxAckPending int // 0: unlimited
}

// lease returns how long an attempt is leased for.
func (c *ConsumerConfig) lease(attempt int) time.Duration {
	if n := len(c.Backoff); n > 0 {
		return c.Backoff[min(max(attempt, 1), n)-1]
	}
	return c.AckWait
}
