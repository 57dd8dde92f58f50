package memory

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
)

// QueueState holds the messages of a queue, in the order in which they were
// sent. The deliveries are copies without a Handle; inspecting them does not
// count as receiving.
type QueueState struct {
	Ready    []broker.Delivery // on a FIFO queue with those that wait for their group
	InFlight []broker.Delivery // leased, or released with a delay
	Delayed  []broker.Delivery
	// DeadLetters are messages of this queue in its dead-letter queue, in any
	// state.
	DeadLetters []broker.Delivery
}

// Contents returns the state of a queue.
func (b *SQS) Contents(queue string) (QueueState, error) {
	q, err := b.begin(context.Background(), "contents", queue)
	if err != nil {
		return QueueState{}, err
	}
	return b.contents(q), nil
}

func (b *SQS) contents(q *settings) QueueState {
	state := QueueState{
		Ready:    b.peek(q, queue.Ready),
		InFlight: b.peek(q, queue.InFlight),
		Delayed:  b.peek(q, queue.Delayed),
	}
	target := b.settingsOf(q.options.DeadLetter)
	for _, s := range []queue.State{queue.Ready, queue.InFlight, queue.Delayed} {
		for _, m := range b.look(target, s) {
			if m.Source == q.name {
				state.DeadLetters = append(state.DeadLetters, target.copyOf(&m))
			}
		}
	}
	return state
}

func (b *SQS) peek(q *settings, s queue.State) []broker.Delivery {
	var ds []broker.Delivery
	for _, m := range b.look(q, s) {
		ds = append(ds, q.copyOf(&m))
	}
	return ds
}

func (q *settings) copyOf(m *queue.Message) (d broker.Delivery) {
	q.fill(&d, q.name, m)
	return d
}

// look finds nothing in a queue that has been deleted in the meantime.
func (b *SQS) look(q *settings, s queue.State) []queue.Message {
	ms, _ := b.engine.Peek(q.name, s, math.MaxInt)
	return ms
}

// WaitIdle waits until every message is settled: until the queues are empty,
// except those that are dead-letter queues. A message that a handler is working
// on is not settled. WaitIdle does not poll, and works inside a
// testing/synctest bubble as well as outside. A queue without a reader makes it
// wait until ctx ends; the error names such queues.
//
// The counters of a subscription may still lag behind briefly.
func (b *SQS) WaitIdle(ctx context.Context) error {
	if err := b.activity.wait(ctx, b.idle); err != nil {
		return b.notIdle(err)
	}
	return nil
}

func (b *SQS) notIdle(cause error) error {
	return fmt.Errorf("memory: queues not idle%s: %w", b.busyQueues(), cause)
}

func (b *SQS) idle() bool { return b.busyQueues() == "" }

// busyQueues lists queues that hold messages.
func (b *SQS) busyQueues() string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	resting := map[string]bool{}
	for _, q := range b.queues {
		resting[q.options.DeadLetter] = true
	}
	var busy strings.Builder
	for name := range b.queues {
		if resting[name] {
			continue
		}
		s, _ := b.engine.Stats(name) // none once the broker is closed
		if s.Ready+s.InFlight+s.Delayed > 0 {
			fmt.Fprintf(&busy, ", queue %s: %d ready, %d in flight, %d delayed", name, s.Ready, s.InFlight, s.Delayed)
		}
	}
	return busy.String()
}
