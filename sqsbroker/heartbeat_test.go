package sqsbroker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Many handlers that outlast their leases lose none of them, also where calls
// are slow, or refused often.
func TestHeartbeatsOfMany(t *testing.T) {
	for _, c := range []struct {
		name      string
		handlers  int
		delay     time.Duration
		throttled int // of ten calls
	}{
		{"a slow network", 100, 2 * time.Second, 0},
		{"throttling", 200, 5 * time.Millisecond, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				r.fill(t, c.handlers)
				r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					time.Sleep(c.delay)
					if action == "ChangeMessageVisibilityBatch" && rand.IntN(10) < c.throttled {
						writeError(w, http.StatusForbidden, "RequestThrottled")
					} else {
						next.ServeHTTP(w, req)
					}
					return true
				})
				finish := make(chan struct{})
				sub, err := r.Subscribe(t.Context(), "jobs", func(ctx context.Context, _ *broker.Delivery) error {
					select {
					case <-finish:
					case <-ctx.Done():
					}
					return nil
				}, workers, broker.Concurrency(c.handlers))
				if err != nil {
					t.Fatal(err)
				}
				sleep(3 * time.Minute)
				if n := sub.Counts(); n.Received != uint64(c.handlers) || n.LeasesLost != 0 || n.Extended < 8*n.Received {
					t.Errorf("got %+v", n)
				}
				r.setFault(nil)
				close(finish)
				if _, err := sub.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// fill publishes n messages to the queue jobs.
func (r *rig) fill(t *testing.T, n int) {
	t.Helper()
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i] = broker.Message{Subject: "jobs", Body: fmt.Append(nil, i)}
	}
	if _, err := r.PublishBatch(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
}

// The calls for many go at once, within bounds, but for releases on a FIFO
// queue, whose order matters.
func TestSettlingManyAtOnce(t *testing.T) {
	do := map[string]func(r *rig, ds []*broker.Delivery) error{
		"extend":  func(r *rig, ds []*broker.Delivery) error { return r.Extend(context.Background(), time.Hour, ds...) },
		"release": func(r *rig, ds []*broker.Delivery) error { return r.Release(context.Background(), time.Hour, ds...) },
		"delete":  func(r *rig, ds []*broker.Delivery) error { return r.Delete(context.Background(), ds...) },
	}
	for _, c := range []struct {
		queue, do string
		n         int
		want      time.Duration // a call takes a second
		atOnce    int
	}{
		{"jobs", "extend", 640, time.Second, 64},
		{"jobs", "release", 641, 2 * time.Second, 64},
		{"jobs", "delete", 50, time.Second, 5},
		{"orders.fifo", "extend", 50, time.Second, 5},
		{"orders.fifo", "delete", 50, time.Second, 5},
		{"orders.fifo", "release", 50, 5 * time.Second, 1},
	} {
		t.Run(c.queue+" "+c.do, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, c.queue)
				var ds []*broker.Delivery
				for i := 0; i < c.n; i += 10 {
					batch := make([]broker.Message, min(10, c.n-i))
					for j := range batch {
						batch[j] = broker.Message{Subject: c.queue, Body: fmt.Append(nil, i, j)}
						if c.queue == "orders.fifo" {
							batch[j].Key, batch[j].DedupID = fmt.Sprint(i), fmt.Sprint(i, ".", j)
						}
					}
					if _, err := r.PublishBatch(t.Context(), batch); err != nil {
						t.Fatal(err)
					}
					ds = append(ds, r.take(t, c.queue, len(batch))...)
				}
				var mu sync.Mutex
				now, most := 0, 0
				r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(time.Second)
					next.ServeHTTP(w, req)
					mu.Lock()
					now--
					mu.Unlock()
					return true
				})
				begin := time.Now()
				if err := do[c.do](r, ds); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took != c.want || most != c.atOnce {
					t.Errorf("it took %v, with %d calls at once; want %v, %d", took, most, c.want, c.atOnce)
				}
			})
		})
	}
}

// However long the AWS client would like to pause, all its tries are made in the
// time that a heartbeat has.
func TestTriesOfAHeartbeat(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "43200")
		r.fill(t, 1)
		d := r.take(t, "jobs", 1)[0]
		r.fail("ChangeMessageVisibilityBatch", http.StatusForbidden, "RequestThrottled")
		for range 40 { // the client has retries for no more
			r.called()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := r.Extend(ctx, time.Hour, d)
			cancel()
			wantError(t, "Extend", err, broker.ErrThrottled)
			if n := r.called()["ChangeMessageVisibilityBatch"]; n != 3 {
				t.Fatalf("%d tries within a second, want the client's 3", n)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Nor are the pauses of a call without a deadline those of the AWS client, which
// are 20 s at most: a lease may hang on it.
func TestTriesWithoutADeadline(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "43200")
		r.fill(t, 1)
		d := r.take(t, "jobs", 1)[0]
		r.fail("ChangeMessageVisibilityBatch", http.StatusForbidden, "RequestThrottled")
		for range 40 { // the pauses are chance
			r.called()
			begin := time.Now()
			wantError(t, "Extend", r.Extend(t.Context(), time.Hour, d), broker.ErrThrottled)
			if took, n := time.Since(begin), r.called()["ChangeMessageVisibilityBatch"]; n != 3 || took > 2*maxPause {
				t.Fatalf("%d tries in %v, want 3 with pauses of %v at most", n, took, maxPause)
			}
			time.Sleep(time.Minute)
		}
	})
}
