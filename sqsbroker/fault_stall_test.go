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
