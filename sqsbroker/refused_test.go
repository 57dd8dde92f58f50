package sqsbroker

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// SQS refuses a call as a whole for one message without a deduplication id. The
// others of the call, which are other callers', are stored all the same.
func TestOneBadMessageFailsNoOthers(t *testing.T) {
	changed := func(t *testing.T, r *rig) { // after they were read
		r.create(t, "orders.fifo", "ContentBasedDeduplication", "true")
		r.publish(t, "orders.fifo", "k", "before")
		r.set(t, "orders.fifo", "ContentBasedDeduplication", "false")
		r.slow(5 * time.Millisecond)
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, r *rig)
		learns  bool
	}{
		{"attributes that have changed", changed, true},
		{"attributes that may not be read", func(t *testing.T, r *rig) {
			r.create(t, "orders.fifo")
			r.setFault(func(action string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
				if action == "GetQueueAttributes" {
					writeError(w, http.StatusForbidden, "AccessDenied")
				} else {
					time.Sleep(5 * time.Millisecond)
				}
				return action == "GetQueueAttributes"
			})
			r.publish(t, "orders.fifo", "k", "before")
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				c.prepare(t, r)
				letter := func(key, body string) broker.Message {
					return broker.Message{Subject: "orders.fifo", Key: key, Body: []byte(body), DedupID: body}
				}
				ms := []broker.Message{
					letter("a", "a0"), // goes first; the others share a call
					letter("a", "a1"), letter("b", "b1"), letter("a", "a2"), {Subject: "orders.fifo", Key: "b", Body: []byte("bad")},
					letter("b", "b3"), letter("a", "a3"),
				}
				errs := make([]error, len(ms))
				r.called()
				var all sync.WaitGroup
				for i, m := range ms {
					all.Go(func() { _, errs[i] = r.Publish(t.Context(), m) })
					synctest.Wait()
				}
				all.Wait()
				if n := r.called()["SendMessageBatch"]; n != 1 {
					t.Errorf("%d shared calls, want 1", n)
				}
				for i, err := range errs {
					switch i {
					case 4:
						wantError(t, "the bad one", err, broker.ErrInvalid)
					case 5:
						wantError(t, "behind it", err, broker.ErrSkipped)
					default:
						if err != nil {
							t.Errorf("%s: %v", ms[i].Body, err)
						}
					}
				}
				_, err := r.Publish(t.Context(), ms[4])
				wantError(t, "again", err, broker.ErrInvalid)
				if _, here := errors.AsType[*broker.FieldError](err); here != c.learns {
					t.Errorf("refused without a call: %v, want %v", here, c.learns)
				}
				if _, err := r.Publish(t.Context(), ms[5]); err != nil { // of a group that has failed before
					t.Error(err)
				}
				byKey := map[string][]string{}
				for _, d := range r.take(t, "orders.fifo", 7) {
					byKey[d.Key] = append(byKey[d.Key], string(d.Body))
				}
				if got, want := fmt.Sprint(byKey), "map[a:[a0 a1 a2 a3] b:[b1 b3] k:[before]]"; got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

// The same in a slice, where what comes behind in another call is skipped too.
func TestOneBadMessageInABatch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo", "ContentBasedDeduplication", "true")
		r.publish(t, "orders.fifo", "k", "before")
		r.set(t, "orders.fifo", "ContentBasedDeduplication", "false")
		ms := inOrder() // a, c, e … of key a; b, d, f … of key b
		ms[3].DedupID = ""
		_, err := r.PublishBatch(t.Context(), ms)
		var stored []int
		for i := range ms {
			if item := broker.ItemError(err, i); item == nil {
				stored = append(stored, i)
			} else if i == 3 {
				wantError(t, "d", item, broker.ErrInvalid)
			} else {
				wantError(t, string(ms[i].Body), item, broker.ErrSkipped)
			}
		}
		if want := []int{0, 1, 2, 4, 6, 8, 10}; !slices.Equal(stored, want) {
			t.Errorf("stored %v, want %v", stored, want)
		}
	})
}
