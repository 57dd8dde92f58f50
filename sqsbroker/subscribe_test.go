package sqsbroker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

const workers = broker.Group("workers")

func nothing(context.Context, *broker.Delivery) error { return nil }

func TestSubscribe(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		var mu sync.Mutex
		got := map[string]int{}
		sub, err := r.Subscribe(t.Context(), "jobs", func(_ context.Context, d *broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			got[string(d.Body)]++
			return nil
		}, workers, broker.Concurrency(4))
		if err != nil {
			t.Fatal(err)
		}
		r.publish(t, "jobs", "", "a", "b", "c", "d", "e", "f")
		sleep(time.Second)
		mu.Lock()
		if len(got) != 6 || sub.Counts().Deleted != 6 {
			t.Errorf("got %v, %+v", got, sub.Counts())
		}
		mu.Unlock()
		sleep(time.Hour)
		if c := sub.Counts(); c.Received != 6 {
			t.Errorf("an hour later: %+v", c)
		}
	})
}

// Leases are kept alive: a handler that takes three times as long runs once, and
// on a FIFO queue what is behind it in its group waits.
func TestSlowHandlerRunsOnce(t *testing.T) {
	for _, c := range []struct {
		queue, key string
		bodies     []string
	}{
		{"jobs", "", []string{"slow"}},
		{"orders.fifo", "k", []string{"slow", "next"}},
	} {
		t.Run(c.queue, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, c.queue)
				var mu sync.Mutex
				var ran []string
				sub, err := r.Subscribe(t.Context(), c.queue, func(ctx context.Context, d *broker.Delivery) error {
					body := string(d.Body)
					if body == "slow" {
						select {
						case <-time.After(90 * time.Second):
						case <-ctx.Done():
							body = context.Cause(ctx).Error()
						}
					}
					mu.Lock()
					defer mu.Unlock()
					ran = append(ran, body)
					return nil
				}, workers, broker.Concurrency(3))
				if err != nil {
					t.Fatal(err)
				}
				r.publish(t, c.queue, c.key, c.bodies...)
				sleep(10 * time.Minute)
				n := uint64(len(c.bodies))
				if k := sub.Counts(); k.Received != n || k.Deleted != n || k.Extended < 3 || k.LeasesLost != 0 || k.Failed != 0 {
					t.Errorf("got %+v", k)
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(ran, c.bodies) {
					t.Errorf("handlers that ended: %q, want %q", ran, c.bodies)
				}
				if n := r.called()["ChangeMessageVisibilityBatch"]; n < 3 || n > 12 {
					t.Errorf("%d extensions of a lease of 30 s in 90 s", n)
				}
			})
		})
	}
}

func TestDeadLetterAfterAttempts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		var attempts []int
		sub, err := r.Subscribe(t.Context(), "jobs", func(_ context.Context, d *broker.Delivery) error {
			attempts = append(attempts, d.Attempt)
			return errors.New("poison")
		}, workers)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(t, "jobs", "", "a")
		sleep(time.Hour)
		if !slices.Equal(attempts, []int{1, 2, 3}) || sub.Counts().Failed != 3 {
			t.Errorf("attempts %v, %+v", attempts, sub.Counts())
		}
		if d := r.take(t, "dead", 1)[0]; string(d.Body) != "a" {
			t.Errorf("got %+v", d)
		}
	})
}

func TestHandlerRejects(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		sub, err := r.Subscribe(t.Context(), "jobs", func(context.Context, *broker.Delivery) error {
			return broker.Reject(errors.New("malformed"))
		}, workers)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "dead", 1)[0]
		if d.Header[broker.RejectReasonHeader] != "malformed" {
			t.Errorf("got %+v", d)
		}
		sleep(time.Hour)
		if c := sub.Counts(); c.Received != 1 || c.Rejected != 1 {
			t.Errorf("got %+v", c)
		}
	})
}

// One failure holds back its own key and no other, and nothing is overtaken.
func TestOrderOfKeysSurvivesFailures(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		for i := range 12 {
			r.publish(t, "orders.fifo", []string{"a", "b"}[i%2], string(rune('A'+i)))
		}
		var mu sync.Mutex
		done := map[string]string{}
		_, err := r.Subscribe(t.Context(), "orders.fifo", func(_ context.Context, d *broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if d.Attempt == 1 && (string(d.Body) == "C" || string(d.Body) == "H") {
				return errors.New("once")
			}
			done[d.Key] += string(d.Body)
			return nil
		}, workers, broker.Concurrency(10))
		if err != nil {
			t.Fatal(err)
		}
		sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if done["a"] != "ACEGIK" || done["b"] != "BDFHJL" {
			t.Errorf("got %v", done)
		}
	})
}

