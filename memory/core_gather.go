package memory

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

var (
	_ broker.Gatherer = (*CoreNATS)(nil)
	_ broker.Gatherer = (*Broker)(nil)
)

// Gather implements [broker.Gatherer].
func (b *CoreNATS) Gather(ctx context.Context, m broker.Message, opts ...broker.GatherOption) iter.Seq2[*broker.Delivery, error] {
	return func(yield func(*broker.Delivery, error) bool) {
		g := &gathering{broker: b, subject: m.Subject, yield: yield}
		if err := g.run(ctx, m, opts); err != nil && !g.broken {
			yield(nil, err)
		}
	}
}

// Gather implements [broker.Gatherer], for subjects.
func (b *Broker) Gather(ctx context.Context, m broker.Message, opts ...broker.GatherOption) iter.Seq2[*broker.Delivery, error] {
	if err := b.checkSubject(m.Subject); err != nil {
		return func(yield func(*broker.Delivery, error) bool) { yield(nil, err) }
	}
	return b.subjects.Gather(ctx, m, opts...)
}

// gathering is one range over a Gather.
type gathering struct {
	natsrules.Gathering
	broker  *CoreNATS
	subject string
	yield   func(*broker.Delivery, error) bool
	broken  bool // the loop was left
	taken   int
	answers *answers
}

// answers is where replies wait for the loop.
type answers struct {
	queue   chan broker.Message
	dropped atomic.Bool
}

// take drops messages that there is no room for.
func (a *answers) take(m broker.Message, _ int) {
	select {
	case a.queue <- m:
	default:
		a.dropped.Store(true)
	}
}

func (*answers) queueGroup() string { return "" }

// run returns the error to yield last.
func (g *gathering) run(ctx context.Context, m broker.Message, opts []broker.GatherOption) error {
	b := g.broker
	if err := b.open(ctx, OpGather, m.Subject); err != nil {
		return err
	}
	gathering, bad := natsrules.ParseGather(opts)
	if err := errors.Join(bad, natsrules.CheckRequest(&m)); err != nil {
		return err
	}
	g.Gathering = gathering
	if err := b.prepare(&m); err != nil {
		return err
	}
	if err := b.failure(OpGather); err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	g.answers = &answers{queue: make(chan broker.Message, g.Room())}
	m.ReplyTo = b.newInbox()
	b.attach(m.ReplyTo, g.answers)
	defer b.detach(m.ReplyTo, g.answers)
	if b.deliver(&m) == 0 {
		return failed(OpGather, g.subject, broker.ErrNoResponders, nil)
	}
	return g.collect(ctx)
}

// collect yields the replies until one of the ends is reached.
func (g *gathering) collect(ctx context.Context) error {
	var silent <-chan time.Time
	for {
		select {
		case m := <-g.answers.queue:
			g.taken++
			d, err := answer(m)
			g.broken = !g.yield(d, err)
			if g.broken || g.taken == g.Replies {
				return nil
			}
		case <-silent:
			return nil
		case <-ctx.Done():
			return g.late(ctx)
		case <-g.broker.over:
			return uncertain(OpGather, g.subject, broker.ErrClosed, nil)
		}
		if g.answers.dropped.Load() {
			return failed(OpGather, g.subject, broker.ErrDropped, nil)
		}
		if g.Silence > 0 {
			silent = time.After(g.Silence)
		}
	}
}

// late interprets the end of ctx: a normal end, if it is a deadline and no
// number of replies was requested.
func (g *gathering) late(ctx context.Context) error {
	if g.Replies == 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return uncertain(OpGather, g.subject, nil, context.Cause(ctx))
}
