package natsbroker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/subject"
)

const (
	// idleLimit is how long the server keeps the consumer of a subscription
	// without a Group that gives no sign of life: long enough for a reconnect,
	// and the limit for consumers left behind by a dead process.
	idleLimit = 5 * time.Minute
	// removeTimeout bounds the removal of such a consumer.
	removeTimeout = 5 * time.Second
)

// Subscribe consumes messages as [broker.Consume] does.
//
// With [broker.Group] it reads the durable consumer of that name, which shares
// its messages among all its readers, on the stream that captures the subject.
// If the subject is "stream/consumer", it reads that consumer; if a name in
// JetStreamOptions.Queues stands for the consumer, the group may have any one
// name. The consumer must exist ([broker.ErrNotFound] otherwise, see
// [JetStream.EnsureConsumer]) and deliver this subject and nothing else:
// nothing durable is created or changed.
//
// Without Group it is fan-out: a private consumer is created on the server. It
// delivers messages published from now on unless a [broker.Start] option says
// otherwise, has as many replicas as the stream, so that it survives whatever
// the stream survives, and is removed when the subscription has ended (soon
// after Drain has returned, at the latest when Close has). It is kept alive
// while the subscription is paused. If its removal fails, or the process dies,
// the server removes it after five minutes, or as the stream's consumer_limits
// say. A subscription whose consumer is gone, because the connection was down
// for longer than that, ends with an error that matches [broker.ErrClosed] and
// [broker.ErrNotFound], because it would have missed messages.
//
// With [broker.Ordered] it reads strictly in order. The server numbers its
// messages, so one lost in transit is noticed with the next message, or within
// a few seconds if there is none. A loss while the messages of
// broker.FromLastPerSubject are read may bring messages that a later one of
// their subject replaces. The subscription ends as if the stream were deleted
// if a new stream of that name takes its place, or if the stream has lost
// messages already read, as a machine crash can cause. Its consumer is kept for
// as long as a handler takes: the server accepts only requests as a sign of
// life, so during that time one more message is fetched every 20 seconds (or
// more often, if the stream's consumer_limits leave a consumer less than a
// minute), up to 1000. After that, or if the connection is down for longer than
// a minute, a consumer is recreated and continues after the last handled
// message.
func (j *JetStream) Subscribe(ctx context.Context, name string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	const op = "subscribe"
	if err := j.ready(ctx, op, name); err != nil {
		return nil, err
	}
	parsed, err := natsrules.ParseSubscribe(h, opts)
	if err != nil {
		return nil, err
	}
	parsed.Others = append([]broker.SubscribeOption{broker.Logger{Logger: j.logger}}, parsed.Others...)
	s := &jsSubscribe{JetStream: j, Subscribing: parsed, ctx: ctx, name: name}
	sub, err := s.start()
	switch {
	case err == nil:
		return sub, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrClosed):
		return nil, err
	}
	return nil, j.failure(op, name, err)
}

// jsSubscribe is one call of Subscribe.
type jsSubscribe struct {
	*JetStream
	natsrules.Subscribing
	ctx  context.Context //nolint:containedctx // of one call
	name string
	kept consumerName  // to be kept alive
	idle time.Duration // how long the server keeps it alive by itself
	live func()        // gives a sign of life
}

func (s *jsSubscribe) start() (*broker.Subscription, error) {
	if n, ok := s.queueName(s.name); ok {
		return s.onQueue(n)
	}
	pattern := s.core.address(s.name)
	if err := natsrules.CheckPattern("Subject", pattern); err != nil {
		return nil, err
	}
	info, err := s.streamOfPattern(s.ctx, pattern)
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, notCovered(pattern)
	}
	switch {
	case s.Ordered:
		return s.inOrder(info, pattern)
	case s.Group == "":
		return s.ephemeral(&info.Config, pattern)
	}
	return s.durable(&info.Config, pattern)
}

// notCovered returns the error for a subject that no stream covers completely.
func notCovered(pattern string) error {
	if subject.CheckPublish(pattern) == nil {
		return errNoStream
	}
	return natsrules.NotCovered(pattern)
}

// onQueue subscribes to a consumer that is named directly.
func (s *jsSubscribe) onQueue(n consumerName) (*broker.Subscription, error) {
	if s.Group == "" {
		return nil, natsrules.NoGroup(n)
	}
	_, named := s.options.Queues[s.name]
	if other, ok := s.joinGroup(n, named); !ok {
		return nil, natsrules.OtherGroup(s.Group, n, other)
	}
	if _, err := s.look(s.ctx, s.queue(n), 0); err != nil {
		return nil, err
	}
	return s.consume(s.JetStream, s.name, nil)
}

