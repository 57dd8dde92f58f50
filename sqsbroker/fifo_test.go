package sqsbroker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// ordered is a rig with a FIFO queue and messages to it from a goroutine each,
// in their order.
type ordered struct {
	*rig
	all  sync.WaitGroup
	mu   sync.Mutex
	errs map[string]error // by body
}

func newOrdered(t *testing.T, r *rig) *ordered {
	t.Helper()
	r.create(t, "orders.fifo")
	r.none(t, "orders.fifo")
	return &ordered{rig: r, errs: map[string]error{}}
}

// send publishes bodies to the groups that their first letters name, through b.
func (o *ordered) send(ctx context.Context, b *Broker, list string) {
	for body := range strings.FieldsSeq(list) {
		o.all.Go(func() {
			_, err := b.Publish(ctx, inGroup(body))
			o.mu.Lock()
			o.errs[body] = err
			o.mu.Unlock()
		})
		synctest.Wait()
	}
}

// slice publishes bodies in one PublishBatch.
func (o *ordered) slice(ctx context.Context, b *Broker, list string) {
	o.all.Go(func() {
		var ms []broker.Message
		for body := range strings.FieldsSeq(list) {
			ms = append(ms, inGroup(body))
		}
		_, err := b.PublishBatch(ctx, ms)
		o.mu.Lock()
		defer o.mu.Unlock()
		for i, m := range ms {
			o.errs[string(m.Body)] = broker.ItemError(err, i)
		}
	})
	synctest.Wait()
}

// slowSends lets each send take a while.
func slowSends(next API) API {
	return watchAPI{next, func([]string) func() {
		time.Sleep(5 * time.Millisecond)
		return func() {}
	}}
}

func inGroup(body string) broker.Message {
	return broker.Message{Subject: "orders.fifo", Body: []byte(body), Key: body[:1], DedupID: body}
}

