// Package stories tells what the consumer runtime has to stand on any queue with
// leases: slow handlers, consumers that die, poison, shutdown under load. The same
// stories run in virtual time on what is in the process, and in real time on
// servers. It is for tests.
package stories

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Stage is what a story is played on.
type Stage struct {
	Broker interface {
		broker.Publisher
		broker.Subscriber
		broker.Receiver
	}
	FIFO  bool
	Lease time.Duration // of every queue; SQS waits for no message longer than twice 10 s
	// Queue makes a queue, and the dead-letter queue in which a message comes to
	// rest after so many attempts.
	Queue func(t *testing.T, attempts int) (queue, dead string)
	// Real is set where time is real: a busy machine may lose leases there, and
	// with them attempts that no report tells of.
	Real bool
}

// All are the stories by name.
var All = []struct {
	Name string
	Tell func(t *testing.T, s *Stage)
}{
	{"slow handler runs once", slowHandler},
	{"messages of a killed consumer come back", killedConsumer},
	{"poison is dead-lettered after the limit", poison},
	{"shutdown under load loses nothing", shutdown},
}

const workers = broker.Group("workers")

// publish sends n messages, on a FIFO queue of 40 keys.
func (s *Stage) publish(t *testing.T, queue string, n int) {
	t.Helper()
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i] = broker.Message{Subject: queue, Body: fmt.Append(nil, i)}
		if s.FIFO {
			ms[i].Key, ms[i].DedupID = fmt.Sprint(i%40), fmt.Sprint(i)
		}
	}
	if _, err := s.Broker.PublishBatch(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
}

func (s *Stage) subscribe(t *testing.T, queue string, slots int, h broker.Handler) *broker.Subscription {
	t.Helper()
	sub, err := s.Broker.Subscribe(t.Context(), queue, h, workers, broker.Concurrency(slots))
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// empty proves that nothing comes any more: it outlasts the lease twice.
func (s *Stage) empty(t *testing.T, queue string) {
	t.Helper()
	for range 2 {
		ds, err := s.Broker.Receive(t.Context(), queue, 10, broker.Wait(2*s.Lease))
		if err != nil || len(ds) != 0 {
			t.Errorf("%d messages are left: %v", len(ds), err)
		}
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

func drain(t *testing.T, sub *broker.Subscription) {
	t.Helper()
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// work takes d, unless it is interrupted.
func work(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func slowHandler(t *testing.T, s *Stage) {
	queue, _ := s.Queue(t, 5)
	done := make(chan error, 100)
	sub := s.subscribe(t, queue, 1, func(ctx context.Context, _ *broker.Delivery) error {
		err := work(ctx, 3*s.Lease)
		done <- err
		return err
	})
	s.publish(t, queue, 1)
	if err := await(t, "the handler", done); err != nil {
		t.Errorf("the handler was cancelled: %v", err)
	}
	drain(t, sub)
	s.empty(t, queue)
	if c := sub.Counts(); len(done) != 0 || c.Extended == 0 || c.Deleted != 1 {
		t.Errorf("%d further calls, %+v", len(done), c)
	}
}

func killedConsumer(t *testing.T, s *Stage) {
	queue, _ := s.Queue(t, 5)
	s.publish(t, queue, 10)
	taken, err := s.Broker.Receive(t.Context(), queue, 10) // a consumer that dies with these in hand
	if err != nil || len(taken) == 0 {
		t.Fatalf("%d messages, %v", len(taken), err)
	}
	seen := make(chan *broker.Delivery, 100)
	sub := s.subscribe(t, queue, 10, func(_ context.Context, d *broker.Delivery) error {
		seen <- d
		return nil
	})
	again := 0
	ids := map[string]bool{}
	for len(ids) < 10 {
		d := await(t, "a message", seen)
		ids[d.ID] = true
		if d.Attempt > 1 {
			again++
		}
	}
	drain(t, sub)
	if again < len(taken) {
		t.Errorf("%d came with a second attempt, want the %d that were taken", again, len(taken))
	}
}

func poison(t *testing.T, s *Stage) {
	const attempts = 3
	queue, dead := s.Queue(t, attempts)
	calls := make(chan int, 100)
	sub := s.subscribe(t, queue, 1, func(_ context.Context, d *broker.Delivery) error {
		calls <- d.Attempt
		return broker.RetryAfter(0, errors.New("poison"))
	})
	s.publish(t, queue, 1)
	var ds []*broker.Delivery
	var err error
	for began := time.Now(); err == nil && len(ds) == 0 && time.Since(began) < time.Minute; {
		ds, err = s.Broker.Receive(t.Context(), dead, 1, broker.Wait(time.Second))
	}
	if err != nil || len(ds) != 1 {
		t.Fatalf("the dead-letter queue has %d messages, %v", len(ds), err)
	}
	if err := s.Broker.Delete(t.Context(), ds...); err != nil {
		t.Error(err)
	}
	drain(t, sub)
	if n := len(calls); n != attempts {
		t.Errorf("the handler ran %d times, want %d", n, attempts)
	}
	s.empty(t, queue)
}

// shutdown drains in the midst of the work, again and again, every other time with
// no patience. What the reports say that it cost is what it did cost.
func shutdown(t *testing.T, s *Stage) {
	const messages, slots = 200, 20
	queue, dead := s.Queue(t, 100)
	s.publish(t, queue, messages)
	var mu sync.Mutex
	attempts := map[string]int{} // at which each was handled
	var sum broker.Report
	drains := 0
	for len(attempts) < messages && drains < 50 {
		begun := make(chan struct{}, messages)
		sub := s.subscribe(t, queue, slots, func(ctx context.Context, d *broker.Delivery) error {
			begun <- struct{}{}
			if err := work(ctx, 50*time.Millisecond); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			attempts[string(d.Body)] = d.Attempt
			return nil
		})
		over := time.After(3 * s.Lease)
		for n := 0; n < slots*3/4; n++ {
			select {
			case <-begun:
			case <-over: // these were the last few
				n = slots
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(drains%2)*200*time.Millisecond)
		report, err := sub.Drain(ctx)
		cancel()
		if report.Abandoned != 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %+v, %v", report, err)
		}
		drains++
		sum.Finished += report.Finished
		sum.Released += report.Released
	}
	mu.Lock()
	defer mu.Unlock()
	cost := 0
	for i := range messages {
		n := attempts[fmt.Sprint(i)]
		if n == 0 {
			t.Errorf("message %d was lost", i)
		}
		cost += n - 1
	}
	t.Logf("%d messages over %d drains, with %d in hand that were finished and %d released; %d attempts more than messages",
		messages, drains, sum.Finished, sum.Released, cost)
	if sum.Released == 0 || !s.Real && cost != sum.Released {
		t.Errorf("it cost %d attempts, of which the reports say %d", cost, sum.Released)
	}
	s.empty(t, queue)
	s.empty(t, dead)
}
