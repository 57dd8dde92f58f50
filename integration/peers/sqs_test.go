package peers

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

const (
	// publishers and workers are how many there are of them.
	publishers = 64
	workers    = 64
)

// queueClient takes messages through a queue's "orders" whole life.
type queueClient interface {
	// many publishes on behalf of 64 publishers, which share the bodies.
	many(ctx context.Context, bodies [][]byte) error
	// slice publishes what one caller has in one slice.
	slice(ctx context.Context, bodies [][]byte) error
	// consume has 64 workers handle and then delete.
	consume(tb testing.TB, handle handleFunc) (stop func())
}

type openQueue func(tb testing.TB, s *sqstest.Server) queueClient

// queueClients are compared with the AWS client used well, by hand.
var queueClients = []entry[openQueue]{
	{"raw-aws-batched", newRawBatched},
	{"raw-aws-naive", newRawNaive},
	{"candidmq", newCandidQueue()},
	{"candidmq-prefetch", newCandidQueue(broker.Prefetch(workers))},
	{"gocloud-awssnssqs", newGocloudQueue},
	{"watermill-aws", newWatermillQueue(1)},
	{"watermill-aws-receive10", newWatermillQueue(10)},
}

// endpoint is sqstest with the queue. It knows when messages are deleted,
// whatever their client believes.
type endpoint struct {
	*sqstest.Server
	deleted chan struct{} // closed when all are
}

// newEndpoint is for n messages.
func newEndpoint(tb testing.TB, n int, latency time.Duration) *endpoint {
	tb.Helper()
	network := sqstest.NewFaults(1, sqstest.FaultPlan{Latency: latency})
	e := &endpoint{sqstest.NewServer(&sqstest.Options{Wrap: network.Wrap}), make(chan struct{})}
	tb.Cleanup(e.Close)
	if err := e.CreateQueue(orders, nil); err != nil {
		tb.Fatal(err)
	}
	e.Observe(func(event sqstest.Event) { // one at a time
		if event.Kind != sqstest.EventDeleted {
			return
		}
		if n--; n == 0 {
			close(e.deleted)
		}
	})
	return e
}

// wait returns when all messages are deleted.
func (e *endpoint) wait(tb testing.TB) {
	tb.Helper()
	select {
	case <-e.deleted:
	case <-time.After(2 * patience):
		tb.Fatal("waited in vain until all were deleted")
	}
}

// calls are those made so far, which is what SQS bills, without the long polls
// that still wait: they are for messages to come.
func (e *endpoint) calls(tb testing.TB) (n int) {
	tb.Helper()
	for _, of := range e.Calls() {
		n += of
	}
	stats, err := e.Stats(orders)
	if err != nil {
		tb.Fatal(err)
	}
	return n - stats.Polls
}

func TestSQS(t *testing.T) {
	for _, c := range queueClients {
		t.Run(c.name, func(t *testing.T) {
			t.Run("many", func(t *testing.T) { testQueue(t, c.way, queueClient.many) })
			t.Run("slice", func(t *testing.T) { testQueue(t, c.way, queueClient.slice) })
		})
	}
}

func testQueue(t *testing.T, open openQueue, publish func(queueClient, context.Context, [][]byte) error) {
	t.Helper()
	e, in := newEndpoint(t, 100, 0), newInbox()
	client := open(t, e.Server)
	if err := publish(client, t.Context(), bodies(100)); err != nil {
		t.Fatal(err)
	}
	stop := client.consume(t, in.handle)
	in.want(t, 100)
	e.wait(t)
	stop()
}

// BenchmarkSQSMany has 64 publishers and 64 workers at the same time, each call
// taking 5 ms. An iteration is 1,600 messages, from the first publish to the
// last delete; opening and stopping are not timed.
func BenchmarkSQSMany(b *testing.B) {
	benchmarkQueue(b, 1600, func(b *testing.B, c queueClient, bodies [][]byte) (stop func()) {
		stop = c.consume(b, func([]byte) {})
		if err := c.many(b.Context(), bodies); err != nil {
			b.Fatal(err)
		}
		return stop
	})
}

// BenchmarkSQSSlice has one caller publish 400 messages that it has in a slice,
// and then 64 workers work them off.
func BenchmarkSQSSlice(b *testing.B) {
	benchmarkQueue(b, 400, func(b *testing.B, c queueClient, bodies [][]byte) (stop func()) {
		if err := c.slice(b.Context(), bodies); err != nil {
			b.Fatal(err)
		}
		return c.consume(b, func([]byte) {})
	})
}

// benchmarkQueue begins the lives of n messages an iteration with a round, and
// waits for their ends.
func benchmarkQueue(b *testing.B, n int, round func(b *testing.B, c queueClient, bodies [][]byte) (stop func())) {
	all := slices.Repeat([][]byte{body}, n)
	contest(b, queueClients, func(b *testing.B, open openQueue) {
		calls := 0
		for range b.N {
			b.StopTimer()
			e := newEndpoint(b, n, 5*time.Millisecond) // polls of a round before may still be on their way to another
			client := open(b, e.Server)
			b.StartTimer()
			stop := round(b, client, all)
			e.wait(b)
			b.StopTimer()
			calls += e.calls(b)
			stop()
			e.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(calls)/float64(b.N*n), "calls/msg")
		b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "msg/s")
	})
}

// each has 64 publishers share the bodies.
func each(ctx context.Context, bodies [][]byte, publish publishFunc) error {
	return share(publishers, len(bodies), func(i int) error { return publish(ctx, bodies[i]) })
}

type candidQueue struct {
	*sqsbroker.Broker
	options []broker.SubscribeOption
}

func newCandidQueue(opts ...broker.SubscribeOption) openQueue {
	opts = append([]broker.SubscribeOption{broker.Group("g"), broker.Concurrency(workers)}, opts...)
	return func(tb testing.TB, s *sqstest.Server) queueClient {
		tb.Helper()
		b, err := sqsbroker.New(s.Client(), nil)
		if err != nil {
			tb.Fatal(err)
		}
		return candidQueue{b, opts}
	}
}

func (q candidQueue) many(ctx context.Context, bodies [][]byte) error {
	return each(ctx, bodies, publishTo(q))
}

func (q candidQueue) slice(ctx context.Context, bodies [][]byte) error {
	ms := make([]broker.Message, len(bodies))
	for i, body := range bodies {
		ms[i] = broker.Message{Subject: orders, Body: body}
	}
	_, err := q.PublishBatch(ctx, ms)
	return err
}

func (q candidQueue) consume(tb testing.TB, handle handleFunc) (stop func()) {
	tb.Helper()
	_, err := q.Subscribe(tb.Context(), orders, func(_ context.Context, d *broker.Delivery) error {
		handle(d.Body)
		return nil
	}, q.options...)
	if err != nil {
		tb.Fatal(err)
	}
	return func() { closeBroker(tb, q) }
}
