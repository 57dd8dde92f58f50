package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// bubble runs f in virtual time with a fake receiver.
func bubble(t *testing.T, f func(t *testing.T, r *fakeReceiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newFake()) })
}

func consume(t *testing.T, r broker.Receiver, h broker.Handler, opts ...broker.SubscribeOption) *broker.Subscription {
	t.Helper()
	sub, err := broker.Consume(t.Context(), r, "q", h, opts...)
	if err != nil {
		t.Fatalf("Consume: %v", err)
	}
	return sub
}

func drain(t *testing.T, sub *broker.Subscription) broker.Report {
	t.Helper()
	report, err := sub.Drain(context.Background())
	if err != nil {
		t.Errorf("Drain: %v", err)
	}
	return report
}

func wantLog(t *testing.T, r *fakeReceiver, want ...string) {
	t.Helper()
	if got := r.log(); !slices.Equal(got, want) {
		t.Errorf("settled: got %q, want %q", got, want)
	}
}

func TestConsumeSettlesByResult(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		handler broker.Handler
		want    string
		counts  broker.Counts
	}{
		"nil deletes": {
			func(context.Context, *broker.Delivery) error { return nil },
			"delete a", broker.Counts{Succeeded: 1, Deleted: 1},
		},
		"an error releases after the backoff": {
			func(context.Context, *broker.Delivery) error { return boom },
			"release a 4s", broker.Counts{Failed: 1, Released: 1, Retried: 1},
		},
		"RetryAfter releases after its delay": {
			func(context.Context, *broker.Delivery) error {
				return fmt.Errorf("wrapped: %w", broker.RetryAfter(7*time.Second, boom))
			},
			"release a 7s", broker.Counts{Failed: 1, Released: 1, Retried: 1},
		},
		"Reject puts to rest": {
			func(context.Context, *broker.Delivery) error { return fmt.Errorf("wrapped: %w", broker.Reject(boom)) },
			"reject a boom", broker.Counts{Failed: 1, Rejected: 1},
		},
		"a Reject without a cause too": {
			func(context.Context, *broker.Delivery) error { return &broker.RejectError{} },
			"reject a <nil>", broker.Counts{Failed: 1, Rejected: 1},
		},
		"an error that cannot be asked for its kind is a panic": {
			func(context.Context, *broker.Delivery) error { return (*nilKindError)(nil) },
			"release a 4s", broker.Counts{Failed: 1, Panicked: 1, Released: 1, Retried: 1},
		},
		"an error that cannot be read is a panic": {
			func(context.Context, *broker.Delivery) error { return (*nilError)(nil) },
			"release a 4s", broker.Counts{Failed: 1, Panicked: 1, Released: 1, Retried: 1},
		},
		"a panic is an error": {
			func(context.Context, *broker.Delivery) error { panic(boom) },
			"release a 4s", broker.Counts{Failed: 1, Panicked: 1, Released: 1, Retried: 1},
		},
		"Goexit is an error": {
			func(context.Context, *broker.Delivery) error { goexit(); return nil },
			"release a 4s", broker.Counts{Failed: 1, Panicked: 1, Released: 1, Retried: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				var told []error
				sub := consume(t, r, c.handler,
					broker.Backoff{Min: 4 * time.Second, Max: 4 * time.Second},
					broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told = append(told, err) }))
				r.put(0, message("a", ""))
				synctest.Wait()
				drain(t, sub)

				log := r.log()
				if len(log) != 1 || log[0] != c.want {
					t.Errorf("settled: got %q, want [%q]", log, c.want)
				}
				c.counts.Received = 1
				if got := sub.Counts(); got != c.counts {
					t.Errorf("counts: got %+v, want %+v", got, c.counts)
				}
				if failed := c.counts.Failed > 0; failed != (len(told) == 1) {
					t.Errorf("OnError was told %v", told)
				}
			})
		})
	}
}

// nilError is the classic mistake: a nil pointer returned as an error.
type nilError struct{ cause error }

func (e *nilError) Error() string { return e.cause.Error() }
func (e *nilError) Unwrap() error { return e.cause }

// nilKindError is that mistake with an error that takes part in errors.As.
type nilKindError struct{ kind any }

