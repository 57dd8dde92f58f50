package sqsbroker

import (
	"context"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Subscribe consumes a queue, as [broker.Consume] says. [broker.Group] is
// required, since a queue cannot fan out, and one Broker takes one group a
// queue. It returns once the queue is known to exist; messages that were sent
// before are delivered too.
//
// A drain cancels the long poll that is under way, and the AWS client logs a
// warning for each call that is cancelled ("failed to ... HTTP response body,
// this may affect connection reuse"), to its own logger: standard error, unless
// config.WithLogger says otherwise. It is harmless.
func (b *Broker) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	const op = "subscribe"
	if err := b.ready(ctx, op, subject); err != nil {
		return nil, err
	}
	if err := sqsrules.CheckSubscribe(opts); err != nil {
		return nil, err
	}
	q, err := b.find(subject)
	if err != nil {
		return nil, err
	}
	url, _, err := q.look(ctx, fresh)
	if err != nil {
		return nil, failure(ctx, op, subject, err)
	}
	sub, err := b.groups.Subscribe(url, opts, func(opts []broker.SubscribeOption) (*broker.Subscription, error) {
		opts = append([]broker.SubscribeOption{broker.Backend(backend), broker.Logger{Logger: b.logger}}, opts...)
		return broker.Consume(ctx, b, subject, h, opts...)
	})
	if err != nil {
		return nil, err
	}
	if !b.subs.Add(sub) { // Close came first
		_, err := sub.Drain(ctx)
		return nil, &broker.Error{Backend: backend, Op: op, Subject: subject, Kind: broker.ErrClosed, Err: err}
	}
	return sub, nil
}
