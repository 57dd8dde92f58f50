package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestDrainFinishesWorkOnLiveContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			time.Sleep(time.Second)
			return ctx.Err() // nil: a drain alone does not cancel
		}, broker.Concurrency(2))
		r.put(0, message("a", ""))
		r.put(0, message("b", ""))
		synctest.Wait()
		r.put(0, message("c", "")) // no slot: stays in the queue
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := sub.Drain(ctx)
		if want := (broker.Report{Subject: "q", Finished: 2}); report != want || err != nil {
			t.Errorf("Drain() = %+v, %v; want %+v", report, err, want)
		}
		if n := len(r.log()); n != 2 {
			t.Errorf("settled %q, want a and b only", r.log())
		}
		again, err := sub.Drain(ctx)
		if again != report || err != nil {
			t.Errorf("the second Drain() = %+v, %v", again, err)
		}
		select {
		case <-sub.Done():
		default:
			t.Error("Done is not closed after Drain")
		}
		if sub.Err() != nil {
			t.Errorf("Err() = %v after a drain that was asked for", sub.Err())
		}
	})
}

func TestDrainReleasesWhatHasNotStarted(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			time.Sleep(time.Second)
			return nil
		}, broker.Concurrency(10))
		r.put(time.Minute, message("k1", "k"), message("k2", "k"), message("k3", "k"))
		synctest.Wait()
		report := drain(t, sub)
		if want := (broker.Report{Subject: "q", Finished: 1, Released: 2}); report != want {
			t.Errorf("report: got %+v, want %+v", report, want)
		}
		wantLog(t, r, "release k3 0s", "release k2 0s", "delete k1")
		if got, want := sub.Counts(), (broker.Counts{Received: 3, Succeeded: 1, Deleted: 1, Released: 2}); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
	})
}

// A receive that is cancelled may still return messages: they must not start.
func TestDrainReleasesWhatALateReceiveBrings(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		late := &lateReceiver{fakeReceiver: r}
		sub := consume(t, late, func(context.Context, *broker.Delivery) error {
			t.Error("a handler started after the drain had begun")
			return nil
		})
		synctest.Wait()
		report := drain(t, sub)
		if report.Released != 1 || report.Abandoned != 0 {
			t.Errorf("report: %+v", report)
		}
		wantLog(t, r, "release late 0s")
	})
}

// lateReceiver hands out a message although its context has ended.
type lateReceiver struct{ *fakeReceiver }

func (*lateReceiver) Receive(ctx context.Context, _ string, _ int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	<-ctx.Done()
	return []*broker.Delivery{message("late", "")}, nil
}

func TestDrainEndsPausesOfTheIntake(t *testing.T) {
	for name, c := range map[string]struct {
		fails bool
		opts  []broker.SubscribeOption
	}{
		"after a failed receive": {true, nil},
		"by a rate":              {false, []broker.SubscribeOption{broker.Rate(0.001)}},
		"by the circuit":         {false, []broker.SubscribeOption{broker.Circuit{Failures: 1, Pause: time.Hour}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				if c.fails {
					r.receive = func() error { return broker.ErrUnavailable }
				}
				sub := consume(t, r, func(context.Context, *broker.Delivery) error { return errors.New("down") }, c.opts...)
				r.put(0, message("a", ""), message("b", ""))
				time.Sleep(time.Minute)
				synctest.Wait()
				began := time.Now()
				drain(t, sub)
				if took := time.Since(began); took != 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestDrainDeadlineCancelsHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), broker.ErrDraining) {
				t.Errorf("cause: %v", context.Cause(ctx))
			}
			return ctx.Err()
		})
		r.put(time.Hour, message("a", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		report, err := sub.Drain(ctx)
		if want := (broker.Report{Subject: "q", Released: 1}); report != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain() = %+v, %v; want %+v and DeadlineExceeded", report, err, want)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		wantLog(t, r, "release a 0s") // interrupted work goes back at once
		if got, want := sub.Counts(), (broker.Counts{Received: 1, Failed: 1, Released: 1, Interrupted: 1}); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
	})
}

func TestDrainAbandonsAHandlerThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { <-gate; return nil })
		r.put(time.Hour, message("a", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		report, err := sub.Drain(ctx)
		if report.Abandoned != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain() = %+v, %v", report, err)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want the deadline of 3s and 5s of grace", took)
		}
		beats := r.beats()
		time.Sleep(2 * time.Hour)
		if r.beats() != beats {
			t.Error("an abandoned message's lease was renewed for ever")
		}
		close(gate)
		<-sub.Done()
	})
}

func TestDrainFromAHandler(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var sub *broker.Subscription
		ready := make(chan struct{})
		sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			<-ready
			if d.ID == "other" {
				time.Sleep(time.Second)
				return nil
			}
			report, err := sub.Drain(context.WithoutCancel(ctx))
			if err != nil || report.Abandoned != 0 {
				t.Errorf("%s: Drain() = %+v, %v", d.ID, report, err)
			}
			return nil
		}, broker.Concurrency(3))
		r.put(0, message("one", ""), message("two", ""), message("other", ""))
		close(ready)
		<-sub.Done()
		if n := sub.Counts().Deleted; n != 3 {
			t.Errorf("deleted: got %d, want 3", n)
		}
	})
}

// What the client had received when the drain began is dispatched while the
// intake stops: the drain must wait for it, although nothing ran at its begin.
func TestDrainWaitsForWhatStopDispatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := false
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
			time.Sleep(time.Second)
			handled = true
			return nil
		}, broker.Concurrency(2))
		if err != nil {
			t.Fatal(err)
		}
		p.Run(func(context.Context) int {
			time.Sleep(time.Second)
			p.Dispatch(message("late", ""))
			return 0
		})
		report := drain(t, p.Subscription())
		if !handled || report.Finished != 1 {
			t.Errorf("drained before the last handler returned: %+v", report)
		}
	})
}

// A drain that a handler leaves to a goroutine waits for the others, also after
// that handler has returned.
func TestDrainThatOutlivesItsHandler(t *testing.T) {
	for name, before := range map[string]bool{"begun before it returned": true, "begun afterwards": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				var sub *broker.Subscription
				reports := make(chan broker.Report, 1)
				returned := make(chan struct{})
				began := time.Now()
				sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
					if d.ID == "long" {
						time.Sleep(10 * time.Second)
						return nil
					}
					time.Sleep(time.Second)
					go func() {
						if !before {
							<-returned
						}
						report, err := sub.Drain(context.WithoutCancel(ctx))
						if err != nil {
							t.Error(err)
						}
						reports <- report
					}()
					if before {
						<-broker.Draining(ctx)
					}
					return nil
				}, broker.Concurrency(2))
				r.put(time.Minute, message("drains", ""), message("long", ""))
				time.Sleep(2 * time.Second)
				close(returned)
				got, want := <-reports, broker.Report{Subject: "q", Finished: 2}
				if !before {
					want.Finished = 1
				}
				if took := time.Since(began); took != 10*time.Second || got != want {
					t.Errorf("after %v: %+v; want %+v after 10s", took, got, want)
				}
				<-sub.Done()
			})
		})
	}
}

// Two drains of one handler are one handler that is not waited for.
func TestDrainTwiceFromOneHandler(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var sub *broker.Subscription
		began := time.Now()
		sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			if d.ID == "long" {
				time.Sleep(10 * time.Second)
				return nil
			}
			time.Sleep(time.Second)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if _, err := sub.Drain(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("drained after %v, want 10s", took)
			}
			return nil
		}, broker.Concurrency(2))
		r.put(time.Minute, message("drains", ""), message("long", ""))
		<-sub.Done()
	})
}