func (*nilKindError) Error() string        { return "failed" }
func (e *nilKindError) As(target any) bool { return e.kind == target }

func TestConsumeTellsPanicWithStack(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var p *broker.PanicError
		cause := errors.New("cause")
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { panic(cause) },
			broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) {
				if !errors.As(err, &p) || !errors.Is(err, cause) {
					t.Errorf("told %v, want a *PanicError with its cause", err)
				}
			}))
		r.put(0, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		if p == nil || !strings.Contains(string(p.Stack), "consume_test.go") {
			t.Errorf("the stack does not name the handler's file: %v", p)
		}
	})
}

func TestConsumeTakesSlotsBeforeReceive(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		var running, most int
		var mu sync.Mutex
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-gate
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}, broker.Concurrency(3))
		synctest.Wait()
		for i := range 5 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		synctest.Wait()
		if got := sub.Counts().InFlight; got != 3 {
			t.Errorf("in hand: got %d, want 3: what cannot start must stay in the queue", got)
		}
		close(gate)
		synctest.Wait()
		drain(t, sub)
		if most != 3 {
			t.Errorf("ran at once: got %d, want 3", most)
		}
		if got := sub.Counts().Deleted; got != 5 {
			t.Errorf("deleted: got %d, want 5", got)
		}
		for _, n := range r.asked {
			if n < 1 || n > 3 {
				t.Errorf("asked for %d messages with 3 slots", n)
			}
		}
	})
}

func TestConsumeLanes(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var mu sync.Mutex
		var order []string
		at := map[string]bool{}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			mu.Lock()
			if at[d.Key] {
				t.Errorf("two messages of key %s run at once", d.Key)
			}
			at[d.Key] = true
			order = append(order, d.ID)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at[d.Key] = false
			mu.Unlock()
			if d.ID == "a2" {
				return broker.RetryAfter(9*time.Second, errors.New("failed"))
			}
			return nil
		}, broker.Concurrency(10))
		r.put(0, message("a1", "a"), message("a2", "a"), message("a3", "a"), message("a4", "a"),
			message("b1", "b"), message("b2", "b"))
		time.Sleep(10 * time.Second)
		drain(t, sub)

		byKey := map[string][]string{}
		for _, id := range order {
			byKey[id[:1]] = append(byKey[id[:1]], id)
		}
		want := map[string][]string{"a": {"a1", "a2"}, "b": {"b1", "b2"}}
		if !maps.EqualFunc(byKey, want, slices.Equal) {
			t.Errorf("ran %v, want %v", byKey, want)
		}
		var log []string
		for _, e := range r.log() {
			if strings.Contains(e, " a") {
				log = append(log, e)
			}
		}
		if want := []string{"delete a1", "release a4 11s", "release a3 11s", "release a2 9s"}; !slices.Equal(log, want) {
			t.Errorf("key a: settled %q, want %q: the rest goes back before the failed one, last first", log, want)
		}
	})
}

func TestConsumeSettlesOnLiveContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		type key struct{}
		r.settle = func(ctx context.Context, op, id string) {
			if ctx.Err() != nil {
				t.Errorf("%s %s on a context that is over: %v", op, id, ctx.Err())
			}
			if ctx.Value(key{}) != "v" {
				t.Error("the context lost the caller's values")
			}
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		sub, err := broker.Consume(ctx, r, "q", func(ctx context.Context, _ *broker.Delivery) error {
			if ctx.Err() != nil {
				t.Error("the end of Consume's context reached a handler")
			}
			if ctx.Value(key{}) != "v" {
				t.Error("the handler's context lost the caller's values")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		r.put(0, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, r, "delete a")
	})
}

func TestConsumeRejectWithoutDeadLetterReleases(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.reject = func(*broker.Delivery) error {
			return &broker.UnsupportedError{Backend: "fake", What: "Reject", Why: "no dead-letter queue"}
		}
		var told []error
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return broker.Reject(errors.New("bad")) },
			broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told = append(told, err) }))
		r.put(0, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		if log := r.log(); len(log) != 2 || log[0] != "reject a bad" || !strings.HasPrefix(log[1], "release a ") {
			t.Errorf("settled %q, want a reject and then a release", log)
		}
		if len(told) != 2 || !errors.Is(told[1], errors.ErrUnsupported) {
			t.Errorf("told %v", told)
		}
	})
}

