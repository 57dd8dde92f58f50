package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Subscribe receives as [broker.Consume] does.
//
// With [broker.Group] it reads the consumer of that name, which shares its
// messages among all its readers, on the stream that captures the subject; or,
// if the subject is "stream/consumer", the consumer named there. Where a name
// in JetStreamOptions.Queues stands for the consumer, the group may have any
// one name. The consumer must exist and deliver this subject and nothing else.
//
// Without Group the subscription is fan-out: it creates a consumer, which
// delivers messages published from now on unless a [broker.Start] says
// otherwise, and is removed when the subscription has ended: soon after Drain
// has returned, at the latest when Close has. With [broker.Ordered] it reads
// strictly in order.
func (b *JetStream) Subscribe(ctx context.Context, name string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.open(ctx, OpSubscribe, name); err != nil {
		return nil, err
	}
	parsed, err := natsrules.ParseSubscribe(h, opts)
	if err != nil {
		return nil, err
	}
	parsed.Others = append(withLogger(b.log, nil), parsed.Others...)
	s := &streamSubscribe{JetStream: b, Subscribing: parsed, ctx: ctx, name: name}
	if err := b.failure(OpSubscribe); err != nil {
		return nil, err
	}
	if n, ok := b.queueName(name); ok {
		return s.onQueue(n)
	}
	return s.onSubject(b.address(name))
}

// streamSubscribe is one call of Subscribe.
type streamSubscribe struct {
	*JetStream
	natsrules.Subscribing
	ctx  context.Context //nolint:containedctx // of one call
	name string
}

// onQueue subscribes to a consumer that is named outright.
func (s *streamSubscribe) onQueue(n natsrules.Consumer) (*broker.Subscription, error) {
	if s.Group == "" {
		return nil, natsrules.NoGroup(n)
	}
	if other, ok := s.joinGroup(n); !ok {
		return nil, natsrules.OtherGroup(s.Group, n, other)
	}
	if s.consumerOf(n) == nil {
		return nil, failed(OpSubscribe, s.name, broker.ErrNotFound, nil)
	}
	return s.consume(s.JetStream)
}

// joinGroup says which group reads a consumer: the one that has its name or, where
// the caller knows it by a name of JetStreamOptions.Queues, the first that
// subscribed.
func (s *streamSubscribe) joinGroup(n natsrules.Consumer) (group string, ok bool) {
	if _, named := s.queues[s.name]; !named {
		return n.Name, s.Group == n.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.groups[n]; !taken {
		s.groups[n] = s.Group
	}
	return s.groups[n], s.groups[n] == s.Group
}

// onSubject subscribes to what a pattern stands for.
func (s *streamSubscribe) onSubject(pattern string) (*broker.Subscription, error) {
	if err := natsrules.CheckPattern("Subject", pattern); err != nil {
		return nil, err
	}
	of := s.streamOfPattern(pattern)
	switch {
	case of == nil && isLiteral(pattern):
		return nil, failed(OpSubscribe, s.name, broker.ErrNotFound, errNoStream)
	case of == nil:
		return nil, natsrules.NotCovered(pattern)
	case s.Ordered:
		return s.inOrder(of, pattern)
	case s.Group == "":
		return s.fanOut(of, pattern)
	}
	return s.durable(of, pattern)
}

// durable subscribes to the consumer that the group is.
func (s *streamSubscribe) durable(of *StreamConfig, pattern string) (*broker.Subscription, error) {
	n := natsrules.Consumer{Stream: of.Name, Name: s.Group}
	c := s.consumerOf(n)
	if c == nil {
		return nil, failed(OpSubscribe, s.name, broker.ErrNotFound, fmt.Errorf("no consumer %s; CreateConsumer creates one", n))
	}
	delivers := c.filters()
	if len(delivers) == 0 {
		delivers = of.Subjects
	}
	if !slices.Equal(delivers, []string{pattern}) {
		return nil, natsrules.OtherFilter(pattern, s.Group, n, delivers)
	}
	return s.consume(consumerReceiver{s.JetStream, n.String(), false})
}

// consumerReceiver is a Receiver for a consumer that the caller knows by its
// subject.
type consumerReceiver struct {
	*JetStream
	native string
	own    bool // not shared: once it is gone the subscription is over
}

func (r consumerReceiver) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	ds, err := r.JetStream.Receive(ctx, r.native, limit, opts...)
	if r.own && errors.Is(err, broker.ErrNotFound) {
		return ds, failed(OpReceive, queue, broker.ErrClosed, err)
	}
	return ds, err
}

// start is where a consumer of the subscription's own begins.
func (s *streamSubscribe) start() broker.Start {
	if s.From == (broker.Start{}) {
		return broker.FromNew()
	}
	return s.From
}

// fanOut makes a consumer for this subscription alone.
func (s *streamSubscribe) fanOut(of *StreamConfig, pattern string) (*broker.Subscription, error) {
	if of.Retention == WorkQueueRetention {
		return nil, natsrules.NoFanOut(of.Name, pattern)
	}
	c := ConsumerConfig{Durable: fmt.Sprint("ephemeral-", s.ephemeral.Add(1)), FilterSubject: pattern, Start: s.start()}
	if err := s.CreateConsumer(of.Name, c); err != nil {
		return nil, err
	}
	n := natsrules.Consumer{Stream: of.Name, Name: c.Durable}
	sub, err := s.consume(consumerReceiver{s.JetStream, n.String(), true})
	if err != nil || !s.after(sub, func() { s.remove(n) }) {
		s.remove(n)
	}
	return sub, err
}

// after calls remove when a subscription is over, or the broker is closed. It
// reports false if that is so already.
func (s *streamSubscribe) after(sub *broker.Subscription, remove func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.tasks.Go(func() {
		select {
		case <-sub.Done():
		case <-s.over:
		}
		remove()
	})
	return true
}

// remove removes the consumer of a subscription that is over.
func (s *streamSubscribe) remove(n natsrules.Consumer) {
	err := s.DeleteConsumer(n.Stream, n.Name)
	if err != nil && !errors.Is(err, broker.ErrNotFound) && !errors.Is(err, broker.ErrClosed) {
		s.logger().WarnContext(s.ctx, "consumer not removed", "consumer", n.String(), "error", err)
	}
}

func (s *streamSubscribe) consume(r broker.Receiver) (*broker.Subscription, error) {
	sub, err := broker.Consume(s.ctx, r, s.name, s.Handler, append(s.Others, broker.Backend(natsrules.JetStream))...)
	if err != nil {
		return nil, err
	}
	return keep(s.ctx, &s.subs, sub)
}