// stored are the messages in the queue, in their order within each group.
func (o *ordered) stored(t *testing.T) string {
	t.Helper()
	o.all.Wait()
	o.setFault(nil)
	byGroup := map[string][]string{}
	for _, body := range o.drain(t, "orders.fifo") {
		byGroup[body[:1]] = append(byGroup[body[:1]], body)
	}
	var all []string
	for _, group := range byGroup {
		all = append(all, strings.Join(group, " "))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// What SQS fails by its own fault is sent again before what waits behind it,
// also if that is in a slice; what is behind a failure for good is not sent.
func TestPublishersKeepOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		fails   map[string]int
		send    func(ctx context.Context, o *ordered, b *Broker)
		want    string
		failed  string
		skipped string
	}{
		{
			"sent again before the next", map[string]int{"a2": 3},
			func(ctx context.Context, o *ordered, b *Broker) {
				o.send(ctx, b, "x1 a1 a2")       // the call of a1 and a2 begins when x1's returns
				time.Sleep(7 * time.Millisecond) // it is in flight
				o.send(ctx, b, "a3 b1 a4")
			},
			"a1 a2 a3 a4 b1 x1", "", "",
		},
		{
			"failed for good", map[string]int{"a2": 100},
			func(ctx context.Context, o *ordered, b *Broker) {
				o.send(ctx, b, "x1 a1 a2")
				time.Sleep(7 * time.Millisecond)
				o.send(ctx, b, "a3 b1 a4")
			},
			"a1 b1 x1", "a2", "a3 a4",
		},
		{
			"two of one call", map[string]int{"a1": 2, "a2": 1},
			func(ctx context.Context, o *ordered, b *Broker) { o.send(ctx, b, "x1 a1 a2 b1") },
			"a1 a2 b1 x1", "", "",
		},
		{
			"overtaken in its call", map[string]int{"a1": 1}, // a2 is stored, and a1 must not come after it
			func(ctx context.Context, o *ordered, b *Broker) {
				o.send(ctx, b, "x1 a1 a2")
				time.Sleep(7 * time.Millisecond)
				o.send(ctx, b, "a3")
			},
			"a2 x1", "a1", "a3",
		},
		{
			"alone", map[string]int{"a1": 100},
			func(ctx context.Context, o *ordered, b *Broker) { o.send(ctx, b, "a1 a2 b1") },
			"b1", "a1", "a2",
		},
		{
			"a slice before others", map[string]int{"a2": 1},
			func(ctx context.Context, o *ordered, b *Broker) {
				o.slice(ctx, b, "a1 b1 a2")
				o.send(ctx, b, "a3 b2")
			},
			"a1 a2 a3 b1 b2", "", "",
		},
		{
			"a slice that fails", map[string]int{"a2": 100},
			func(ctx context.Context, o *ordered, b *Broker) {
				o.slice(ctx, b, "a1 b1 a2")
				o.send(ctx, b, "a3 b2")
			},
			"a1 b1 b2", "a2", "a3",
		},
		{
			"a slice behind others", map[string]int{"a1": 100},
			func(ctx context.Context, o *ordered, b *Broker) {
				o.send(ctx, b, "a1")
				o.slice(ctx, b, "a2 b1 a3 b2")
				o.send(ctx, b, "b3")
			},
			"b1 b2 b3", "a1", "a2 a3",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				o := newOrdered(t, r)
				b, err := New(slowSends(newFailAPI(r.client, false, c.fails)), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Describe(t.Context(), "orders.fifo"); err != nil { // looks the queue up
					t.Fatal(err)
				}
				c.send(t.Context(), o, b)
				if got := o.stored(t); got != c.want {
					t.Errorf("stored %q, want %q", got, c.want)
				}
				for body, err := range o.errs {
					switch {
					case slices.Contains(strings.Fields(c.failed), body):
						wantError(t, body, err, broker.ErrUnavailable)
					case slices.Contains(strings.Fields(c.skipped), body):
						wantError(t, body, err, broker.ErrSkipped)
						if e, ok := errors.AsType[*broker.Error](err); !ok || !e.Retryable || e.OutcomeUnknown {
							t.Errorf("%s: it was not sent, and may be: %+v", body, e)
						}
					case err != nil:
						t.Errorf("%s: %v", body, err)
					}
				}
			})
		})
	}
}

