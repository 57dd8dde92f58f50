package memory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
	"github.com/candidmq/candidmq/internal/subject"
)

// Retention says when a stream removes a message, besides its limits.
type Retention uint8

// Values of Retention.
const (
	LimitsRetention    Retention = iota // by its limits only
	WorkQueueRetention                  // when a consumer has deleted it
	InterestRetention                   // when all consumers that it is for have; at once if there is none
)

// String is the retention as nats.go writes it.
func (r Retention) String() string {
	return one(int(r), "Limits", "WorkQueue", "Interest")
}

// one is the n-th of the names.
func one(n int, names ...string) string {
	if n < len(names) {
		return names[n]
	}
	return "unknown"
}

// Discard says what a full stream does.
type Discard uint8

// Values of Discard.
const (
	DiscardOld Discard = iota // drops the oldest messages, whether or not they were delivered
	DiscardNew                // refuses new messages
)

// String is the discard policy as nats.go writes it.
func (d Discard) String() string { return one(int(d), "DiscardOld", "DiscardNew") }

// Storage is where the server keeps a stream. Here it is what Describe says, and
// what a message counts against MaxBytes.
type Storage uint8

// Values of Storage.
const (
	FileStorage Storage = iota
	MemoryStorage
)

// String is the storage as nats.go writes it.
func (s Storage) String() string { return one(int(s), "File", "Memory") }

// StreamConfig is a stream, with the names of JetStream's own configuration.
// Fields that are zero or below have the server's defaults. The limits are
// those of a [JetStream] stream with one replica.
type StreamConfig struct {
	Name string
	// Subjects are the patterns that the stream captures; none: its name.
	Subjects  []string
	Retention Retention // fixed when the stream is created
	Storage   Storage   // likewise
	Replicas  int       // for Describe alone; 1 by default

	MaxMsgs           int64
	MaxBytes          int64
	MaxMsgsPerSubject int64
	MaxAge            time.Duration
	MaxMsgSize        int32 // body and headers
	Discard           Discard
	// DiscardNewPerSubject refuses what exceeds MaxMsgsPerSubject, with DiscardNew.
	DiscardNewPerSubject bool

	// Duplicates is how long a message's DedupID is remembered: 100 ms or above, 2
	// minutes or MaxAge by default, whichever is shorter.
	Duplicates        time.Duration
	AllowMsgTTL       bool
	AllowMsgSchedules bool // turns AllowRollup on
	// AllowRollup takes messages with the header Nats-Rollup, which replace what the
	// stream has of their subject ("sub") or all that it has ("all").
	AllowRollup bool
	// AllowAtomicPublish takes the batches of [JetStream.PublishAtomic].
	AllowAtomicPublish bool
	// NoAck: the stream does not acknowledge published messages.
	NoAck bool
}

const (
	defaultDuplicates  = 2 * time.Minute
	shortestDuplicates = 100 * time.Millisecond
	shortestMaxAge     = 100 * time.Millisecond

	unlimited = -1 // is how the server writes a limit that there is not
)

// limit is a limit as the server keeps it.
func limit[N int | int32 | int64](n N) N {
	if n <= 0 {
		return unlimited
	}
	return n
}

// setDefaults makes of a configuration what the server would keep.
func (c *StreamConfig) setDefaults() {
	c.Subjects = slices.Clone(c.Subjects)
	if len(c.Subjects) == 0 {
		c.Subjects = []string{c.Name}
	}
	c.MaxMsgs, c.MaxBytes, c.MaxMsgsPerSubject = limit(c.MaxMsgs), limit(c.MaxBytes), limit(c.MaxMsgsPerSubject)
	c.MaxMsgSize = limit(c.MaxMsgSize)
	c.AllowRollup = c.AllowRollup || c.AllowMsgSchedules
	setDefault(&c.Replicas, 1)
	if c.Duplicates == 0 {
		c.Duplicates = defaultDuplicates
		if c.MaxAge > 0 {
			c.Duplicates = min(c.Duplicates, c.MaxAge)
		}
	}
}

// check returns all that the server would refuse.
func (c *StreamConfig) check() error {
	var errs []error
	refuse := func(when bool, field, value, limit string) {
		if when {
			errs = append(errs, &broker.FieldError{Field: field, Value: value, Limit: limit})
		}
	}
	refuse(!natsrules.ValidName(c.Name), "Name", c.Name, natsrules.NameLimit)
	for _, p := range c.Subjects {
		errs = append(errs, natsrules.CheckPattern("Subjects", p))
		refuse(p == ">" && !c.NoAck, "Subjects", p, "a narrower pattern, or NoAck: the stream would acknowledge all requests")
	}
	refuse(natsrules.OverlapWithin(c.Subjects), "Subjects", fmt.Sprint(c.Subjects), "patterns that have no subject in common")
	refuse(c.MaxAge != 0 && c.MaxAge < shortestMaxAge, "MaxAge", c.MaxAge.String(), "0, or 100 ms or above")
	refuse(c.Duplicates < 0 || c.MaxAge > 0 && c.Duplicates > c.MaxAge || 0 < c.Duplicates && c.Duplicates < shortestDuplicates,
		"Duplicates", c.Duplicates.String(), "100 ms to MaxAge")
	refuse(c.DiscardNewPerSubject && (c.Discard != DiscardNew || c.MaxMsgsPerSubject < 0),
		"DiscardNewPerSubject", "true", "DiscardNew and MaxMsgsPerSubject with it")
	refuse(c.AllowMsgSchedules && c.Discard == DiscardNew, "AllowMsgSchedules", "true", "DiscardOld with it")
	refuse(c.Retention > InterestRetention, "Retention", fmt.Sprint(c.Retention), "one of the Retentions")
	refuse(c.Storage > MemoryStorage, "Storage", fmt.Sprint(c.Storage), "one of the Storages")
	return errors.Join(errs...)
}

