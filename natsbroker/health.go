package natsbroker

import (
	"context"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/subject"
)

var _ broker.HealthReporter = (*Broker)(nil)

// Health implements [broker.HealthReporter]. Core NATS stores nothing, so it
// reports only how many messages this broker's subscriptions to the subject
// have dropped. It does no I/O.
func (b *Broker) Health(ctx context.Context, destination string) (broker.Health, error) {
	if err := b.ready(ctx, "health", destination); err != nil {
		return broker.Health{}, err
	}
	native := b.address(destination)
	if err := natsrules.CheckSubject(native); err != nil {
		return broker.Health{}, err
	}
	dropped := b.subs.Dropped(func(pattern string) bool { return subject.Match(b.address(pattern), native) })
	return natsrules.Health(destination, dropped), nil
}