// Behind a failure for good, what SQS failed by its own fault in the same call is
// not sent again; what is of other groups is.
func TestNotSentAgainBehindAFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		o := newOrdered(t, r)
		batches := 0
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			if action != "SendMessageBatch" {
				time.Sleep(time.Millisecond) // meanwhile the others come, and share the next call
				return false
			}
			if batches++; batches > 1 {
				return false
			}
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{"Failed":[{"Id":"0","Code":"InvalidMessageContents","SenderFault":true},`+
				`{"Id":"1","Code":"InternalError","SenderFault":false},{"Id":"2","Code":"InternalError","SenderFault":false}]}`)
			return true
		})
		o.send(t.Context(), r.Broker, "x1 a1 a2 b1")
		if got := o.stored(t); got != "b1 x1" {
			t.Errorf("stored %q, want b1 and x1", got)
		}
		wantError(t, "a1", o.errs["a1"], broker.ErrInvalid)
		wantError(t, "a2", o.errs["a2"], broker.ErrUnavailable)
		if o.errs["b1"] != nil {
			t.Error(o.errs["b1"])
		}
	})
}

// A caller that gives up takes no others with it.
func TestCancelledPublishFailsNoOthers(t *testing.T) {
	for _, slice := range []bool{false, true} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			o := newOrdered(t, r)
			ctx, cancel := context.WithCancel(t.Context())
			first := true
			r.setFault(func(_ string, _ http.ResponseWriter, req *http.Request, _ http.Handler) bool {
				if first {
					first = false
					hang(req)
					return true
				}
				return false
			})
			if slice {
				o.slice(ctx, r.Broker, "a1 a2")
			} else {
				o.send(ctx, r.Broker, "a1")
			}
			o.send(t.Context(), r.Broker, "a3")
			cancel()
			if got := o.stored(t); got != "a3" {
				t.Errorf("stored %q", got)
			}
			wantError(t, "a1", o.errs["a1"], context.Canceled, broker.ErrOutcomeUnknown)
			if o.errs["a3"] != nil {
				t.Error(o.errs["a3"])
			}
		})
	}
}

// A slice that waits for others ends with its context, and with Close.
func TestSliceThatWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		o := newOrdered(t, r)
		o.slow(time.Second)
		o.send(t.Context(), r.Broker, "a1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		o.slice(ctx, r.Broker, "a2 b2")
		o.slice(t.Context(), r.Broker, "a3")
		time.Sleep(time.Second * 3 / 4)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		o.all.Wait()
		for body, want := range map[string]error{"a2": context.DeadlineExceeded, "b2": context.DeadlineExceeded, "a3": broker.ErrClosed} {
			wantError(t, body, o.errs[body], want)
			if errors.Is(o.errs[body], broker.ErrOutcomeUnknown) {
				t.Errorf("%s was not sent: %v", body, o.errs[body])
			}
		}
	})
}

// A cancelled wait for another try says why there was to be one.
func TestCancelledBetweenTries(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		o := newOrdered(t, r)
		b, err := New(slowSends(newFailAPI(r.client, false, map[string]int{"a1": 100})), nil)
		if err != nil {
			t.Fatal(err)
		}
		o.send(t.Context(), b, "x1")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		o.send(ctx, b, "a1 y1")
		o.all.Wait()
		wantError(t, "a1", o.errs["a1"], context.DeadlineExceeded, broker.ErrUnavailable)
		if errors.Is(o.errs["a1"], broker.ErrOutcomeUnknown) {
			t.Errorf("it is known not to be stored: %v", o.errs["a1"])
		}
	})
}

// What a cancelled Publish has under way is not overtaken by what is published
// next, alone or in a call that others share.
func TestNothingOvertakesACancelledPublish(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared: ", shared), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "orders.fifo")
				r.none(t, "orders.fifo")
				publish := func(ctx context.Context, key, body string) error {
					_, err := r.Publish(ctx, broker.Message{Subject: "orders.fifo", Body: []byte(body), Key: key, DedupID: body})
					return err
				}
				r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					// What is on its way arrives, whatever becomes of its client.
					body, err := io.ReadAll(req.Body)
					if err != nil {
						t.Error(err)
					}
					switch {
					case strings.Contains(string(body), `"another"`):
						time.Sleep(time.Second)
					case strings.Contains(string(body), `"1"`):
						time.Sleep(200 * time.Millisecond)
					}
					arrived := req.WithContext(context.WithoutCancel(req.Context()))
					arrived.Body = io.NopCloser(bytes.NewReader(body))
					next.ServeHTTP(w, arrived)
					return true
				})
				var all sync.WaitGroup
				within := 100 * time.Millisecond
				if shared {
					all.Go(func() {
						if err := publish(t.Context(), "another", "other"); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
					within += patience
				}
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				begin := time.Now()
				wantError(t, "Publish", publish(ctx, "k", "1"), context.DeadlineExceeded, broker.ErrOutcomeUnknown)
				if took := time.Since(begin); took != within {
					t.Errorf("it returned after %v, want %v", took, within)
				}
				if err := publish(t.Context(), "k", "2"); err != nil {
					t.Error(err)
				}
				all.Wait()
				var got []string
				ds, err := r.Receive(t.Context(), "orders.fifo", 10)
				for _, d := range ds {
					if d.Key == "k" {
						got = append(got, string(d.Body))
					}
				}
				if err != nil || !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("got %v, %v", got, err)
				}
			})
		})
	}
}
