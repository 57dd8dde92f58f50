// Package consumer proves the consumer runtime on SQS servers that are not
// ours, and on ours in real time: leases, attempts, shutdown.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestOnElasticMQ(t *testing.T) { stories(t, containers.ElasticMQ(t), "ElasticMQ") }

func TestOnSQSTest(t *testing.T) {
	srv := sqstest.NewServer(nil)
	t.Cleanup(srv.Close)
	stories(t, srv.URL(), "sqstest")
}

// lease is the visibility timeout of every queue here: short, since the stories
// run in real time, and long enough for a server on a busy machine to answer a
// heartbeat in the half of it.
const lease = 4 * time.Second

type server struct {
	client *sqs.Client
	name   string
	fifo   bool
}

func stories(t *testing.T, endpoint, name string) {
	client := sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for _, kind := range []string{"standard", "fifo"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			s := &server{client, name, kind == "fifo"}
			t.Run("slow handler runs once", s.slowHandler)
			t.Run("messages of a killed consumer come back", s.killedConsumer)
			t.Run("poison is dead-lettered after the limit", s.poison)
			t.Run("shutdown under load loses nothing", s.shutdown)
		})
	}
}

// queue makes a queue of one test, and its dead-letter queue.
func (s *server) queue(t *testing.T, attempts int) (queue, dead string) {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name())
	name = name[max(0, len(name)-60):]
	dead = s.create(t, name+"-dead", nil)
	arn, err := s.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &dead, AttributeNames: []types.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, arn.Attributes["QueueArn"], attempts)
	return s.create(t, name, map[string]string{"RedrivePolicy": policy}), dead
}

func (s *server) create(t *testing.T, name string, attributes map[string]string) string {
	t.Helper()
	all := map[string]string{"VisibilityTimeout": fmt.Sprint(int(lease.Seconds()))}
	if s.fifo {
		name += ".fifo"
		all["FifoQueue"] = "true"
	}
	maps.Copy(all, attributes)
	made, err := s.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(made.QueueUrl)
}

func (s *server) broker(t *testing.T) *sqsbroker.Broker {
	t.Helper()
	b, err := sqsbroker.New(s.client, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// publish sends n messages, on a FIFO queue of 40 keys.
func (s *server) publish(t *testing.T, b *sqsbroker.Broker, queue string, n int) {
	t.Helper()
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i] = broker.Message{Subject: queue, Body: fmt.Append(nil, i)}
		if s.fifo {
			ms[i].Key, ms[i].DedupID = fmt.Sprint(i%40), fmt.Sprint(i)
		}
	}
	if _, err := b.PublishBatch(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
}

// await waits for a channel, and fails the test after a minute.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute for %s", what)
		panic("unreachable")
	}
}

// empty proves that nothing comes any more: it outlasts the lease twice.
func empty(t *testing.T, b *sqsbroker.Broker, queue string) {
	t.Helper()
	for range 2 {
		ds, err := b.Receive(t.Context(), queue, 10, broker.Wait(2*lease))
		if err != nil || len(ds) != 0 {
			t.Errorf("%d messages are left: %v", len(ds), err)
		}
	}
}

func (s *server) slowHandler(t *testing.T) {
	b := s.broker(t)
	queue, _ := s.queue(t, 5)
	var calls atomic.Int32
	done := make(chan error, 1)
	sub, err := b.Subscribe(t.Context(), queue, func(ctx context.Context, _ *broker.Delivery) error {
		calls.Add(1)
		work := time.NewTimer(3 * lease)
		defer work.Stop()
		select {
		case <-work.C:
			done <- nil
		case <-ctx.Done():
			done <- context.Cause(ctx)
		}
		return ctx.Err()
	}, broker.Group("workers"))
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, b, queue, 1)
	if err := await(t, "the handler", done); err != nil {
		t.Errorf("the handler was cancelled: %v", err)
	}
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	empty(t, b, queue)
	if c := sub.Counts(); calls.Load() != 1 || c.Extended == 0 || c.Deleted != 1 {
		t.Errorf("%d calls, %+v", calls.Load(), c)
	}
}

func (s *server) killedConsumer(t *testing.T) {
	b := s.broker(t)
	queue, _ := s.queue(t, 5)
	s.publish(t, b, queue, 10)
	taken, err := b.Receive(t.Context(), queue, 10) // a consumer that dies with these in hand
	if err != nil || len(taken) == 0 {
		t.Fatalf("%d messages, %v", len(taken), err)
	}
	seen := make(chan *broker.Delivery, 100)
	sub, err := b.Subscribe(t.Context(), queue, func(_ context.Context, d *broker.Delivery) error {
		seen <- d
		return nil
	}, broker.Group("workers"), broker.Concurrency(10))
	if err != nil {
		t.Fatal(err)
	}
	again := 0
	ids := map[string]bool{}
	for len(ids) < 10 {
		d := await(t, "a message", seen)
		ids[d.ID] = true
		if d.Attempt > 1 {
			again++
		}
	}
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if again < len(taken) {
		t.Errorf("%d came with a second attempt, want the %d that were taken", again, len(taken))
	}
}

func (s *server) poison(t *testing.T) {
	const attempts = 3
	b := s.broker(t)
	queue, dead := s.queue(t, attempts)
	var calls atomic.Int32
	sub, err := b.Subscribe(t.Context(), queue, func(context.Context, *broker.Delivery) error {
		calls.Add(1)
		return broker.RetryAfter(0, errors.New("poison"))
	}, broker.Group("workers"))
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, b, queue, 1)
	ds, err := b.Receive(t.Context(), dead, 1, broker.Wait(time.Second))
	for began := time.Now(); err == nil && len(ds) == 0 && time.Since(began) < time.Minute; {
		ds, err = b.Receive(t.Context(), dead, 1, broker.Wait(time.Second))
	}
	if err != nil || len(ds) != 1 {
		t.Fatalf("the dead-letter queue has %d messages, %v", len(ds), err)
	}
	if err := b.Delete(t.Context(), ds...); err != nil {
		t.Error(err)
	}
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if n := calls.Load(); n != attempts {
		t.Errorf("the handler ran %d times, want %d", n, attempts)
	}
	empty(t, b, queue)
}

func (s *server) shutdown(t *testing.T) {
	const messages = 200
	b := s.broker(t)
	queue, dead := s.queue(t, 100)
	s.publish(t, b, queue, messages)
	var mu sync.Mutex
	handled := map[string]int{}
	released, drains := 0, 0
	for len(handled) < messages && drains < 50 {
		some := make(chan struct{}, messages)
		sub, err := b.Subscribe(t.Context(), queue, func(ctx context.Context, d *broker.Delivery) error {
			some <- struct{}{}
			work := time.NewTimer(50 * time.Millisecond)
			defer work.Stop()
			select {
			case <-work.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			mu.Lock()
			handled[string(d.Body)]++
			mu.Unlock()
			return nil
		}, broker.Group("workers"), broker.Concurrency(20))
		if err != nil {
			t.Fatal(err)
		}
		for range 15 { // in the midst of the work
			select {
			case <-some:
			case <-time.After(3 * lease):
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(drains%2)*200*time.Millisecond)
		report, err := sub.Drain(ctx)
		cancel()
		if report.Abandoned != 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %+v, %v", report, err)
		}
		drains++
		released += report.Released
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range messages {
		if handled[fmt.Sprint(i)] == 0 {
			t.Errorf("message %d was lost", i)
		}
	}
	t.Logf("%s: %d messages over %d drains, which cost %d attempts", s.name, messages, drains, released)
	empty(t, b, queue)
	empty(t, b, dead)
}