// joinGroup determines the group that reads a consumer: the one that has its
// name or, if the caller knows it by a name of JetStreamOptions.Queues, the
// first that subscribed.
func (s *jsSubscribe) joinGroup(n consumerName, named bool) (group string, ok bool) {
	if !named {
		return n.Name, s.Group == n.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.groups[n]; !taken {
		s.groups[n] = s.Group
	}
	return s.groups[n], s.groups[n] == s.Group
}

// durable subscribes to the consumer that the group names.
func (s *jsSubscribe) durable(stream *jetstream.StreamConfig, pattern string) (*broker.Subscription, error) {
	n := consumerName{Stream: stream.Name, Name: s.Group}
	info, err := s.consumerInfo(s.ctx, n)
	if err != nil {
		return nil, err
	}
	if _, err := readConsumer(n, &info.Config); err != nil {
		return nil, err
	}
	if !delivers(stream, &info.Config, pattern) {
		return nil, natsrules.OtherFilter(pattern, s.Group, n, effectiveFilters(stream, &info.Config))
	}
	return s.consume(aliased{s.JetStream, n.String()}, s.name, nil)
}

func effectiveFilters(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig) []string {
	if of := filters(c); len(of) > 0 {
		return of
	}
	return stream.Subjects
}

// aliased is a Receiver for a consumer that the caller knows by its subject.
type aliased struct {
	*JetStream
	native string
}

func (a aliased) Receive(ctx context.Context, _ string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	return a.JetStream.Receive(ctx, a.native, limit, opts...)
}

// ephemeral creates a consumer for this subscription alone.
func (s *jsSubscribe) ephemeral(stream *jetstream.StreamConfig, pattern string) (*broker.Subscription, error) {
	if stream.Retention == jetstream.WorkQueuePolicy {
		return nil, natsrules.NoFanOut(stream.Name, pattern)
	}
	cfg := s.privateConfig(stream, pattern, idleLimit)
	cfg.AckPolicy = jetstream.AckExplicitPolicy
	cfg.Replicas = stream.Replicas // the server's default is one, which goes down with its node
	ctx, cancel := s.withDeadline(s.ctx)
	defer cancel()
	c, err := s.api.CreateConsumer(ctx, stream.Name, cfg)
	if err != nil {
		return nil, err
	}
	n := consumerName{Stream: stream.Name, Name: c.CachedInfo().Name}
	s.kept, s.idle, s.live = n, cfg.InactiveThreshold, s.keepAlive
	return s.consume(private{aliased{s.JetStream, n.String()}}, s.name, &n)
}

// privateConfig is the configuration of a consumer for this subscription alone.
func (s *jsSubscribe) privateConfig(stream *jetstream.StreamConfig, pattern string, idle time.Duration) jetstream.ConsumerConfig {
	if limit := stream.ConsumerLimits.InactiveThreshold; limit > 0 { // the stream takes no consumer with more
		idle = min(idle, limit)
	}
	c := jetstream.ConsumerConfig{FilterSubject: pattern, InactiveThreshold: idle}
	begin(&c, s.From)
	return c
}

// private is a Receiver for a consumer that nobody else uses: once it is gone
// the subscription is over.
type private struct{ aliased }

func (p private) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	ds, err := p.aliased.Receive(ctx, queue, limit, opts...)
	if errors.Is(err, broker.ErrNotFound) {
		return ds, &broker.Error{Backend: jsBackend, Op: "receive", Subject: queue, Kind: broker.ErrClosed, Err: err}
	}
	return ds, err
}

// consume starts the runtime. own is the consumer to remove when it is over.
func (s *jsSubscribe) consume(r broker.Receiver, name string, own *consumerName) (*broker.Subscription, error) {
	sub, err := broker.Consume(s.ctx, r, name, s.Handler, append(s.Others, broker.Backend(jsBackend))...)
	if own == nil {
		return s.started(sub, err, nil)
	}
	return s.started(sub, err, func() { s.remove(*own) })
}

// started keeps a subscription, to be drained by Close. after is called when it
// is over, or if it is not kept.
func (s *jsSubscribe) started(sub *broker.Subscription, err error, after func()) (*broker.Subscription, error) {
	if err == nil && !s.subs.Add(sub) { // Close came first
		_, err = sub.Drain(s.ctx)
		err = errors.Join(s.closed("subscribe", s.name), err)
	}
	if after != nil && (err != nil || !s.whenOver(sub, after)) {
		after()
	}
	if err != nil {
		return nil, err
	}
	return sub, nil
}

// whenOver calls after when a subscription is over, or the broker is closed. It
// reports false if that is already so.
func (s *jsSubscribe) whenOver(sub *broker.Subscription, after func()) bool {
	return s.task(func() {
		s.untilOver(sub)
		after()
	})
}

// untilOver waits until a subscription is over, or the broker is closed, and
// meanwhile keeps its consumer alive.
func (s *jsSubscribe) untilOver(sub *broker.Subscription) {
	var beats <-chan time.Time
	if s.idle > 0 {
		ticker := time.NewTicker(max(s.idle/3, time.Millisecond))
		defer ticker.Stop()
		beats = ticker.C
	}
	for {
		select {
		case <-beats:
			s.live()
		case <-sub.Done():
			return
		case <-s.life.Done():
			return
		}
	}
}

// keepAlive gives the server a sign of life. A paused subscription gives none
// by itself: the server sees only requests and settlements. The word is about
// message 0, which does not exist.
func (s *jsSubscribe) keepAlive() {
	if s.conn.IsConnected() { // else it would wait in the client's buffer
		_ = s.conn.Publish("$JS.ACK."+s.kept.Stream+"."+s.kept.Name+".1.0.0.0.0", progressWord)
	}
}

// task runs f in a goroutine unless the broker is closed, and reports whether
// it did. Close waits for it.
func (j *JetStream) task(f func()) (begun bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.life.Err() != nil {
		return false
	}
	j.tasks.Go(f)
	return true
}

// remove removes the consumer of a subscription that is over.
func (s *jsSubscribe) remove(n consumerName) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), removeTimeout)
	defer cancel()
	s.forget(s.queue(n))
	if err := s.api.DeleteConsumer(ctx, n.Stream, n.Name); err != nil && !notFound(err) {
		s.logger.WarnContext(ctx, "consumer not removed", "consumer", n.String(), "error", err)
	}
}

// streamOfPattern returns the stream whose subjects cover a pattern, or nil.
func (j *JetStream) streamOfPattern(ctx context.Context, pattern string) (*jetstream.StreamInfo, error) {
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	list := j.api.ListStreams(ctx, jetstream.WithStreamListSubject(pattern))
	var found *jetstream.StreamInfo
	for info := range list.Info() {
		if found == nil && natsrules.Covers(info.Config.Subjects, pattern) {
			found = info
		}
	}
	return found, list.Err()
}
