package memory

import (
	"context"
	"iter"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// uncaptured is core NATS for the subjects that no stream captures.
type uncaptured struct{ b *JetStream }

var (
	_ broker.Requester = uncaptured{}
	_ broker.Responder = uncaptured{}
	_ broker.Gatherer  = uncaptured{}
)

// Request implements [broker.Requester].
func (u uncaptured) Request(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
	if err := u.check(m.Subject); err != nil {
		return nil, err
	}
	return u.b.core.Request(ctx, m)
}

// Gather implements [broker.Gatherer].
func (u uncaptured) Gather(ctx context.Context, m broker.Message, opts ...broker.GatherOption) iter.Seq2[*broker.Delivery, error] {
	if err := u.check(m.Subject); err != nil {
		return func(yield func(*broker.Delivery, error) bool) { yield(nil, err) }
	}
	return u.b.core.Gather(ctx, m, opts...)
}

// Respond implements [broker.Responder].
func (u uncaptured) Respond(ctx context.Context, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := u.check(subject); err != nil {
		return nil, err
	}
	return u.b.core.Respond(ctx, subject, h, opts...)
}

func (u uncaptured) check(name string) error {
	s := u.b.streamOf(u.b.address(name))
	if s == nil {
		return nil
	}
	return &broker.UnsupportedError{
		Backend: natsrules.JetStream, What: "request-reply on " + name,
		Why: "stream " + s.Name + " captures it, and its acknowledgement would be the first reply", Instead: "a subject that no stream captures",
	}
}
