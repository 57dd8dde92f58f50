package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Subscribe consumes as [broker.Consume] says.
//
// With [broker.Group] it reads the consumer of that name, which shares its
// messages among all that read it, on the stream that captures the subject, or
// with "stream/consumer" for the subject the consumer named there; where a name in
// JetStreamOptions.Queues stands for the consumer, the group may have any one name.
// The consumer must exist and deliver this subject and nothing else.
//
// Without Group it is fan-out: a consumer of its own is made, which delivers what is
// published from now on unless a [Start] says otherwise, and is removed when the
// subscription has ended, soon after Drain has returned, at the latest when Close
// has. With [Ordered] it reads strictly in order.
func (b *JetStream) Subscribe(ctx context.Context, name string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.open(ctx, OpSubscribe, name); err != nil {
		return nil, err
	}
	s := &streamSubscribe{JetStream: b, ctx: ctx, name: name, handler: h, others: withLogger(b.log, nil)}
	if err := s.apply(opts); err != nil {
		return nil, err
	}
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
	ctx     context.Context //nolint:containedctx // of one call
	name    string
	handler broker.Handler
	group   string
	from    *Start
	ordered bool
	others  []broker.SubscribeOption // for Consume
}

func (s *streamSubscribe) apply(opts []broker.SubscribeOption) error {
	var errs []error
	var concurrency broker.Concurrency
	if s.handler == nil {
		errs = append(errs, &broker.FieldError{Field: "Handler", Value: "nil", Limit: "a function"})
	}
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Group:
			s.group = string(o)
			if !natsrules.ValidName(s.group) {
				errs = append(errs, &broker.FieldError{Field: "Group", Value: s.group, Limit: natsrules.NameLimit})
			}
		case Start:
			s.from = &o
		case Ordered:
			s.ordered = true
		case broker.Concurrency:
			concurrency = o
			s.others = append(s.others, opt)
		default:
			s.others = append(s.others, opt)
		}
	}
	if s.group != "" && s.from != nil {
		errs = append(errs, s.refuse("Start with Group", "where a durable consumer begins is fixed when it is created",
			"ConsumerConfig.Start, or a subscription without Group"))
	}
	if s.ordered {
		errs = append(errs, s.checkOrdered(concurrency))
	}
	return errors.Join(errs...)
}

func (*streamSubscribe) refuse(what, why, instead string) error {
	return &broker.UnsupportedError{Backend: natsrules.JetStream, What: what, Why: why, Instead: instead}
}

// onQueue subscribes to a consumer that is named outright.
func (s *streamSubscribe) onQueue(n natsrules.Consumer) (*broker.Subscription, error) {
	if s.group == "" {
		return nil, s.refuse("Subscribe to consumer "+n.String()+" without Group",
			"a consumer gives each message to one of those that read it: it cannot fan out",
			fmt.Sprintf("broker.Group(%q), or the subject in place of the consumer", n.Name))
	}
	if other, ok := s.joinGroup(n); !ok {
		return nil, s.refuse("group "+s.group+" on consumer "+n.String(),
			"all that read a consumer are one group, and this one is group "+other,
			fmt.Sprintf("broker.Group(%q), or a consumer for each group", other))
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
		return n.Name, s.group == n.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.groups[n]; !taken {
		s.groups[n] = s.group
	}
	return s.groups[n], s.groups[n] == s.group
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
		return nil, s.refuse("Subscribe to "+pattern, "no one stream has all subjects that this stands for",
			"a pattern within the subjects of one stream, or core NATS")
	case s.ordered:
		return s.inOrder(of, pattern)
	case s.group == "":
		return s.fanOut(of, pattern)
	}
	return s.durable(of, pattern)
}

// durable subscribes to the consumer that the group is.
func (s *streamSubscribe) durable(of *StreamConfig, pattern string) (*broker.Subscription, error) {
	n := natsrules.Consumer{Stream: of.Name, Name: s.group}
	c := s.consumerOf(n)
	if c == nil {
		return nil, failed(OpSubscribe, s.name, broker.ErrNotFound, fmt.Errorf("no consumer %s; CreateConsumer makes one", n))
	}
	delivers := c.filters()
	if len(delivers) == 0 {
		delivers = of.Subjects
	}
	if !slices.Equal(delivers, []string{pattern}) {
		return nil, s.refuse("Subscribe to "+pattern+" in group "+s.group, fmt.Sprintf("consumer %s delivers %q", n, delivers),
			"a consumer with that filter_subject, or "+n.String()+" in place of the subject")
	}
	return s.consume(consumerReceiver{s.JetStream, n.String(), false})
}

// consumerReceiver is a Receiver for a consumer that the caller knows by its
// subject.
type consumerReceiver struct {
	*JetStream
	native string
	own    bool // nobody else has it: once it is gone the subscription is over
}

func (r consumerReceiver) Receive(ctx context.Context, name string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	ds, err := r.JetStream.Receive(ctx, r.native, limit, opts...)
	if r.own && errors.Is(err, broker.ErrNotFound) {
		return ds, failed(OpReceive, name, broker.ErrClosed, err)
	}
	return ds, err
}

// start is where a consumer of the subscription's own begins.
func (s *streamSubscribe) start() Start {
	if s.from == nil || *s.from == (Start{}) {
		return FromNew()
	}
	return *s.from
}

// fanOut makes a consumer for this subscription alone.
func (s *streamSubscribe) fanOut(of *StreamConfig, pattern string) (*broker.Subscription, error) {
	if of.Retention == WorkQueueRetention {
		return nil, s.refuse("Subscribe to "+pattern+" without Group",
			"stream "+of.Name+" is a work queue, which gives each message to one consumer: it cannot fan out",
			"broker.Group with the name of its consumer, or a stream with limits or interest retention")
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
	sub, err := broker.Consume(s.ctx, r, s.name, s.handler, s.others...)
	if err != nil {
		return nil, err
	}
	return keep(s.ctx, &s.subs, sub)
}
