package memory

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// JetStream simulates NATS JetStream on one server: streams that store the
// messages published to their subjects, and consumers, each of which delivers a
// stream's messages under a lease. It has the roles of natsbroker.JetStream,
// refuses the same input as that and the server do, with the same categories of
// errors, and keeps time to the nanosecond; inside a testing/synctest bubble
// all of its time is virtual.
//
// Streams and consumers are created by [JetStream.CreateStream] and
// [JetStream.CreateConsumer], or by the Ensure calls of natsbroker.JetStream,
// with memory's own configurations. Addresses are those of
// natsbroker.JetStream: publishing takes a subject, receiving
// "stream/consumer"; Subscribe and Describe take either;
// JetStreamOptions.Subjects and Queues name both.
//
// JetStream is not a Requester or Responder, because a stream answers a request
// with its own acknowledgement. [broker.As] finds these roles, and Gatherer,
// for subjects that no stream captures; a request to a captured subject, which
// the stream would answer, is a [*broker.UnsupportedError].
//
// By default a released message is redelivered in turn, and nothing is
// redelivered before its lease ends. JetStreamOptions.WorstCase simulates what
// may happen beyond that, and a handler must tolerate.
//
// # What is not simulated
//
// Mirrors and sources, subject transforms, counters, delete markers, pausing,
// priority groups, push consumers, account limits, clusters and the effects of
// a broken connection are not simulated. [StreamConfig] and [ConsumerConfig]
// have no fields for these, so code that relies on them does not compile; one
// of the server's headers that is not simulated is a
// [*broker.UnsupportedError]. Settlements are always confirmed, and an
// acknowledgement is never lost.
type JetStream struct {
	failures
	log        *slog.Logger
	subjects   map[string]string
	queues     map[string]string
	ignore     broker.Fields
	timeout    time.Duration
	streamWait time.Duration
	maxPayload int64
	core       *CoreNATS
	engine     *stream.Engine
	subs       subscriptions.Set
	activity   *activity
	ephemeral  atomic.Uint64 // counts the consumers of subscriptions without a Group
	closed     atomic.Bool
	over       chan struct{} // closed with closed
	overOnce   sync.Once
	tasks      sync.WaitGroup // they remove such consumers

	mu        sync.RWMutex
	streams   map[string]*StreamConfig               // with defaults filled in; never changed, but replaced
	consumers map[natsrules.Consumer]*ConsumerConfig // likewise
	groups    map[natsrules.Consumer]string          // by whom consumers are read that have a name of the caller's
}

var (
	_ broker.Broker         = (*JetStream)(nil)
	_ broker.Receiver       = (*JetStream)(nil)
	_ broker.Pinger         = (*JetStream)(nil)
	_ broker.Flusher        = (*JetStream)(nil)
	_ broker.HealthReporter = (*JetStream)(nil)
)

// Error categories, which natsbroker has too.
var (
	// ErrExpectation is the category of a publish with a header Nats-Expected-…
	// whose expectation did not hold. Nothing was stored.
	ErrExpectation = natsrules.ErrExpectation
	// ErrFull marks a publish to a full stream that refuses new messages. Such
	// an error matches [broker.ErrThrottled] too.
	ErrFull = natsrules.ErrFull
	// ErrDuplicate is the category of an atomic batch of which nothing was
	// stored because the stream already has a message with the DedupID of one
	// of its messages, or the batch contains that DedupID twice.
	ErrDuplicate = natsrules.ErrDuplicate
)

// JetStreamOptions are the options of [NewJetStream]. The zero value is ready
// to use.
type JetStreamOptions struct {
	// Logger is used by subscriptions; nil discards.
	Logger *slog.Logger
	// Subjects maps names to subjects, Queues to consumers, written
	// "stream/consumer". A name that is in both tables is accepted by Publish,
	// Receive, Subscribe and Describe.
	Subjects, Queues map[string]string
	// RequestTimeout bounds a request, and a publish to a stream with NoAck, whose
	// context has no deadline; 0: [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Ignore is the set of optional message fields to drop instead of refusing
	// the message: any of ReplyTo, Key, Tenant, Delay and TTL; natsbroker
	// refuses others, and here they are kept. For requests and replies, it
	// applies to the fields that core NATS cannot honour.
	Ignore broker.Fields
	// StreamWait is how long a publish is retried, every 250 ms, while no
	// stream has its subject; 0 fails at once.
	StreamWait time.Duration
	// MaxPayload is the largest message in bytes, body and headers; 0: 1 MiB.
	MaxPayload int
	// WorstCase, if not 0, is the seed for simulating the worst that the
	// contract of JetStream allows, with probabilities far above those in
	// production: messages are redelivered in any order, before or after new
	// ones, and a Receive may return fewer messages than there are, but at
	// least one. With a max_ack_pending of 1 the order holds. The same seed and
	// the same sequence of operations give the same run. A test should print
	// its seed.
	WorstCase uint64
}

