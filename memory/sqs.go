package memory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/sqsrules"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// backend is how errors and Describe name this package.
const backend = "memory"

// SQS simulates Amazon SQS: queues whose names end in ".fifo" are FIFO queues,
// the others Standard queues. It has the roles of sqsbroker.Broker, refuses
// what SQS refuses, with the errors of sqsbroker, and keeps time as SQS does,
// in whole seconds, rounded up. Inside a testing/synctest bubble all of its
// time is virtual.
//
// Queues are created by [SQS.CreateQueue]. A destination is a queue's name, a
// URL or ARN that ends in it, or a key of SQSOptions.Queues.
//
// By default a Standard queue delivers in order and once, as long as no lease
// ends. SQSOptions.WorstCase simulates what SQS may do beyond that, and a
// handler must tolerate.
type SQS struct {
	failures
	log      *slog.Logger
	table    map[string]string
	ignore   broker.Fields
	engine   *queue.Engine
	subs     subscriptions.Set
	groups   sqsrules.Groups
	activity *activity
	lastID   atomic.Uint64
	closed   atomic.Bool

	mu     sync.RWMutex
	queues map[string]*settings // never changed, but replaced
}

var (
	_ broker.Broker   = (*SQS)(nil)
	_ broker.Receiver = (*SQS)(nil)
	_ broker.Pinger   = (*SQS)(nil)
)

// SQSOptions are the options of [NewSQS]. The zero value is ready to use.
type SQSOptions struct {
	// Logger is used by subscriptions; nil discards.
	Logger *slog.Logger
	// Queues maps names of destinations to queue names, URLs or ARNs.
	Queues map[string]string
	// Ignore is the set of optional message fields to drop where the queue
	// would refuse them.
	Ignore broker.Fields
	// WorstCase, if not 0, is the seed for simulating the worst that the
	// contract of SQS allows, with probabilities far above those in production.
	// On a Standard queue
	//
	//   - messages are delivered out of order, by up to a dozen places,
	//   - a message is delivered again before its lease has ended, to a second
	//     receiver at the same time,
	//   - a deleted message is delivered once more, until it is deleted again,
	//   - a short poll finds nothing although there are messages,
	//
	// and on both kinds a Receive may return fewer messages than there are, but
	// at least one. The order of a FIFO queue, and its leases, hold. The same
	// seed and the same sequence of operations give the same run. A test should
	// print its seed.
	WorstCase uint64
}

// NewSQS returns an SQS without queues. A nil o is the zero SQSOptions.
func NewSQS(o *SQSOptions) *SQS { return newSQS(o, &activity{}) }

func newSQS(o *SQSOptions, a *activity) *SQS {
	if o == nil {
		o = &SQSOptions{}
	}
	b := &SQS{
		log: o.Logger, table: o.Queues, ignore: o.Ignore,
		engine:   queue.New(queue.SystemClock()),
		activity: a,
		queues:   map[string]*settings{},
	}
	b.engine.PlayWorst(o.WorstCase)
	b.engine.Observe(func(e queue.Event) {
		switch e.Kind {
		case queue.EventDeleted, queue.EventDeadLettered, queue.EventDiscarded:
			a.ended()
		}
	})
	return b
}

// Subscribe implements [broker.Subscriber] by [broker.Consume]. It requires a
// [broker.Group], and all subscriptions of a queue must name the same one.
func (b *SQS) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.open(ctx, OpSubscribe, subject); err != nil {
		return nil, err
	}
	if err := sqsrules.CheckSubscribe(opts); err != nil {
		return nil, err
	}
	q, err := b.resolve(OpSubscribe, subject)
	if err != nil {
		return nil, err
	}
	sub, err := b.groups.Subscribe(q.name, opts, func(rest []broker.SubscribeOption) (*broker.Subscription, error) {
		if err := b.failure(OpSubscribe); err != nil {
			return nil, err
		}
		return broker.Consume(ctx, b, subject, h, withLogger(b.log, append(rest, broker.Backend(sqsrules.Backend)))...)
	})
	if err != nil {
		return nil, err
	}
	return keep(ctx, &b.subs, sub)
}

