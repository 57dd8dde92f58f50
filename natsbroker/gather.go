package natsbroker

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

var _ broker.Gatherer = (*Broker)(nil)

// Gather uses an inbox of its own. In a cluster, and where other subscriptions
// overlap the subject, the limitation of ErrNoResponders described at
// [Broker.Request] applies here too: silence until the deadline may take its
// place. If a stream captures the subject, the stream answers as well: that
// answer is yielded as a [*StrayAckError], counts as an answer, and does not
// end the loop.
//
// If the connection was lost after the question was sent, or is down at the
// end, silence and the deadline prove nothing: the last error then matches
// [broker.ErrUnavailable] or [broker.ErrClosed], and
// [broker.ErrOutcomeUnknown].
func (b *Broker) Gather(ctx context.Context, m broker.Message, opts ...broker.GatherOption) iter.Seq2[*broker.Delivery, error] {
	return func(yield func(*broker.Delivery, error) bool) {
		g := &gathering{broker: b, subject: m.Subject, yield: yield}
		if err := g.run(ctx, m, opts); err != nil && !g.broken {
			yield(nil, err)
		}
	}
}

// gathering is one range over a Gather.
type gathering struct {
	broker  *Broker
	subject string
	yield   func(*broker.Delivery, error) bool
	broken  bool // the loop was left
	natsrules.Gathering
	taken  int
	sub    *nats.Subscription
	from   chan *nats.Msg
	before mark // the question was sent
}

// run returns the error to yield last.
func (g *gathering) run(ctx context.Context, m broker.Message, opts []broker.GatherOption) error {
	const op = "gather"
	b := g.broker
	if err := b.ready(ctx, op, m.Subject); err != nil {
		return err
	}
	native, err := b.prepare(&m)
	gathering, bad := natsrules.ParseGather(opts)
	if err := errors.Join(bad, natsrules.CheckRequest(&m), err); err != nil {
		return err
	}
	g.Gathering = gathering
	if err := b.checkSize(&m); err != nil {
		return b.sendFailure(op, &m, err)
	}
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	m.ReplyTo = b.conn.NewInbox()
	g.from = make(chan *nats.Msg, g.Room())
	if g.sub, err = b.conn.ChanSubscribe(m.ReplyTo, g.from); err != nil {
		return b.failure(op, m.Subject, err)
	}
	defer func() { _ = g.sub.Unsubscribe() }()
	g.before = b.ledger.mark()
	if err := b.send(op, native, &m); err != nil {
		return err
	}
	return g.collect(ctx)
}

// collect yields the answers until one of the end conditions holds.
func (g *gathering) collect(ctx context.Context) error {
	var silent <-chan time.Time
	for {
		select {
		case msg := <-g.from:
			over, err := g.take(ctx, msg)
			if over || err != nil {
				return err
			}
		case <-silent:
			return g.heard()
		case <-ctx.Done():
			return g.late(ctx)
		}
		if dropped, err := g.sub.Dropped(); err == nil && dropped > 0 {
			return g.broker.failure("gather", g.subject, nats.ErrSlowConsumer)
		}
		if g.Silence > 0 {
			silent = time.After(g.Silence)
		}
	}
}

// take yields one answer and reports whether it was the last one.
func (g *gathering) take(ctx context.Context, msg *nats.Msg) (over bool, err error) {
	if g.taken == 0 && unanswered(msg) {
		return true, g.broker.failure("gather", g.subject, nats.ErrNoResponders)
	}
	g.taken++
	d := newDelivery(msg, msg.Subject)
	if err := g.broker.replyError(ctx, "gather", g.subject, msg, d); err != nil {
		g.broken = !g.yield(nil, err)
	} else {
		g.broken = !g.yield(d, nil)
	}
	return g.broken || g.taken == g.Replies, nil
}

// late returns what the end of ctx means: a normal end, if it is a deadline and
// no number of answers was asked for.
func (g *gathering) late(ctx context.Context) error {
	if g.Replies == 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return g.heard()
	}
	return g.broker.uncertain("gather", g.subject, ctx.Err())
}

// heard returns an error if answers may have come that were not received.
func (g *gathering) heard() error {
	switch b := g.broker; {
	case b.conn.IsClosed():
		return b.uncertain("gather", g.subject, nats.ErrConnectionClosed)
	case !b.conn.IsConnected():
		return b.uncertain("gather", g.subject, nats.ErrDisconnected)
	case b.ledger.mark().losses != g.before.losses:
		e := b.uncertain("gather", g.subject, errConnectionLost)
		e.Kind, e.Retryable = broker.ErrUnavailable, true
		return e
	}
	return nil
}
