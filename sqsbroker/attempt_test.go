package sqsbroker

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// loseAnswers carries out the first n receives, and loses their answers.
func (r *rig) loseAnswers(n int) {
	r.setFault(func(action string, _ http.ResponseWriter, req *http.Request, next http.Handler) bool {
		if action != "ReceiveMessage" || n == 0 {
			return false
		}
		n--
		next.ServeHTTP(discard{}, req)
		panic(http.ErrAbortHandler)
	})
}

// upToTen receives at least one message.
func (r *rig) upToTen(t testing.TB) []*broker.Delivery {
	t.Helper()
	ds, err := r.Receive(t.Context(), "orders.fifo", 10)
	if err != nil || len(ds) == 0 {
		t.Fatalf("Receive: got %d messages, %v", len(ds), err)
	}
	return ds
}

// A lost answer holds up no group: the AWS client's tries get it, and if they
// all fail, the next receive does.
func TestLostAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		lost   int
		failed int // receives
		limit  int // of the receive after
		lease  time.Duration
		after  time.Duration
		want   string
	}{
		{"by a try", 1, 0, 10, 0, 0, "ab"},
		{"by a receive", 3, 1, 10, 0, 0, "ab"},
		{"by two receives", 6, 2, 10, 0, 0, "ab"},
		{"the next asks for fewer", 3, 1, 1, 0, 0, ""},
		{"the next asks for another lease", 3, 1, 10, time.Minute, 0, ""},
		{"the lease is over", 3, 1, 10, 0, 31 * time.Second, "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "orders.fifo")
				r.publish(t, "orders.fifo", "k", "a", "b")
				r.loseAnswers(c.lost)
				for range c.failed {
					_, err := r.Receive(t.Context(), "orders.fifo", 2)
					wantError(t, "Receive", err, broker.ErrUnavailable)
				}
				sleep(c.after)
				opts := []broker.ReceiveOption{broker.Wait(0)}
				if c.lease > 0 {
					opts = append(opts, broker.Lease(c.lease))
				}
				ds, err := r.Receive(t.Context(), "orders.fifo", c.limit, opts...)
				if got := strings.Join(bodies(ds), ""); err != nil || got != c.want {
					t.Fatalf("got %q, %v; want %q", got, err, c.want)
				}
				for _, d := range ds {
					if want := 1 + int(c.after/(31*time.Second)); d.Attempt != want {
						t.Errorf("attempt %d, want %d", d.Attempt, want)
					}
				}
				if err := r.Delete(t.Context(), ds...); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A poll that its caller gives up may have got messages all the same.
func TestAbandonedPollIsMadeAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.publish(t, "orders.fifo", "k", "a")
		ctx, cancel := context.WithCancel(t.Context())
		r.setFault(func(_ string, _ http.ResponseWriter, req *http.Request, next http.Handler) bool {
			next.ServeHTTP(discard{}, req)
			cancel()
			<-req.Context().Done()
			return true
		})
		_, err := r.Receive(ctx, "orders.fifo", 10)
		wantError(t, "Receive", err, context.Canceled)
		r.setFault(nil)
		if d := r.upToTen(t)[0]; d.Attempt != 1 {
			t.Errorf("got %+v", d)
		}
	})
}

// The time that a poll waits is not that of what it gets: with a lease that is
// shorter than the wait, what it got is found as well.
func TestAbandonedLongPollIsMadeAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.none(t, "orders.fifo")
		ctx, cancel := context.WithCancel(t.Context())
		r.setFault(func(action string, _ http.ResponseWriter, req *http.Request, next http.Handler) bool {
			if action != "ReceiveMessage" {
				return false
			}
			next.ServeHTTP(discard{}, req)
			cancel()
			<-req.Context().Done()
			return true
		})
		var publishing sync.WaitGroup
		publishing.Go(func() {
			time.Sleep(15 * time.Second)
			r.publish(t, "orders.fifo", "k", "a", "b")
		})
		_, err := r.Receive(ctx, "orders.fifo", 10, broker.Lease(10*time.Second))
		wantError(t, "Receive", err, context.Canceled)
		publishing.Wait()
		r.setFault(nil)
		ds, err := r.Receive(t.Context(), "orders.fifo", 10, broker.Wait(0), broker.Lease(10*time.Second))
		if err != nil || len(ds) == 0 || string(ds[0].Body) != "a" {
			t.Errorf("got %v, %v", bodies(ds), err)
		}
	})
}

// SQS refuses an id that was throttled, and one whose messages have been dealt
// with.
func TestSpentAttempts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.publish(t, "orders.fifo", "k", "a")
		var ids []string
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			if action != "ReceiveMessage" {
				return false
			}
			var in struct {
				ID string `json:"ReceiveRequestAttemptId"`
			}
			body, err := io.ReadAll(req.Body)
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			if err != nil || in.ID == "" || slices.Contains(ids, in.ID) {
				t.Errorf("%v; id %q again, after %q", err, in.ID, ids)
			}
			req.Body = io.NopCloser(strings.NewReader(string(body)))
			if ids = append(ids, in.ID); len(ids) < 3 {
				writeError(w, http.StatusBadRequest, "RequestThrottled")
				return true
			}
			next.ServeHTTP(w, req)
			return true
		})
		d := r.upToTen(t)[0]
		if len(ids) != 3 {
			t.Errorf("%d tries, want 3", len(ids))
		}
		r.setFault(nil)
		if err := r.Release(t.Context(), 0, d); err != nil {
			t.Fatal(err)
		}

		r.loseAnswers(3)
		_, err := r.Receive(t.Context(), "orders.fifo", 10)
		wantError(t, "Receive", err, broker.ErrUnavailable)
		sleep(time.Second)
		r.publish(t, "orders.fifo", "l", "b")
		q, err := r.find("orders.fifo")
		if err != nil {
			t.Fatal(err)
		}
		at := q.lost.all[0]
		q.lost.keep(at) // made twice: the first gets "a" and deletes it
		if err := r.Delete(t.Context(), r.upToTen(t)...); err != nil {
			t.Fatal(err)
		}
		if got := bodies(r.upToTen(t)); !slices.Equal(got, []string{"b"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestThrottledForGood(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.none(t, "orders.fifo")
		r.called()
		r.fail("ReceiveMessage", 400, "ThrottlingException")
		_, err := r.Receive(t.Context(), "orders.fifo", 10)
		wantError(t, "Receive", err, broker.ErrThrottled)
		if n := r.called()["ReceiveMessage"]; n != entryTries {
			t.Errorf("%d tries, want %d", n, entryTries)
		}
	})
}

func TestLostAttemptsAreBounded(t *testing.T) {
	var l lostAttempts
	p := &poll{limit: 10, lease: time.Minute}
	for range 3 * maxLost {
		l.keep(newAttempt(p))
	}
	if len(l.all) != maxLost {
		t.Errorf("%d are kept, want %d", len(l.all), maxLost)
	}
}
