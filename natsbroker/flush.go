package natsbroker

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

var errConnectionLost = errors.New("the connection was lost since the last flush, and with it perhaps what was published then")

// Flush makes a round trip: the server has read everything that was published
// before on this connection. While the connection is down it waits for the
// reconnect, within ctx.
//
// If the connection was lost since the last Flush and anything was published
// on it since, nobody knows whether that arrived: the error then matches
// [broker.ErrOutcomeUnknown], once for each such loss, although the connection
// works again.
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
	before := b.conn.Stats()
	if err := b.conn.FlushWithContext(ctx); err != nil {
		return b.uncertain(op, "", b.flushError(err))
	}
	if b.flushed.lost(before, b.conn.Stats()) {
		e := b.uncertain(op, "", errConnectionLost)
		e.Kind = broker.ErrUnavailable
		return e
	}
	return nil
}

// flushError: nats.go reports a connection that was lost during a flush as
// closed, although it reconnects.
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

// flushMark remembers the connection as the last flush found it.
type flushMark struct {
	mu         sync.Mutex
	sent       uint64
	reconnects uint64
}

func (f *flushMark) set(s nats.Statistics) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent, f.reconnects = s.OutMsgs, s.Reconnects
}

// lost reports whether the connection was replaced since the last flush while
// something was sent, and moves the mark: before is from before the round
// trip, after from after it.
func (f *flushMark) lost(before, after nats.Statistics) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	replaced, published := after.Reconnects != f.reconnects, before.OutMsgs != f.sent
	f.sent, f.reconnects = max(f.sent, before.OutMsgs), max(f.reconnects, after.Reconnects)
	return replaced && published
}

// Ping makes one round trip. While the connection is down it fails at once
// with [broker.ErrUnavailable], on a closed one with [broker.ErrClosed].
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
