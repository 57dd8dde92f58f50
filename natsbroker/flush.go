package natsbroker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// Flush makes a round trip: when it returns, the server has read everything
// published before on this connection. While the connection is down, Flush
// waits for the reconnect, within ctx.
//
// If the connection was lost since the last Flush with unconfirmed messages on
// it, nobody knows whether those arrived: the error is then a [*LossError] with
// their number and matches [broker.ErrOutcomeUnknown], once for each such loss,
// although the connection works again.
func (b *Broker) Flush(ctx context.Context) error {
	const op = "flush"
	if err := b.ready(ctx, op, ""); err != nil {
		return err
	}
	return b.flush(ctx, op)
}

func (b *Broker) flush(ctx context.Context, op string) error {
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	if err := b.roundTrip(ctx); err != nil {
		return b.uncertain(op, "", err)
	}
	return b.lossError(op)
}

// lossError returns the losses that no flush has reported yet, or nil.
func (b *Broker) lossError(op string) error {
	lost := b.ledger.forFlush()
	if lost == (Loss{}) {
		return nil
	}
	return &broker.Error{
		Backend: backend, Op: op, Kind: broker.ErrUnavailable, Err: &LossError{lost},
		OutcomeUnknown: lost.Uncertain > 0,
	}
}

// roundTrip returns when the server has read everything sent before. ctx has a
// deadline.
func (b *Broker) roundTrip(ctx context.Context) error {
	before := b.ledger.mark()
	if err := b.conn.FlushWithContext(ctx); err != nil {
		return b.flushError(err)
	}
	b.ledger.confirm(before)
	return nil
}

// flushError corrects nats.go, which reports a connection lost during a flush
// as closed, although it reconnects.
func (b *Broker) flushError(err error) error {
	if errors.Is(err, nats.ErrConnectionClosed) && !b.conn.IsClosed() {
		return nats.ErrDisconnected
	}
	return err
}

// flushAtClose flushes unless there is no connection and nothing to send.
func (b *Broker) flushAtClose(ctx context.Context) error {
	buffered, _ := b.conn.Buffered() // -1 if the connection is closed
	if buffered <= 0 && !b.conn.IsConnected() {
		return nil
	}
	return b.flush(ctx, "close")
}

// Ping makes one round trip. While the connection is down it fails at once with
// [broker.ErrUnavailable], and on a closed one with [broker.ErrClosed].
func (b *Broker) Ping(ctx context.Context) error {
	const op = "ping"
	if err := b.ready(ctx, op, ""); err != nil {
		return err
	}
	switch {
	case b.conn.IsClosed():
		return b.failure(op, "", nats.ErrConnectionClosed)
	case !b.conn.IsConnected():
		return b.failure(op, "", nats.ErrDisconnected)
	}
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	if err := b.conn.FlushWithContext(ctx); err != nil {
		return b.failure(op, "", b.flushError(err))
	}
	return nil
}
