package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Each delivery that is in hand when a drain begins is in the report once.
func TestReportCountsEachDeliveryOnce(t *testing.T) {
	boom := errors.New("boom")
	leaseLost := func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }
	for name, c := range map[string]struct {
		handler  broker.Handler
		patience time.Duration // of the drain
		set      func(r *fakeReceiver)
		want     broker.Report
	}{
		"a handler that fails while draining": {
			func(ctx context.Context, _ *broker.Delivery) error { <-broker.Draining(ctx); return boom },
			time.Minute, nil, broker.Report{Finished: 1},
		},
		"an interrupted handler whose release fails": {
			func(ctx context.Context, _ *broker.Delivery) error { <-ctx.Done(); return ctx.Err() },
			time.Second, func(r *fakeReceiver) { r.release = func(*broker.Delivery) error { return broker.ErrDenied } },
			broker.Report{Abandoned: 1},
		},
		"an interrupted handler that rejects": {
			func(ctx context.Context, _ *broker.Delivery) error { <-ctx.Done(); return broker.Reject(boom) },
			time.Second, nil, broker.Report{Finished: 1},
		},
		"a delete that is still tried when the drain gives up": {
			succeed, time.Second, func(r *fakeReceiver) { r.delete = func(*broker.Delivery) error { return broker.ErrThrottled } },
			broker.Report{Abandoned: 1},
		},
		"a lost lease": {
			func(ctx context.Context, _ *broker.Delivery) error { <-ctx.Done(); return ctx.Err() },
			10 * time.Minute, func(r *fakeReceiver) { r.extend = leaseLost }, broker.Report{Finished: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				if c.set != nil {
					c.set(r)
				}
				sub := consume(t, r, c.handler)
				r.put(10*time.Minute, message("a", ""))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				c.want.Subject = "q"
				if got, _ := sub.Drain(ctx); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				<-sub.Done()
			})
		})
	}
}

func TestReportOfAFailedRelease(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.release = func(*broker.Delivery) error { return broker.ErrDenied }
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error { <-broker.Draining(ctx); return nil },
			broker.Prefetch(2))
		r.put(time.Hour, message("a", ""), message("b", ""), message("c", ""))
		synctest.Wait()
		if got, want := drain(t, sub), (broker.Report{Subject: "q", Finished: 1, Abandoned: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// What a drain outside handlers gives up includes a handler that drains, too.
func TestReportCountsAHandlerThatDrains(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		var sub *broker.Subscription
		ready := make(chan struct{})
		sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			<-ready
			if d.ID == "drains" {
				_, err := sub.Drain(context.WithoutCancel(ctx))
				return err
			}
			<-gate
			return nil
		}, broker.Concurrency(2))
		r.put(time.Hour, message("drains", ""), message("stays", ""))
		close(ready)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if report, _ := sub.Drain(ctx); report.Abandoned != 2 {
			t.Errorf("report: %+v, want 2 abandoned", report)
		}
		close(gate)
		<-sub.Done()
	})
}

// A drain whose work is done reports no error, whatever became of its context.
func TestDrainOfWhatIsOverIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed)
		drain(t, sub)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			if _, err := sub.Drain(over); err != nil {
				t.Fatalf("Drain: %v", err)
			}
		}
	})
}

func TestDispatcherEndedWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", succeed)
		if err != nil {
			t.Fatal(err)
		}
		stopped := 0
		p.End(broker.ErrClosed)
		p.Run(func(context.Context) int { stopped++; return 0 })
		<-p.Subscription().Done()
		if stopped != 1 {
			t.Errorf("stop was called %d times, want once", stopped)
		}
	})
}
