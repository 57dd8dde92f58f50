package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// JetStream is NATS with streams, on one connection: published messages are
// stored and acknowledged, and received ones are leased until they are deleted.
// Create one with NewJetStream or ConnectJetStream.
//
// It is not a Requester or a Responder, because a stream answers a request with
// its own acknowledgement. [broker.As] finds both roles: they are those of the
// core [Broker] on the same connection, for subjects that no stream captures.
//
// # Addresses
//
// Publishing takes a subject; receiving takes a consumer, written
// "stream/consumer". [JetStreamOptions].Subjects and Queues give either a name.
// If one name is in both tables, Publish, Receive, Subscribe, Describe, Health and
// Inspect all accept it. Describe, Health, Inspect and Subscribe take either kind
// of address; one that has the form of two names with one slash between them is
// a consumer. A subject of that form needs a name in Subjects.
//
// # Concurrency
//
// All methods may be called concurrently. Calls of Publish share the
// connection: those of many goroutines are pipelined, up to MaxInFlight. For
// each consumer that was received from, up to eight inboxes are kept for the
// next receives. A JetStream has no goroutine of its own while nothing is
// subscribed; a subscription has the two of [broker.Consume], and one without a
// Group has one more, which removes its consumer. With [broker.Ordered] it has
// two in all.
type JetStream struct {
	core    *Broker
	conn    *nats.Conn
	api     jetstream.JetStream
	prefix  string // of the subjects of JetStream's API, with the trailing dot
	options JetStreamOptions
	logger  *slog.Logger
	answers answers
	slots   chan struct{} // one for each publish in flight

	mu     sync.Mutex
	queues map[consumerName]*queue
	groups map[consumerName]string // the group that reads each consumer known by a name of the caller's

	subs    subscriptions.Set
	tasks   sync.WaitGroup
	life    context.Context // ends when the broker is closed
	end     context.CancelFunc
	release sync.Once
}

var (
	_ broker.Broker   = (*JetStream)(nil)
	_ broker.Receiver = (*JetStream)(nil)
	_ broker.Pinger   = (*JetStream)(nil)
	_ broker.Flusher  = (*JetStream)(nil)
)

// jsBackend is the backend's name in errors and semantics.
const jsBackend = "jetstream"

// NewJetStream returns a JetStream on a connection that the caller dialed and
// keeps. It does no I/O. Several brokers may share one connection. The options
// are copied.
func NewJetStream(nc *nats.Conn, o *JetStreamOptions) (*JetStream, error) {
	if o == nil {
		o = &JetStreamOptions{}
	}
	if err := errors.Join(checkConn(nc, o.RefuseWhileDown), o.check()); err != nil {
		return nil, err
	}
	return newJetStream(newBroker(nc, o.core()), o)
}