func TestSubscribeRefuses(t *testing.T) {
	inBubble(t, &Options{Queues: map[string]string{"alias": "jobs"}}, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for _, c := range []struct {
			name, queue string
			opts        []broker.SubscribeOption
			want        error
		}{
			{"no group", "jobs", nil, errors.ErrUnsupported},
			{"fan-out", "orders.*", nil, errors.ErrUnsupported},
			{"no queue", "none", []broker.SubscribeOption{workers}, broker.ErrNotFound},
			{"no name", "orders.placed", []broker.SubscribeOption{workers}, broker.ErrInvalid},
			{"a lease over 12 h", "jobs", []broker.SubscribeOption{workers, broker.Lease(13 * time.Hour)}, errors.ErrUnsupported},
			{"an option of somebody else", "jobs", []broker.SubscribeOption{workers, strangeSubscribe{}}, errors.ErrUnsupported},
		} {
			_, err := r.Subscribe(t.Context(), c.queue, nothing, c.opts...)
			wantError(t, c.name, err, c.want)
		}
		_, err := r.Subscribe(t.Context(), "jobs", nil, workers)
		wantError(t, "no handler", err, broker.ErrInvalid)

		first, err := r.Subscribe(t.Context(), "jobs", nothing, workers)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Subscribe(t.Context(), "alias", nothing, broker.Group("others"))
		wantError(t, "a second group", err, errors.ErrUnsupported)
		if _, err := first.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Subscribe(t.Context(), "alias", nothing, broker.Group("others")); err != nil {
			t.Errorf("another group after the first is gone: %v", err)
		}
	})
}

type strangeSubscribe struct{}

func (strangeSubscribe) SubscribeOption() {}

func TestCloseDrains(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		begun := make(chan struct{})
		_, err := r.Subscribe(t.Context(), "jobs", func(_ context.Context, d *broker.Delivery) error {
			if string(d.Body) == "follow-up" {
				return nil
			}
			close(begun)
			time.Sleep(10 * time.Second)
			_, err := r.Publish(context.Background(), broker.Message{Subject: "jobs", Body: []byte("follow-up")})
			return err
		}, workers)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(t, "jobs", "", "a")
		<-begun
		for range 2 {
			if err := r.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if n := r.called()["DeleteMessageBatch"]; n != 1 {
			t.Errorf("%d deletes, want one: of the message in hand", n)
		}
		for name, err := range afterClose(t, r) {
			wantError(t, name, err, broker.ErrClosed)
		}
		if c := r.called(); len(c) != 0 {
			t.Errorf("calls after Close: %v", c)
		}
	})
}

func afterClose(t *testing.T, r *rig) map[string]error {
	t.Helper()
	ctx := t.Context()
	_, publish := r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte("a")})
	_, batch := r.PublishBatch(ctx, []broker.Message{{Subject: "jobs", Body: []byte("a")}})
	_, receive := r.Receive(ctx, "jobs", 1)
	_, subscribe := r.Subscribe(ctx, "jobs", nothing, workers)
	_, describe := r.Describe(ctx, "jobs")
	return map[string]error{
		"Publish": publish, "PublishBatch": batch, "Receive": receive, "Subscribe": subscribe, "Describe": describe,
		"Delete": r.Delete(ctx, nil), "Extend": r.Extend(ctx, 0, nil), "Release": r.Release(ctx, 0, nil),
		"Reject": r.Reject(ctx, "", nil), "Ping": r.Ping(ctx),
	}
}

func TestLogsNoContent(t *testing.T) {
	var log bytes.Buffer
	inBubble(t, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		told := make(chan struct{}, 1)
		_, err := r.Subscribe(t.Context(), "jobs", func(context.Context, *broker.Delivery) error { return errors.New("poison") },
			workers, broker.OnError(func(context.Context, *broker.Delivery, error) {
				select {
				case told <- struct{}{}:
				default:
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		m := broker.Message{Subject: "jobs", Body: []byte("secret-body"), Header: broker.Header{"h": "secret-value"}}
		if _, err := r.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		<-told
		synctest.Wait()
	})
	if got := log.String(); !strings.Contains(got, "poison") || strings.Contains(got, "secret") {
		t.Errorf("log: %s", got)
	}
}

// SQS holds no message for longer than 12 hours: a handler that takes longer is
// told, before somebody else gets the message.
func TestTwelveHoursOfWork(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		begin := time.Now()
		var took []time.Duration
		_, err := r.Subscribe(t.Context(), "jobs", func(ctx context.Context, d *broker.Delivery) error {
			if d.Attempt > 1 {
				took = append(took, time.Since(begin))
				return nil
			}
			<-ctx.Done()
			took = append(took, time.Since(begin))
			wantError(t, "the cause", context.Cause(ctx), broker.ErrLeaseLost)
			return context.Cause(ctx)
		}, workers, broker.Lease(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		sleep(13 * time.Hour)
		if len(took) != 2 || took[0] < 11*time.Hour+45*time.Minute || took[0] > 12*time.Hour || took[1] < took[0] {
			t.Errorf("got %v", took)
		}
	})
}