// withLogger puts the broker's logger before the options, so that a given one
// wins.
func withLogger(log *slog.Logger, opts []broker.SubscribeOption) []broker.SubscribeOption {
	if log == nil {
		return opts
	}
	return append([]broker.SubscribeOption{broker.Logger{Logger: log}}, opts...)
}

// keep has Close drain a subscription, or does so if Close has begun.
func keep(ctx context.Context, subs *subscriptions.Set, sub *broker.Subscription) (*broker.Subscription, error) {
	if subs.Add(sub) {
		return sub, nil
	}
	_, _ = sub.Drain(ctx) // that the broker is closed is what matters
	return nil, failed(OpSubscribe, sub.Subject(), broker.ErrClosed, nil)
}

// Ping implements [broker.Pinger]. It fails only when the broker is closed, ctx
// has ended, or a test requested a failure.
func (b *SQS) Ping(ctx context.Context) error {
	if err := b.open(ctx, OpPing, ""); err != nil {
		return err
	}
	return b.failure(OpPing)
}

// Close implements [broker.Broker]. Queues and their messages are gone
// afterwards.
func (b *SQS) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.closed.Store(true)
	b.engine.Close()
	return err
}

// begin is the start of every operation on a queue.
func (b *SQS) begin(ctx context.Context, op Op, subject string) (*settings, error) {
	if err := b.open(ctx, op, subject); err != nil {
		return nil, err
	}
	return b.resolve(op, subject)
}

func (b *SQS) open(ctx context.Context, op Op, subject string) error {
	if b.closed.Load() {
		return failed(op, subject, broker.ErrClosed, nil)
	}
	if err := ctx.Err(); err != nil {
		return failed(op, subject, nil, err)
	}
	return nil
}

// resolve finds the queue that a destination names.
func (b *SQS) resolve(op Op, subject string) (*settings, error) {
	name := b.nameOf(subject)
	if q := b.settingsOf(name); q.name != "" {
		return q, nil
	}
	if err := sqsrules.CheckName(name); err != nil {
		return nil, err
	}
	return nil, failed(op, subject, broker.ErrNotFound, nil)
}

// has reports whether a destination names a queue that there is.
func (b *SQS) has(destination string) bool {
	return b.settingsOf(b.nameOf(destination)).name != ""
}

// nameOf is the name of the queue that a destination would be.
func (b *SQS) nameOf(subject string) string {
	if address, ok := b.table[subject]; ok {
		subject = address
	}
	return sqsrules.NameOf(subject)
}

// settingsOf are the settings of a queue, noQueue if there is none.
func (b *SQS) settingsOf(name string) *settings {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if q := b.queues[name]; q != nil {
		return q
	}
	return noQueue
}

var noQueue = &settings{}

func failed(op Op, subject string, kind, cause error) error {
	return &broker.Error{Backend: backend, Op: string(op), Subject: subject, Kind: kind, Err: cause}
}

// engineFailed maps the errors of the engine to categories.
func engineFailed(op Op, subject string, err error) error {
	if _, ok := errors.AsType[*broker.FieldError](err); err == nil || ok {
		return err
	}
	switch {
	case errors.Is(err, queue.ErrNoQueue):
		return failed(op, subject, broker.ErrNotFound, nil)
	case errors.Is(err, queue.ErrClosed):
		return failed(op, subject, broker.ErrClosed, nil)
	case errors.Is(err, queue.ErrExpired), errors.Is(err, queue.ErrGone), errors.Is(err, queue.ErrTooLong):
		return failed(op, subject, broker.ErrLeaseLost, err)
	case errors.Is(err, queue.ErrOverLimit):
		return &broker.Error{Backend: backend, Op: string(op), Subject: subject, Kind: broker.ErrThrottled, Err: err, Retryable: true}
	}
	return failed(op, subject, nil, err) // of a context
}
