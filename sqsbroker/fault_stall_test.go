package sqsbroker

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// A call that a dead connection swallows is given up some time after it should
// have been answered, and what it was made for is done all the same: no
// consumer stands still for good.
func TestStalledCallsAreGivenUp(t *testing.T) {
	for _, action := range []string{"ReceiveMessage", "GetQueueAttributes", "GetQueueUrl"} {
		t.Run(action, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				handled := make(chan struct{}, 1)
				var stalled atomic.Bool
				r.setFault(func(got string, _ http.ResponseWriter, req *http.Request, _ http.Handler) bool {
					if got != action || !stalled.CompareAndSwap(false, true) {
						return false
					}
					hang(req)
					return true
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if _, err := r.Subscribe(ctx, "jobs", func(context.Context, *broker.Delivery) error {
					handled <- struct{}{}
					return nil
				}, workers); err != nil {
					t.Fatal(err)
				}
				r.publish(t, "jobs", "", "a")
				select {
				case <-handled:
				case <-time.After(5 * time.Minute):
					t.Error("the consumer stands still")
				}
			})
		})
	}
}

// Nor does whoever calls without a deadline: a send that was swallowed is made
// again, and the receipt tells when SQS has the message.
func TestStalledCallsWithoutADeadline(t *testing.T) {
	for action, call := range map[string]func(context.Context, *rig, *broker.Delivery) error{
		"SendMessage": func(ctx context.Context, r *rig, _ *broker.Delivery) error {
			_, err := r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte("b")})
			return err
		},
		"SendMessageBatch": func(ctx context.Context, r *rig, _ *broker.Delivery) error {
			_, err := r.PublishBatch(ctx, []broker.Message{{Subject: "jobs", Body: []byte("b")}, {Subject: "jobs", Body: []byte("c")}})
			return err
		},
		"DeleteMessageBatch": func(ctx context.Context, r *rig, d *broker.Delivery) error { return r.Delete(ctx, d) },
		"ChangeMessageVisibilityBatch": func(ctx context.Context, r *rig, d *broker.Delivery) error {
			return r.Extend(ctx, time.Hour, d)
		},
	} {
		t.Run(action, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				r.publish(t, "jobs", "", "a")
				d := r.take(t, "jobs", 1, broker.Lease(time.Hour))[0]
				var stalled atomic.Bool
				r.setFault(func(got string, _ http.ResponseWriter, req *http.Request, _ http.Handler) bool {
					if got != action || !stalled.CompareAndSwap(false, true) {
						return false
					}
					hang(req)
					return true
				})
				done := make(chan error)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { done <- call(ctx, r, d) }()
				select {
				case err := <-done:
					if err != nil || !stalled.Load() {
						t.Errorf("%v, stalled %v", err, stalled.Load())
					}
				case <-time.After(5 * time.Minute):
					cancel()
					t.Error("it stands still:", <-done)
				}
			})
		})
	}
}