func TestConsumeReceiveFailures(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		failures := 0
		r.receive = func() error {
			if failures == 20 {
				return nil
			}
			failures++
			return broker.ErrThrottled
		}
		var told int
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return nil },
			broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
				if d == nil && errors.Is(err, broker.ErrThrottled) {
					told++
				}
			}))
		r.put(0, message("a", ""))
		time.Sleep(time.Hour)
		drain(t, sub)
		if told != 20 || sub.Counts().Errors != 20 {
			t.Errorf("told %d of 20 failures; %+v", told, sub.Counts())
		}
		wantLog(t, r, "delete a")
	})
}

func TestConsumeEndsWhenClosed(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.receive = func() error { return &broker.Error{Backend: "fake", Op: "receive", Kind: broker.ErrClosed} }
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return nil })
		<-sub.Done()
		if !errors.Is(sub.Err(), broker.ErrClosed) {
			t.Errorf("Err() = %v", sub.Err())
		}
		drain(t, sub)
	})
}

func TestConsumeBadInput(t *testing.T) {
	h := func(context.Context, *broker.Delivery) error { return nil }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		r     broker.Receiver
		queue string
		h     broker.Handler
		opts  []broker.SubscribeOption
		want  error
		says  []string
	}{
		"all at once": {t.Context(), nil, "", nil, []broker.SubscribeOption{broker.Concurrency(0), broker.Lease(-1)},
			broker.ErrInvalid, []string{"Receiver", "queue", "Handler", "Concurrency", "Lease"}},
		"backoff":        {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.Backoff{Min: 2, Max: 1}}, broker.ErrInvalid, []string{"Backoff"}},
		"foreign option": {t.Context(), newFake(), "q", h, []broker.SubscribeOption{strangeOption{}}, errors.ErrUnsupported, []string{"strangeOption"}},
		"group":          {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.Group("g")}, errors.ErrUnsupported, []string{"Group"}},
		"lease of 30 ns": {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.Lease(30)}, broker.ErrInvalid, []string{"Lease", "30ns", "30*time.Second"}},
		"pending limits": {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.PendingLimits{Messages: 9}}, errors.ErrUnsupported,
			[]string{"this backend", "option broker.PendingLimits in Consume", "wait at the destination", "instead: Concurrency"}},
		"a backend's Subscribe": {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.FromFirst(), broker.Backend("fake")}, errors.ErrUnsupported,
			[]string{"fake does not support option broker.Start in Subscribe", "instead: a JetStream stream"}},
		"ordered":      {t.Context(), newFake(), "q", h, []broker.SubscribeOption{broker.Ordered{}}, errors.ErrUnsupported, []string{"Ordered", "JetStream"}},
		"context over": {over, newFake(), "q", h, nil, context.Canceled, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := broker.Consume(c.ctx, c.r, c.queue, c.h, c.opts...)
			if sub != nil || !errors.Is(err, c.want) {
				t.Fatalf("Consume() = %v, %v; want %v", sub, err, c.want)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not name %s", err, s)
				}
			}
		})
	}
}

// goexit is what t.FailNow does to a goroutine.
func goexit() { runtime.Goexit() }

type strangeOption struct{}

func (strangeOption) SubscribeOption() {}

func TestRunContextIsOneContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if _, ok := broker.LeaseEnd(child); !ok {
				t.Error("LeaseEnd does not see through a child context")
			}
			if broker.Draining(child) == nil {
				t.Error("Draining does not see through a child context")
			}
			return nil
		})
		r.put(time.Minute, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, r, "delete a")
	})
	if broker.Draining(t.Context()) != nil {
		t.Error("Draining outside a handler is not nil")
	}
	if _, ok := broker.LeaseEnd(t.Context()); ok {
		t.Error("LeaseEnd outside a handler")
	}
	if reflect.TypeFor[broker.Subscription]().Kind() != reflect.Struct {
		t.Error("Subscription must stay a concrete type")
	}
}
