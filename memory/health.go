package memory

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/subject"
)

var (
	_ broker.HealthReporter = (*SQS)(nil)
	_ broker.HealthReporter = (*CoreNATS)(nil)
	_ broker.HealthReporter = (*Broker)(nil)
)

// Health implements [broker.HealthReporter]. Its counts are exact, unlike those
// of SQS; what SQS does not tell, such as a message's age, is unknown here too.
func (b *SQS) Health(ctx context.Context, destination string) (broker.Health, error) {
	q, err := b.begin(ctx, OpHealth, destination)
	if err != nil {
		return broker.Health{}, err
	}
	if err := b.failure(OpHealth); err != nil {
		return broker.Health{}, err
	}
	stats, err := b.engine.Stats(q.name)
	if err != nil {
		return broker.Health{}, engineFailed(OpHealth, destination, err)
	}
	const untold = contract + "GetQueueAttributes does not report it"
	h := broker.Health{
		Destination: destination,
		Ready:       count(stats.Ready, "ApproximateNumberOfMessages"),
		InFlight:    count(stats.InFlight, "ApproximateNumberOfMessagesNotVisible"),
		Delayed:     count(stats.Delayed, "ApproximateNumberOfMessagesDelayed"),
		OldestAge:   broker.Unknown[time.Duration](untold),
		Dropped:     broker.None[int64](contract + "a queue waits for its readers"),
		Unchanged:   broker.Unknown[time.Duration]("memory does not note when a queue was changed"),
	}
	b.deadLetterHealth(&h, q)
	return h, nil
}

func count(n int, attribute string) broker.Fact[int64] {
	return broker.Known(int64(n), contract+attribute)
}

func (b *SQS) deadLetterHealth(h *broker.Health, q *settings) {
	const policy = contract + "RedrivePolicy"
	if q.options.DeadLetter == "" {
		h.DeadLetterExists = broker.None[bool](policy)
		h.DeadLetterReady = broker.None[int64](policy)
		h.DeadLetterOldest = broker.None[time.Duration](policy)
		h.DeadLetterRetention = broker.None[time.Duration](policy)
		h.DeadLetterKeepsAge = broker.None[bool](policy)
		return
	}
	dead := b.settingsOf(q.options.DeadLetter)
	h.DeadLetterExists = broker.Known(dead.name != "", policy)
	if dead.name == "" {
		return
	}
	if stats, err := b.engine.Stats(dead.name); err == nil {
		h.DeadLetterReady = count(stats.Ready, "ApproximateNumberOfMessages of "+dead.name)
		h.DeadLetterOldest = oldest(stats)
	}
	h.DeadLetterRetention = broker.Known(dead.options.Retention, contract+"MessageRetentionPeriod of "+dead.name)
	h.DeadLetterKeepsAge = broker.Known(!q.rules.FIFO, contract+"DG setting-up-dead-letter-queue-retention")
}

// oldest is known to the engine, and to nobody who reads SQS's attributes: only
// that there is no message is reported there too.
func oldest(s queue.Stats) broker.Fact[time.Duration] {
	if s.Ready+s.InFlight+s.Delayed == 0 {
		return broker.None[time.Duration](contract + "the queue is empty")
	}
	return broker.Unknown[time.Duration](contract + "GetQueueAttributes does not report it")
}

// Health implements [broker.HealthReporter]: core NATS stores nothing, so all
// that there is to tell is what was dropped.
func (b *CoreNATS) Health(ctx context.Context, destination string) (broker.Health, error) {
	if err := b.open(ctx, OpHealth, destination); err != nil {
		return broker.Health{}, err
	}
	native := b.address(destination)
	if err := natsrules.CheckSubject(native); err != nil {
		return broker.Health{}, err
	}
	if err := b.failure(OpHealth); err != nil {
		return broker.Health{}, err
	}
	dropped := b.subs.Dropped(func(pattern string) bool { return subject.Match(b.address(pattern), native) })
	return natsrules.Health(destination, dropped), nil
}

// Health implements [broker.HealthReporter].
func (b *Broker) Health(ctx context.Context, destination string) (broker.Health, error) {
	if b.queues.has(destination) {
		return b.queues.Health(ctx, destination)
	}
	return b.subjects.Health(ctx, destination)
}
