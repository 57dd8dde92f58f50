package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// Broker is core NATS on one connection. Create one with New or Connect.
type Broker struct {
	conn      *nats.Conn
	owned     bool // the connection was dialed here
	logger    *slog.Logger
	subjects  map[string]string
	timeout   time.Duration
	ignore    broker.Fields
	confirm   bool
	connected atomic.Bool // there has been a connection, as seen from here
	ledger    *ledger
	trips     trips

	subs    subscriptions.Set
	closed  atomic.Bool
	release sync.Once
	watch   *watch   // nil without OnState and OnLoss
	service *service // nil without Service
}

var (
	_ broker.Broker    = (*Broker)(nil)
	_ broker.Requester = (*Broker)(nil)
	_ broker.Responder = (*Broker)(nil)
	_ broker.Flusher   = (*Broker)(nil)
	_ broker.Pinger    = (*Broker)(nil)
)

// New returns a Broker on a connection that the caller dialed and keeps. New
// does no I/O, and Close leaves the connection open and its handlers unchanged.
// Several Brokers may share one connection. The options are copied.
func New(nc *nats.Conn, o *Options) (*Broker, error) {
	if o == nil {
		o = &Options{}
	}
	if err := errors.Join(checkConn(nc, o.RefuseWhileDown), o.check()); err != nil {
		return nil, err
	}
	return newBroker(nc, o), nil
}

// checkConn checks a connection that the caller dialed.
func checkConn(nc *nats.Conn, refuseWhileDown bool) error {
	switch {
	case nc == nil:
		return &broker.FieldError{Field: "nc", Value: "nil", Limit: "a connection"}
	case refuseWhileDown && nc.Opts.ReconnectBufSize >= 0:
		return buffers(nc.Opts.ReconnectBufSize)
	}
	return nil
}

// buffers returns the error for a connection that buffers messages that are to
// be refused.
func buffers(size int) error {
	return &broker.FieldError{
		Field: "RefuseWhileDown", Value: fmt.Sprintf("true on a connection that buffers %d bytes", size),
		Limit: "a connection made with nats.ReconnectBufSize(-1)",
	}
}

// newBroker takes options that have been checked.
func newBroker(nc *nats.Conn, o *Options) *Broker {
	b := &Broker{
		conn:     nc,
		logger:   o.Logger,
		subjects: maps.Clone(o.Subjects),
		timeout:  o.RequestTimeout,
		ignore:   o.Ignore,
		confirm:  o.Confirm,
		ledger:   newLedger(nc),
	}
	b.trips.flush = b.roundTrip
	b.service = newService(b, o.Service)
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	if b.timeout == 0 {
		b.timeout = broker.DefaultRequestTimeout
	}
	if o.OnState != nil || o.OnLoss != nil {
		b.watch = newWatch(b, o)
	}
	return b
}

// Conn returns the connection, for features that this package does not offer.
// Closing or draining it ends the Broker's subscriptions with
// [broker.ErrClosed].
func (b *Broker) Conn() *nats.Conn { return b.conn }

// Close drains the subscriptions, whose handlers may still publish and reply in
// the meantime, and flushes published messages. It then closes a connection
// that Connect dialed; one given to New stays open. If the connection is down
// and messages wait in its buffer, Close waits for the reconnect within ctx (or
// [Options].RequestTimeout if ctx has no deadline) and returns an error
// matching [broker.ErrOutcomeUnknown] if they could not be sent. If it then
// closes the connection, they are lost, and a [*LossError] reports their
// number, together with other losses that Flush has not reported.
func (b *Broker) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.release.Do(func() {
		b.closed.Store(true)
		err = errors.Join(err, b.flushAtClose(ctx))
		if b.owned {
			b.conn.Close()
		}
		err = errors.Join(err, b.lossError("close"))
		b.trips.stop()
		b.ledger.stop()
	})
	if b.watch != nil {
		err = errors.Join(err, b.watch.stop(ctx))
	}
	return err
}

// Losses reports the effect of lost connections on the messages published since
// the Broker was created. It does no I/O.
func (b *Broker) Losses() Loss { return b.ledger.now() }

// ready returns an error if the broker is closed or the context has ended.
func (b *Broker) ready(ctx context.Context, op, subject string) error {
	if b.closed.Load() {
		return closedError(op, subject)
	}
	if err := ctx.Err(); err != nil {
		return b.failure(op, subject, err)
	}
	return nil
}

// withDeadline gives ctx the default deadline if it has none.
func (b *Broker) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, b.timeout)
}
