package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// scriptedReceiver answers the n-th Receive (from 0) as a test says.
type scriptedReceiver struct {
	*fakeReceiver
	calls  atomic.Int32
	answer func(ctx context.Context, call, limit int) ([]*broker.Delivery, error)
}

func (s *scriptedReceiver) Receive(ctx context.Context, _ string, limit int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	return s.answer(ctx, int(s.calls.Add(1))-1, limit)
}

// messages are n deliveries without a lease.
func messages(n int) []*broker.Delivery {
	ds := make([]*broker.Delivery, n)
	for i := range ds {
		ds[i] = message(fmt.Sprint(i), "")
	}
	return ds
}

// The room that a further poll had taken, and brought nothing for, is asked
// for again although no handler returns.
func TestIntakeTakesBackTheRoomOfAFurtherPoll(t *testing.T) {
	for full := 1; full <= 2; full++ { // either of the two may be the further one
		bubble(t, func(t *testing.T, f *fakeReceiver) { oneOfTwoPollsBringsNothing(t, f, full) })
	}
}

func oneOfTwoPollsBringsNothing(t *testing.T, f *fakeReceiver, full int) {
	r := &scriptedReceiver{fakeReceiver: f}
	r.answer = func(ctx context.Context, call, limit int) ([]*broker.Delivery, error) {
		time.Sleep(time.Second)        // so that both are under way
		if call == 0 || call == full { // the first fills a batch, so that a further poll starts
			return messages(limit), nil
		}
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		<-wait.Done()
		return nil, ctx.Err()
	}
	sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
		<-broker.Draining(ctx)
		return nil
	}, broker.Concurrency(30), broker.Batch(10))
	time.Sleep(time.Minute)
	if snap := sub.Snapshot(); snap.Running != 20 || snap.Idle != 10 {
		t.Errorf("%+v, want 20 running and 10 idle", snap)
	}
	before := r.calls.Load()
	time.Sleep(time.Minute)
	if r.calls.Load() == before {
		t.Error("no receive for a minute although 10 slots are idle")
	}
	drain(t, sub)
}

func TestSnapshotCountsReceivesUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			return nil
		})
		synctest.Wait()
		if n := sub.Snapshot().Polls; n != 1 {
			t.Errorf("while it waits for a message: %d polls", n)
		}
		r.put(0, message("a", ""))
		synctest.Wait()
		if n := sub.Snapshot().Polls; n != 0 {
			t.Errorf("while every slot is taken: %d polls", n)
		}
		drain(t, sub)
		if n := sub.Snapshot().Polls; n != 0 {
			t.Errorf("after the drain: %d polls", n)
		}
	})
}

func TestIntakePausesAfterAReceiveThatIsEmptyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(_ context.Context, call, _ int) ([]*broker.Delivery, error) {
			switch {
			case call == 3:
				return messages(1), nil
			case call > 10_000: // ends a loop that would never let virtual time pass
				return nil, broker.ErrClosed
			}
			return nil, nil
		}
		sub := consume(t, r, succeed)
		time.Sleep(time.Minute)
		if n := r.calls.Load(); n < 60 || n > 180 {
			t.Errorf("%d receives in a minute, want one or two a second", n)
		}
		if c := sub.Counts(); c.Deleted != 1 || c.Errors != 0 {
			t.Errorf("%+v", c)
		}
		drain(t, sub)
	})
}

// A message that the backend cannot hand out does not hold up the others.
func TestIntakeGoesOnWithAnErrorBesideMessages(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(ctx context.Context, call, _ int) ([]*broker.Delivery, error) {
			if call < 1000 {
				return messages(1), broker.ErrUnavailable
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		told := 0
		sub := consume(t, r, succeed, broker.Concurrency(4),
			broker.OnError(func(context.Context, *broker.Delivery, error) { told++ }))
		for sub.Counts().Deleted < 1000 && time.Since(began) < time.Hour {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("1000 messages took %v: the intake pauses", took)
		}
		drain(t, sub)
		if told != 1000 || sub.Counts().Errors != 1000 {
			t.Errorf("told %d errors of 1000; %+v", told, sub.Counts())
		}
	})
}

// However long an outage is, it is noticed within seconds that it has ended; during it
// the backend is not asked in a loop.
func TestIntakeNoticesTheEndOfAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		const outage, soon = time.Hour, 5 * time.Second
		last := time.Now()
		var longest time.Duration // between two receives
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(context.Context, int, int) ([]*broker.Delivery, error) {
			longest = max(longest, time.Since(last))
			last = time.Now()
			return nil, broker.ErrUnavailable
		}
		sub := consume(t, r, succeed)
		time.Sleep(outage)
		drain(t, sub)
		if longest > soon {
			t.Errorf("%v without a receive, want %v at most", longest, soon)
		}
		// drawn evenly from 0.1 to 5 s: 1412 pauses fill an hour, with a deviation of 21
		if n := r.calls.Load(); n > 1550 {
			t.Errorf("%d receives in an hour, want at most 1550", n)
		}
	})
}

