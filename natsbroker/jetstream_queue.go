package natsbroker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// consumerName is a consumer's address.
type consumerName = natsrules.Consumer

// queueName returns the consumer that a name stands for, if any.
func (j *JetStream) queueName(name string) (consumerName, bool) {
	if native, ok := j.options.Queues[name]; ok {
		return natsrules.ParseConsumer(native)
	}
	if _, named := j.options.Subjects[name]; named {
		return consumerName{}, false
	}
	return natsrules.ParseConsumer(name)
}

// fresh is how old the known configuration of a consumer may be when a message
// is received: its ack_wait may have been changed.
const fresh = time.Minute

// queue is a consumer that the broker was asked for, with what is known about
// it.
type queue struct {
	consumerName
	address string // "stream/consumer"
	next    string // the API's subject for requests
	info    string // the API's subject for the consumer's state
	seen    atomic.Pointer[consumerFacts]
	last    atomic.Uint64 // the consumer's own number of the last message that came
	idle    []*puller     // guarded by JetStream.mu
}

// consumerFacts holds what receiving needs to know about a consumer.
type consumerFacts struct {
	readAt     time.Time
	ackWait    time.Duration // 0: deliveries are not leased (ack none)
	backoff    []time.Duration
	maxBatch   int                   // 0: no limit
	maxExpires time.Duration         // 0: no limit
	maxPending int                   // of messages leased to anybody; 0: no limit
	dead       natsrules.DeadLetters // Subject "": none
}

// lease returns how long the given attempt to deliver a message is leased.
func (f *consumerFacts) lease(attempt int) time.Duration {
	if n := len(f.backoff); n > 0 && f.ackWait > 0 {
		return f.backoff[min(max(attempt, 1), n)-1]
	}
	return f.ackWait
}

// find returns the queue for a name.
func (j *JetStream) find(name string) (*queue, error) {
	n, ok := j.queueName(name)
	if !ok {
		return nil, &broker.FieldError{Field: "queue", Value: name, Limit: "a name in JetStreamOptions.Queues, or " + natsrules.ConsumerLimit}
	}
	return j.queue(n), nil
}

func (j *JetStream) queue(n consumerName) *queue {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queues[n]
	if q == nil {
		q = &queue{consumerName: n, address: n.String(), next: j.prefix + "CONSUMER.MSG.NEXT." + n.Stream + "." + n.Name,
			info: j.prefix + "CONSUMER.INFO." + n.Stream + "." + n.Name}
		j.queues[n] = q
	}
	return q
}

// count notes the numbers that the consumer gave the messages of one request,
// and reports whether it started over: none of them is above one that had come
// before the request. Then it was deleted and recreated.
func (q *queue) count(before uint64, msgs []*nats.Msg) (anew bool) {
	first, ok := parsePosition(msgs[0].Reply)
	last, _ := parsePosition(msgs[len(msgs)-1].Reply)
	anew = ok && first.consumed <= before
	for {
		seen := q.last.Load()
		if last.consumed <= seen && !anew || q.last.CompareAndSwap(seen, last.consumed) {
			return anew
		}
	}
}

// forget drops what is known about a consumer.
func (j *JetStream) forget(q *queue) {
	j.mu.Lock()
	if j.queues[q.consumerName] == q {
		delete(j.queues, q.consumerName)
	}
	j.mu.Unlock()
	j.discardIdle(q)
}