// NewJetStream returns a JetStream without streams. A nil o is the zero
// JetStreamOptions; sizes and times that are not above 0 have their defaults. The
// options are copied.
func NewJetStream(o *JetStreamOptions) *JetStream {
	if o == nil {
		o = &JetStreamOptions{}
	}
	a := &activity{}
	engine := stream.New(a.ended, o.WorstCase)
	engine.Advise(advisory)
	subjects := maps.Clone(o.Subjects)
	return &JetStream{
		log: o.Logger, subjects: subjects, queues: maps.Clone(o.Queues), ignore: o.Ignore & natsrules.IgnorableByJetStream,
		timeout:    cmp.Or(max(0, o.RequestTimeout), broker.DefaultRequestTimeout),
		streamWait: max(0, o.StreamWait),
		maxPayload: int64(cmp.Or(max(0, o.MaxPayload), defaultMaxPayload)),
		core: newCoreNATS(&CoreNATSOptions{
			Logger: o.Logger, Subjects: subjects, RequestTimeout: o.RequestTimeout, Ignore: o.Ignore & natsrules.Refused,
			MaxPayload: o.MaxPayload, WorstCase: o.WorstCase,
		}, a),
		engine:    engine,
		activity:  a,
		over:      make(chan struct{}),
		streams:   map[string]*StreamConfig{},
		consumers: map[natsrules.Consumer]*ConsumerConfig{},
		groups:    map[natsrules.Consumer]string{},
	}
}

// CoreNATS returns the broker behind the roles that As finds, for subjects that
// no stream captures. Messages published on it are not stored.
func (b *JetStream) CoreNATS() *CoreNATS { return b.core }

// As finds [broker.Requester], [broker.Responder] and [broker.Gatherer], for
// subjects that no stream captures.
func (b *JetStream) As(target any) bool {
	switch t := target.(type) {
	case *broker.Requester:
		if t != nil {
			*t = uncaptured{b}
		}
		return t != nil
	case *broker.Responder:
		if t != nil {
			*t = uncaptured{b}
		}
		return t != nil
	case *broker.Gatherer:
		if t != nil {
			*t = uncaptured{b}
		}
		return t != nil
	}
	return false
}

// Flush implements [broker.Flusher]. Nothing is buffered, so it has nothing to
// wait for.
func (b *JetStream) Flush(ctx context.Context) error { return b.probe(ctx, OpFlush) }

// Ping implements [broker.Pinger]. It fails only when the broker is closed, ctx
// has ended, or a test requested a failure.
func (b *JetStream) Ping(ctx context.Context) error { return b.probe(ctx, OpPing) }

func (b *JetStream) probe(ctx context.Context, op Op) error {
	if err := b.open(ctx, op, ""); err != nil {
		return err
	}
	return b.failure(op)
}

// Close implements [broker.Broker]. Streams and their messages are gone
// afterwards.
func (b *JetStream) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.overOnce.Do(func() {
		b.mu.Lock()
		b.closed.Store(true)
		close(b.over)
		b.mu.Unlock()
		b.tasks.Wait() // they wait for nothing but over
		b.engine.Close()
	})
	return errors.Join(err, b.core.Close(ctx))
}

func (b *JetStream) open(ctx context.Context, op Op, subject string) error {
	if b.closed.Load() {
		return failed(op, subject, broker.ErrClosed, nil)
	}
	if err := ctx.Err(); err != nil {
		return failed(op, subject, nil, err)
	}
	return nil
}

// address finds the subject for a name.
func (b *JetStream) address(name string) string {
	if native, ok := b.subjects[name]; ok {
		return native
	}
	return name
}

// queueName finds the consumer of a name, if it stands for one.
func (b *JetStream) queueName(name string) (natsrules.Consumer, bool) {
	if native, ok := b.queues[name]; ok {
		return natsrules.ParseConsumer(native)
	}
	if _, named := b.subjects[name]; named {
		return natsrules.Consumer{}, false
	}
	return natsrules.ParseConsumer(name)
}

// consumerOf are the settings of a consumer, nil if there is none.
func (b *JetStream) consumerOf(n natsrules.Consumer) *ConsumerConfig {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.consumers[n]
}

// streamOf are the settings of the stream that captures a subject, nil if there
// is none.
func (b *JetStream) streamOf(native string) *StreamConfig {
	name := b.engine.StreamOf(native)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.streams[name]
}

// streamFailed maps the errors of the engine to categories.
func streamFailed(op Op, subject string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrNoStream), errors.Is(err, stream.ErrNoConsumer):
		return failed(op, subject, broker.ErrNotFound, err)
	case errors.Is(err, stream.ErrClosed):
		return failed(op, subject, broker.ErrClosed, nil)
	case errors.Is(err, stream.ErrStale):
		return failed(op, subject, broker.ErrLeaseLost, err)
	}
	return failed(op, subject, nil, err) // of a context
}