// An answer that comes empty after a long poll is followed by the next at once.
func TestIntakeDoesNotPauseAfterALongPoll(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(ctx context.Context, _, _ int) ([]*broker.Delivery, error) {
			wait, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			<-wait.Done()
			return nil, ctx.Err()
		}
		sub := consume(t, r, succeed)
		time.Sleep(time.Minute + time.Millisecond)
		if n := r.calls.Load(); n != 61 {
			t.Errorf("%d receives of one second began in a minute, want 61", n)
		}
		drain(t, sub)
	})
}

func TestIntakeSurvivesMoreThanItAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		var handled, running, most, asked atomic.Int32
		r.answer = func(ctx context.Context, call, n int) ([]*broker.Delivery, error) {
			asked.Store(max(asked.Load(), int32(n))) //nolint:gosec // small
			if call == 100 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return messages(n + 3), nil
		}
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Millisecond)
			running.Add(-1)
			handled.Add(1)
			return nil
		}, broker.Concurrency(2), broker.Rate(2))
		time.Sleep(time.Minute)
		if n := handled.Load(); n > 2*60+2+3+2 {
			t.Errorf("handled %d messages in a minute at 2 a second", n)
		}
		if most.Load() != 2 || asked.Load() > 2 {
			t.Errorf("%d ran at once and %d were asked for, with 2 slots", most.Load(), asked.Load())
		}
		drain(t, sub)
	})
}

func TestIntakeSurvivesANilDelivery(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(ctx context.Context, call, _ int) ([]*broker.Delivery, error) {
			if call == 0 {
				return []*broker.Delivery{nil, message("a", ""), nil}, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var told []error
		sub := consume(t, r, succeed, broker.Concurrency(3),
			broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told = append(told, err) }))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, f, "delete a")
		if len(told) != 1 || sub.Counts().Errors != 1 || sub.Counts().Received != 1 {
			t.Errorf("told %v, %+v", told, sub.Counts())
		}
	})
}

// A hook that ends its goroutine, as t.FailNow does, wedges no slot.
func TestHookThatEndsItsGoroutine(t *testing.T) {
	boom := errors.New("boom")
	t.Run("handler's", func(t *testing.T) {
		bubble(t, func(t *testing.T, r *fakeReceiver) {
			sub := consume(t, r, func(context.Context, *broker.Delivery) error { return boom },
				broker.OnError(func(context.Context, *broker.Delivery, error) { goexit() }))
			r.put(0, message("a", ""), message("b", ""))
			time.Sleep(time.Minute)
			if snap := sub.Snapshot(); snap.InFlight != 0 || snap.Failed != 2 {
				t.Errorf("%+v", snap)
			}
			drain(t, sub)
		})
	})
	t.Run("dispatcher's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error { return boom },
				broker.Concurrency(2), broker.OnError(func(context.Context, *broker.Delivery, error) { goexit() }))
			if err != nil {
				t.Fatal(err)
			}
			p.Run(func(context.Context) int { return 0 })
			for range 3 {
				p.Dispatch(message("x", ""))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if report, err := p.Subscription().Drain(ctx); err != nil {
				t.Errorf("Drain() = %+v, %v", report, err)
			}
		})
	})
}

// While the rate or the circuit keep the intake shut, handlers that return start
// no polls that would find nothing to do: that would be a hot loop, in which no
// time passes here.
func TestNoPollsWhileTheIntakeIsShut(t *testing.T) {
	for name, c := range map[string]struct {
		opt    broker.SubscribeOption
		result error
		calls  int32 // in the first minute, at most
	}{
		"rate":    {broker.Rate(1), nil, 60},
		"circuit": {broker.Circuit{Failures: 3, Pause: 2 * time.Minute}, errors.New("down"), 7}, // those for the slots, before it opened
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeReceiver) {
				r := &scriptedReceiver{fakeReceiver: f, answer: func(ctx context.Context, call, limit int) ([]*broker.Delivery, error) {
					if call == 0 {
						return messages(limit), nil // in full
					}
					poll, cancel := context.WithTimeout(ctx, 20*time.Second)
					defer cancel()
					<-poll.Done()
					return nil, ctx.Err()
				}}
				sub := consume(t, r, func(context.Context, *broker.Delivery) error {
					time.Sleep(1500 * time.Millisecond)
					return c.result
				}, broker.Concurrency(64), broker.Batch(10), c.opt)
				time.Sleep(time.Minute)
				if n := r.calls.Load(); n < 2 || n > c.calls {
					t.Errorf("%d receives, want 2 to %d", n, c.calls)
				}
				drain(t, sub)
			})
		})
	}
}
