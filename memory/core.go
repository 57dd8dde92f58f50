package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// natsBackend is how errors about the contract of core NATS name the backend,
// here as in natsbroker.
const natsBackend = "nats"

// defaultMaxPayload is the max_payload of a nats-server that is not configured.
const defaultMaxPayload = 1 << 20

// Pending limits that nats.go sets where nobody does.
const (
	defaultPendingMessages = 500_000
	defaultPendingBytes    = 64 << 20
)

// CoreNATS plays core NATS, as one connection to one server: subjects with the
// wildcards * and >, queue groups whose members share at random, fan-out,
// request-reply. Nothing is stored: what nobody subscribes to is gone, and a
// subscriber that cannot keep up loses the newest messages. It has the roles of
// natsbroker.Broker and refuses what that refuses.
//
// The messages that one goroutine publishes reach each subscription in order.
// All subscribers get the same bytes, copied once from the publisher's. A
// subscription has one goroutine while messages wait for its handler, and none
// while it is idle.
type CoreNATS struct {
	failures
	log        *slog.Logger
	table      map[string]string
	ignore     broker.Fields
	timeout    time.Duration
	maxPayload int
	limits     PendingLimits
	subs       subscriptions.Set
	activity   *activity
	busy       atomic.Int64 // messages on their way to a handler's end
	lastInbox  atomic.Uint64
	closed     atomic.Bool
	over       chan struct{} // closed with closed
	overOnce   sync.Once

	mu    sync.RWMutex // held for writing to change index, for reading while messages are put in
	index subject.Index[receiver]
}

var (
	_ broker.Broker    = (*CoreNATS)(nil)
	_ broker.Requester = (*CoreNATS)(nil)
	_ broker.Responder = (*CoreNATS)(nil)
	_ broker.Flusher   = (*CoreNATS)(nil)
	_ broker.Pinger    = (*CoreNATS)(nil)
)

// CoreNATSOptions are options of [NewCoreNATS]. The zero value is useful.
type CoreNATSOptions struct {
	// Logger is where subscriptions log; nil: nowhere.
	Logger *slog.Logger
	// Subjects gives destinations names of their own: what it maps to is a
	// subject.
	Subjects map[string]string
	// RequestTimeout bounds a request whose context has no deadline; 0:
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// MaxPayload is the largest message in bytes, body and headers; 0: 1 MiB.
	MaxPayload int
	// PendingLimits are those of subscriptions that name none.
	PendingLimits PendingLimits
	// Ignore are optional fields of messages to be dropped on purpose, instead
	// of refused.
	Ignore broker.Fields
}

// PendingLimits is how much may wait for a subscription's handler, with the
// message that it works on, before the newest messages are dropped: an option
// of Subscribe and Respond. A field that is 0 has the default of nats.go,
// 500,000 messages and 64 MiB of bodies, headers and subjects.
type PendingLimits struct {
	Messages int
	Bytes    int
}

// SubscribeOption marks the type.
func (PendingLimits) SubscribeOption() {}

func (l PendingLimits) or(other PendingLimits) PendingLimits {
	return PendingLimits{cmp.Or(l.Messages, other.Messages), cmp.Or(l.Bytes, other.Bytes)}
}

func (l PendingLimits) check() error {
	var errs []error
	for field, n := range map[string]int{"PendingLimits.Messages": l.Messages, "PendingLimits.Bytes": l.Bytes} {
		if n < 0 {
			errs = append(errs, &broker.FieldError{Field: field, Value: fmt.Sprint(n), Limit: "0 (the default) or above"})
		}
	}
	return errors.Join(errs...)
}

// NewCoreNATS returns a CoreNATS. A nil o is the zero CoreNATSOptions; sizes
// and times that are not above 0 have their defaults.
func NewCoreNATS(o *CoreNATSOptions) *CoreNATS { return newCoreNATS(o, &activity{}) }

func newCoreNATS(o *CoreNATSOptions, a *activity) *CoreNATS {
	if o == nil {
		o = &CoreNATSOptions{}
	}
	limits := PendingLimits{max(0, o.PendingLimits.Messages), max(0, o.PendingLimits.Bytes)}
	return &CoreNATS{
		log: o.Logger, table: o.Subjects, ignore: o.Ignore,
		timeout:    cmp.Or(max(0, o.RequestTimeout), broker.DefaultRequestTimeout),
		maxPayload: cmp.Or(max(0, o.MaxPayload), defaultMaxPayload),
		limits:     limits.or(PendingLimits{defaultPendingMessages, defaultPendingBytes}),
		activity:   a,
		over:       make(chan struct{}),
	}
}

// Flush implements [broker.Flusher]. Nothing is buffered, so it has nothing to
// wait for.
func (b *CoreNATS) Flush(ctx context.Context) error { return b.probe(ctx, OpFlush) }

// Ping implements [broker.Pinger]. It fails only when the broker is closed, ctx
// has ended, or a test said so.
func (b *CoreNATS) Ping(ctx context.Context) error { return b.probe(ctx, OpPing) }

func (b *CoreNATS) probe(ctx context.Context, op Op) error {
	if err := b.open(ctx, op, ""); err != nil {
		return err
	}
	return b.failure(op)
}

// Close implements [broker.Broker]. Requests that wait fail.
func (b *CoreNATS) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.closed.Store(true)
	b.overOnce.Do(func() { close(b.over) })
	return err
}

// WaitIdle waits until every message that was published has been handled by
// everybody who gets it: until no handler runs and none has anything to do. It
// does not poll, and works inside a testing/synctest bubble as well as outside.
//
// The counters of a subscription may still lag behind by a moment.
func (b *CoreNATS) WaitIdle(ctx context.Context) error {
	if err := b.activity.wait(ctx, b.idle); err != nil {
		return b.notIdle(err)
	}
	return nil
}

func (b *CoreNATS) notIdle(cause error) error {
	return fmt.Errorf("memory: subjects not idle, %d messages not handled yet: %w", b.busy.Load(), cause)
}

func (b *CoreNATS) idle() bool { return b.busy.Load() == 0 }

// handled takes n messages off what WaitIdle waits for.
func (b *CoreNATS) handled(n int) {
	if b.busy.Add(int64(-n)) == 0 {
		b.activity.ended()
	}
}

func (b *CoreNATS) open(ctx context.Context, op Op, subject string) error {
	if b.closed.Load() {
		return failed(op, subject, broker.ErrClosed, nil)
	}
	if err := ctx.Err(); err != nil {
		return failed(op, subject, nil, err)
	}
	return nil
}

// address finds the subject for a name.
func (b *CoreNATS) address(name string) string {
	if native, ok := b.table[name]; ok {
		return native
	}
	return name
}
