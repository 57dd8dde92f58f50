package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// ConsumerState holds the messages of a consumer, in the order of its stream.
// The deliveries are copies without a Handle; inspecting them does not count as
// receiving.
type ConsumerState struct {
	Ready    []broker.Delivery // not delivered yet
	InFlight []broker.Delivery // delivered and not settled, released ones included
	Stranded []broker.Delivery // delivered MaxDeliver times
	// DeadLetters are the messages of its dead-letter subject, whichever
	// consumer they came from.
	DeadLetters []broker.Delivery
}

// Contents returns the state of a consumer.
func (b *JetStream) Contents(queue string) (ConsumerState, error) {
	if err := b.open(context.Background(), "contents", queue); err != nil {
		return ConsumerState{}, err
	}
	n, err := b.findConsumer(queue)
	if err != nil {
		return ConsumerState{}, err
	}
	c := b.consumerOf(n)
	if c == nil {
		return ConsumerState{}, failed("contents", queue, broker.ErrNotFound, nil)
	}
	ready, inFlight, stranded, err := b.engine.Look(n.Stream, n.Name)
	if err != nil {
		return ConsumerState{}, streamFailed("contents", queue, err)
	}
	s := ConsumerState{Ready: copiesOf(n, ready), InFlight: copiesOf(n, inFlight), Stranded: copiesOf(n, stranded)}
	if of := b.streamOf(c.DeadLetters.Subject); of != nil {
		dead, err := b.engine.OfSubject(of.Name, c.DeadLetters.Subject)
		if err != nil {
			return s, streamFailed("contents", queue, err)
		}
		s.DeadLetters = copiesOf(natsrules.Consumer{Stream: of.Name}, dead)
	}
	return s, nil
}

func copiesOf(n natsrules.Consumer, ms []stream.Message) []broker.Delivery {
	var ds []broker.Delivery
	for i := range ms {
		var d broker.Delivery
		fillFrom(&d, n, &ms[i])
		ds = append(ds, d)
	}
	return ds
}

// WaitIdle waits until every message is settled by every consumer that it is
// for, except stranded ones, until nothing is delayed, and until no handler of
// [JetStream.CoreNATS] has a message. Consumers of streams that capture a
// dead-letter subject do not count. WaitIdle does not poll, and works inside a
// testing/synctest bubble as well as outside. A consumer without a reader makes
// it wait until ctx ends; the error names such consumers.
//
// The counters of a subscription may still lag behind briefly.
func (b *JetStream) WaitIdle(ctx context.Context) error {
	if err := b.activity.wait(ctx, func() bool { return len(b.busy()) == 0 && b.core.idle() }); err != nil {
		return fmt.Errorf("memory: consumers not idle: %v: %w", b.busy(), err)
	}
	return nil
}

// busy are the consumers that have something to do.
func (b *JetStream) busy() []string {
	b.mu.RLock()
	all := maps.Clone(b.consumers)
	b.mu.RUnlock()
	resting := map[string]bool{}
	for _, c := range all {
		if target := c.DeadLetters.Subject; target != "" {
			resting[b.engine.StreamOf(target)] = true
		}
	}
	var busy []string
	for n := range all {
		if !resting[n.Stream] && b.engine.Busy(n.Stream, n.Name) {
			busy = append(busy, n.String())
		}
	}
	slices.Sort(busy)
	return busy
}