func (c *StreamConfig) engine() stream.Config {
	e := stream.Config{
		Subjects: c.Subjects, Retention: stream.Retention(c.Retention),
		MaxMsgs: c.MaxMsgs, MaxBytes: c.MaxBytes, MaxMsgsPerSubject: c.MaxMsgsPerSubject, MaxAge: c.MaxAge,
		DiscardNew: c.Discard == DiscardNew, DiscardNewPerSubject: c.DiscardNewPerSubject,
		MaxMsgSize: int64(c.MaxMsgSize), MaxHeaderSize: natsrules.MaxJetStreamHeaders,
		AllowTTL: c.AllowMsgTTL, AllowRollup: c.AllowRollup, AllowAtomic: c.AllowAtomicPublish, NoAck: c.NoAck, DedupWindow: c.Duplicates,
		PerMessage: 30, PerHeader: 4, // nats-server's fileStoreMsgSizeRaw
	}
	if c.Storage == MemoryStorage {
		e.PerMessage, e.PerHeader = 16, 0 // and memStoreMsgSizeRaw
	}
	return e
}

// CreateStream creates a stream. It does nothing if one of that name exists
// with the same configuration; if its configuration differs, another stream has
// one of the subjects, or the server would refuse it, the error holds a
// [*broker.FieldError] for each problem, joined. It may be called at any time,
// like the other methods for streams and consumers.
func (b *JetStream) CreateStream(c StreamConfig) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.createStream(c)
}

func (b *JetStream) createStream(c StreamConfig) error {
	return b.setStream(c, func(old *StreamConfig, c *StreamConfig) error {
		switch {
		case old == nil:
			return b.engine.CreateStream(c.Name, c.engine())
		case !reflect.DeepEqual(old, c):
			return &broker.FieldError{Field: "Name", Value: c.Name, Limit: "the configuration of the existing stream"}
		}
		return nil
	})
}

// UpdateStream replaces the whole configuration of a stream, except Retention
// and Storage, which are fixed. It takes effect at once, even for existing
// messages.
func (b *JetStream) UpdateStream(c StreamConfig) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.setStream(c, func(old *StreamConfig, c *StreamConfig) error {
		if err := c.keeps(old); err != nil {
			return err
		}
		return b.engine.UpdateStream(c.Name, c.engine())
	})
}

// keeps refuses changes of what is fixed. old is nil if there is no stream.
func (c *StreamConfig) keeps(old *StreamConfig) error {
	if old == nil {
		return nil
	}
	var errs []error
	fixed := func(field string, was, is fmt.Stringer) {
		if was != is {
			errs = append(errs, &broker.FieldError{Field: field, Value: is.String(), Limit: was.String() + ", as the stream was created"})
		}
	}
	fixed("Retention", old.Retention, c.Retention)
	fixed("Storage", old.Storage, c.Storage)
	return errors.Join(errs...)
}

// setStream checks a configuration, has set bring it to the engine, and keeps it. The
// caller holds mu.
func (b *JetStream) setStream(c StreamConfig, set func(old, c *StreamConfig) error) error {
	c.setDefaults()
	if err := c.check(); err != nil {
		return err
	}
	switch err := set(b.streams[c.Name], &c); {
	case errors.Is(err, stream.ErrOverlap):
		return &broker.FieldError{Field: "Subjects", Value: fmt.Sprint(c.Subjects), Limit: "no overlap with another stream"}
	case errors.Is(err, broker.ErrInvalid):
		return err
	case err != nil:
		return streamFailed("set stream", c.Name, err)
	}
	b.streams[c.Name] = &c
	return nil
}

// DeleteStream removes a stream with its messages and consumers. Waiting
// receives end with [broker.ErrNotFound].
func (b *JetStream) DeleteStream(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.engine.DropStream(name); err != nil {
		return streamFailed("delete stream", name, err)
	}
	delete(b.streams, name)
	for n := range b.consumers {
		if n.Stream == name {
			delete(b.consumers, n)
			delete(b.groups, n)
		}
	}
	return nil
}

// Purge removes the messages of a stream, including those in flight. Their
// DedupIDs stay known.
func (b *JetStream) Purge(name string) error {
	return streamFailed("purge", name, b.engine.Purge(name))
}

// streamOfPattern is the stream that has all subjects of a pattern, nil if none
// has.
func (b *JetStream) streamOfPattern(pattern string) *StreamConfig {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.streams {
		if natsrules.Covers(s.Subjects, pattern) {
			return s
		}
	}
	return nil
}

// isLiteral reports whether a pattern is one subject.
func isLiteral(pattern string) bool { return subject.CheckPublish(pattern) == nil }