// ConnectJetStream dials as [Connect] does and returns a JetStream that owns the
// connection: Close closes it.
func ConnectJetStream(ctx context.Context, servers string, o *JetStreamOptions, natsOpts ...nats.Option) (*JetStream, error) {
	if o == nil {
		o = &JetStreamOptions{}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	core, err := Connect(ctx, servers, o.core(), natsOpts...)
	if err != nil {
		return nil, err
	}
	j, err := newJetStream(core, o)
	if err != nil {
		return nil, errors.Join(err, core.Close(ctx))
	}
	return j, nil
}

// newJetStream takes options that have been checked.
func newJetStream(core *Broker, o *JetStreamOptions) (*JetStream, error) {
	j := &JetStream{core: core, conn: core.conn, options: *o, logger: core.logger, queues: map[consumerName]*queue{}, groups: map[consumerName]string{}}
	j.options.Subjects = maps.Clone(o.Subjects)
	j.options.Queues = maps.Clone(o.Queues)
	j.options.setDefaults()
	j.prefix = jetstream.DefaultAPIPrefix
	timeout := jetstream.WithDefaultTimeout(j.options.RequestTimeout)
	var err error
	if o.Domain != "" {
		j.prefix = fmt.Sprintf("$JS.%s.API.", o.Domain)
		j.api, err = jetstream.NewWithDomain(core.conn, o.Domain, timeout)
	} else {
		j.api, err = jetstream.New(core.conn, timeout)
	}
	if err != nil {
		return nil, j.failure("connect", "", err)
	}
	j.answers.init(core.conn)
	j.slots = make(chan struct{}, j.options.MaxInFlight)
	j.life, j.end = context.WithCancel(context.Background())
	return j, nil
}

// Conn returns the connection, for features that this package does not offer.
func (j *JetStream) Conn() *nats.Conn { return j.conn }

// API returns nats.go's own JetStream client on the same connection, for
// features that this package does not offer.
func (j *JetStream) API() jetstream.JetStream { return j.api }

// As finds [broker.Requester], [broker.Responder] and [broker.Gatherer], which
// are those of the core Broker, for subjects that no stream captures.
func (j *JetStream) As(target any) bool {
	switch t := target.(type) {
	case *broker.Requester:
		if t != nil {
			*t = j.core
		}
		return t != nil
	case *broker.Responder:
		if t != nil {
			*t = j.core
		}
		return t != nil
	case *broker.Gatherer:
		if t != nil {
			*t = j.core
		}
		return t != nil
	}
	return false
}

// Close drains the subscriptions, removes the consumers of those without a
// Group, and flushes. A waiting Receive ends with [broker.ErrClosed] and gives
// back messages that arrive for it at that moment; messages received before and
// not settled come again when their leases end. A publish still waiting for its
// answer ends with an error that also matches [broker.ErrOutcomeUnknown]. A
// connection that ConnectJetStream dialed is closed; one given to NewJetStream
// stays open. If ctx ends before all consumers are removed, Close waits half a
// second more if there is a connection, and returns; on a connection that stays
// open the removals continue for up to five seconds.
func (j *JetStream) Close(ctx context.Context) error {
	err := j.subs.Close(ctx)
	j.release.Do(func() {
		j.mu.Lock()
		j.end() // no further task begins
		j.mu.Unlock()
		err = errors.Join(err, j.awaitTasks(ctx))
		j.answers.stop()
		for _, q := range j.known() {
			j.discardIdle(q)
		}
	})
	return errors.Join(err, j.core.Close(ctx))
}

// removeGrace is how long the removal of consumers may take when the context of
// Close has ended, perhaps because a handler hangs: a round trip on a working
// connection.
const removeGrace = 500 * time.Millisecond

// awaitTasks waits for consumers being removed, and for messages being given
// back or dead-lettered. Each task is bounded by a timeout of its own.
func (j *JetStream) awaitTasks(ctx context.Context) error {
	over := make(chan struct{})
	go func() {
		j.tasks.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	grace := time.Duration(0)
	if j.conn.IsConnected() {
		grace = removeGrace
	}
	select {
	case <-over:
		return nil
	case <-time.After(grace):
		return j.failure("close", "", fmt.Errorf("consumers are still being removed, or messages given back: %w", ctx.Err()))
	}
}

// Ping reads the account's statistics from JetStream: one round trip to the
// current leader. It needs permission to publish to $JS.API.INFO. While the
// connection is down it fails at once.
func (j *JetStream) Ping(ctx context.Context) error {
	const op = "ping"
	if err := j.ready(ctx, op, ""); err != nil {
		return err
	}
	if !j.conn.IsConnected() {
		return j.failure(op, "", j.down())
	}
	if _, err := j.api.AccountInfo(ctx); err != nil {
		return j.failure(op, "", err)
	}
	return nil
}

// known returns the consumers that the broker was asked for.
func (j *JetStream) known() []*queue {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Values(j.queues))
}

// Flush makes a round trip: when it returns, the server has read everything
// sent before on this connection. Messages for which Publish has returned are
// already stored; with Unconfirmed, Flush confirms that deletes and releases
// have arrived. If the connection was lost since the last Flush, nobody knows
// whether those sent before the loss arrived: the error is then a [*LossError],
// once, as for [Broker.Flush]. Its number counts everything sent on the
// connection that no Flush confirmed, including messages whose publish was
// acknowledged.
func (j *JetStream) Flush(ctx context.Context) error {
	const op = "flush"
	if err := j.ready(ctx, op, ""); err != nil {
		return err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	if err := j.core.roundTrip(ctx); err != nil {
		return j.uncertain(op, "", err)
	}
	err := j.core.lossError(op)
	if e, ok := errors.AsType[*broker.Error](err); ok {
		e.Backend = jsBackend
	}
	return err
}

// down returns why there is no connection.
func (j *JetStream) down() error {
	if j.conn.IsClosed() {
		return nats.ErrConnectionClosed
	}
	return nats.ErrDisconnected
}

// ready returns an error if the broker is closed or the context has ended.
func (j *JetStream) ready(ctx context.Context, op, name string) error {
	if j.life.Err() != nil {
		return j.closed(op, name)
	}
	if err := ctx.Err(); err != nil {
		return j.failure(op, name, err)
	}
	return nil
}

// withDeadline gives ctx the default deadline if it has none.
func (j *JetStream) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, j.options.RequestTimeout)
}

// until returns a channel that fires after the longest time that a context
// without a deadline may take, or nil if ctx has a deadline. stop frees the
// timer.
func (j *JetStream) until(ctx context.Context) (late <-chan time.Time, stop func() bool) {
	if _, ok := ctx.Deadline(); ok {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(j.options.RequestTimeout)
	return timer.C, timer.Stop
}
