package memory

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// defaultMaxPayload is the max_payload of a nats-server without configuration.
const defaultMaxPayload = 1 << 20

// defaultPending are the default limits of nats.go.
var defaultPending = broker.PendingLimits{Messages: 500_000, Bytes: 64 << 20}

// CoreNATS simulates core NATS, as one connection to one server: subjects with
// the wildcards * and >, queue groups whose members share messages at random,
// fan-out, request-reply. Nothing is stored: a message without a subscriber is
// lost, and a subscriber that cannot keep up loses the newest messages. It has
// the roles of natsbroker.Broker and refuses the same input.
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
	confirm    bool
	timeout    time.Duration
	maxPayload int64
	limits     broker.PendingLimits
	chance     chance
	subs       subscriptions.Set
	activity   *activity
	busy       atomic.Int64 // messages not yet handled
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

// CoreNATSOptions are the options of [NewCoreNATS]. The zero value is ready to
// use.
type CoreNATSOptions struct {
	// Logger is used by subscriptions; nil discards.
	Logger *slog.Logger
	// Subjects maps names of destinations to subjects.
	Subjects map[string]string
	// RequestTimeout bounds a request whose context has no deadline; 0:
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// MaxPayload is the largest message in bytes, body and headers; 0: 1 MiB.
	MaxPayload int
	// PendingLimits are the limits of subscriptions without their own; 0: as
	// nats.go.
	PendingLimits broker.PendingLimits
	// Ignore is the set of optional message fields to drop instead of refusing
	// the message.
	Ignore broker.Fields
	// Confirm makes the receipts of Publish and PublishBatch report
	// [broker.OutcomeReceived], and Describe [broker.ConfirmReceived], as with
	// natsbroker's Options.Confirm. Here there is no round trip to wait for.
	Confirm bool
	// WorstCase, if not 0, is the seed for simulating the worst that the
	// contract allows for a slow subscriber: each subscription has a random
	// pending limit of 1 to 8 messages, or its own if that is lower. One that
	// keeps up loses nothing; one that lags by a few messages loses the newest,
	// as core NATS does when it lags by many, or when a connection breaks. The
	// same seed and the same sequence of operations give the same limits and
	// pick the same members of queue groups. A test should print its seed.
	WorstCase uint64
}

// NewCoreNATS returns a CoreNATS. A nil o is the zero CoreNATSOptions; sizes
// and times that are not above 0 have their defaults.
func NewCoreNATS(o *CoreNATSOptions) *CoreNATS { return newCoreNATS(o, &activity{}) }

func newCoreNATS(o *CoreNATSOptions, a *activity) *CoreNATS {
	if o == nil {
		o = &CoreNATSOptions{}
	}
	b := &CoreNATS{
		log: o.Logger, table: o.Subjects, ignore: o.Ignore, confirm: o.Confirm,
		timeout:    cmp.Or(max(0, o.RequestTimeout), broker.DefaultRequestTimeout),
		maxPayload: int64(cmp.Or(max(0, o.MaxPayload), defaultMaxPayload)),
		limits:     orElse(o.PendingLimits, defaultPending),
		activity:   a,
		over:       make(chan struct{}),
	}
	b.chance.seed(o.WorstCase)
	return b
}

// orElse sets the limits that are missing in l.
func orElse(l, others broker.PendingLimits) broker.PendingLimits {
	return broker.PendingLimits{
		Messages: cmp.Or(max(0, l.Messages), others.Messages),
		Bytes:    cmp.Or(max(0, l.Bytes), others.Bytes),
	}
}

// Flush implements [broker.Flusher]. Nothing is buffered, so it has nothing to
// wait for.
func (b *CoreNATS) Flush(ctx context.Context) error { return b.probe(ctx, OpFlush) }

// Ping implements [broker.Pinger]. It fails only when the broker is closed, ctx
// has ended, or a test requested a failure.
func (b *CoreNATS) Ping(ctx context.Context) error { return b.probe(ctx, OpPing) }

func (b *CoreNATS) probe(ctx context.Context, op Op) error {
	if err := b.open(ctx, op, ""); err != nil {
		return err
	}
	return b.failure(op)
}

// Close implements [broker.Broker]. Waiting requests fail.
func (b *CoreNATS) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.closed.Store(true)
	b.overOnce.Do(func() { close(b.over) })
	return err
}

// WaitIdle waits until every published message has been handled by all its
// receivers: until no handler runs and none has a message waiting. It does not
// poll, and works inside a testing/synctest bubble as well as outside.
//
// The counters of a subscription may still lag behind briefly.
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

// handled subtracts n messages from the number that WaitIdle waits for.
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