// look reads a consumer's configuration, at most maxAge old. A failed read
// leaves the earlier one in place, unless the consumer is gone.
func (j *JetStream) look(ctx context.Context, q *queue, maxAge time.Duration) (*consumerFacts, error) {
	before := q.seen.Load()
	if before != nil && time.Since(before.readAt) < maxAge {
		return before, nil
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	info, err := j.consumerInfo(ctx, q.consumerName)
	if err == nil {
		var facts *consumerFacts
		if facts, err = readConsumer(q.consumerName, &info.Config); err == nil {
			q.seen.Store(facts)
			return facts, nil
		}
	}
	gone := notFound(err) || errors.Is(err, errors.ErrUnsupported)
	if gone {
		j.forget(q)
	}
	if before != nil && ctx.Err() == nil && !gone {
		again := *before
		again.readAt = time.Now()
		q.seen.Store(&again)
		return &again, nil
	}
	return nil, err
}

func notFound(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.Is(err, jetstream.ErrConsumerDoesNotExist)
}

// consumerInfo reads a consumer of any kind.
func (j *JetStream) consumerInfo(ctx context.Context, n consumerName) (*jetstream.ConsumerInfo, error) {
	c, err := j.api.Consumer(ctx, n.Stream, n.Name)
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		push, err := j.api.PushConsumer(ctx, n.Stream, n.Name)
		if err != nil {
			return nil, err
		}
		return push.CachedInfo(), nil
	}
	if err != nil {
		return nil, err
	}
	return c.CachedInfo(), nil
}

// readConsumer refuses consumers from which messages cannot be received one at
// a time.
func readConsumer(n consumerName, c *jetstream.ConsumerConfig) (*consumerFacts, error) {
	refuse := func(why, instead string) (*consumerFacts, error) {
		return nil, &broker.UnsupportedError{Backend: jsBackend, What: "receiving from " + n.String(), Why: why, Instead: instead}
	}
	switch {
	case c.DeliverSubject != "":
		return refuse("it is a push consumer", "a pull consumer: one without a deliver_subject")
	case c.AckPolicy == jetstream.AckAllPolicy:
		return refuse("with ack_policy all, deleting one message would delete those before it too", "ack_policy explicit")
	case len(c.PriorityGroups) > 0:
		return refuse("it has priority groups, which this package does not support", "a consumer without them, or nats.go's own API")
	case c.HeadersOnly:
		return refuse("it delivers headers only, without bodies", "a consumer without headers_only")
	}
	f := &consumerFacts{
		readAt: time.Now(), ackWait: c.AckWait, backoff: c.BackOff,
		maxBatch: c.MaxRequestBatch, maxExpires: c.MaxRequestExpires,
		maxPending: max(c.MaxAckPending, 0),
		dead:       natsrules.ReadDeadLetters(c.Metadata),
	}
	if c.ReplayPolicy == jetstream.ReplayOriginalPolicy { // the pauses between messages would be those within a batch
		f.maxBatch = 1
	}
	if c.AckPolicy == jetstream.AckNonePolicy {
		f.ackWait, f.backoff, f.maxPending = 0, nil, 0
	}
	return f, nil
}

// filters returns the subjects that a consumer delivers; none means all of its
// stream's.
func filters(c *jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// delivers reports whether a consumer delivers messages published to pattern,
// and nothing else.
func delivers(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig, pattern string) bool {
	of := filters(c)
	if len(of) == 0 {
		of = stream.Subjects
	}
	return slices.Equal(of, []string{pattern})
}

// position is the information in a delivery's reply address.
type position struct {
	attempt  int
	sequence uint64 // in the stream
	consumed uint64 // how many the consumer has sent with this one
	time     time.Time
}

// parsePosition reads the reply address of a delivery:
// $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>,
// with <domain>.<account> before the stream, and a random token at the end, from
// servers that say which account it is (ADR-15).
func parsePosition(reply string) (position, bool) {
	const prefix = "$JS.ACK."
	if !strings.HasPrefix(reply, prefix) {
		return position{}, false
	}
	n := strings.Count(reply, ".")
	skip := 2
	switch {
	case n == 8:
	case n >= 10:
		skip = 4
	default:
		return position{}, false
	}
	rest := reply[len(prefix):]
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var numbers [4]int64
	for i := range numbers {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		v, err := strconv.ParseInt(token, 10, 64)
		if err != nil {
			return position{}, false
		}
		numbers[i] = v
	}
	return position{int(numbers[0]), uint64(numbers[1]), uint64(numbers[2]), time.Unix(0, numbers[3])}, true
}

// status returns the status of a message without a body that the server sends
// in place of a delivery, or "" for a delivery.
func status(msg *nats.Msg) string {
	if len(msg.Data) > 0 || msg.Reply != "" {
		return ""
	}
	return msg.Header.Get(statusHeader)
}
