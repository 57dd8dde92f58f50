package memory_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// Drops are told as natsbroker tells them: with their number, and within 100 ms
// although the handler does not return; each once.
func TestDropsAreToldBehindAHandler(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newCore(t, nil)
		leave, told := make(chan struct{}), make(chan *broker.DropError, 10)
		sub := subscribeSlow(t, b, leave, told)
		flood := func(n int) {
			for range n {
				publish(t, b, text("s", "x"))
			}
		}
		wantTold := func(after time.Duration, messages, total uint64) {
			t.Helper()
			began := time.Now()
			e := <-told
			if took := time.Since(began); took != after || e.Messages != messages || e.Total != total || sub.Counts().Dropped != total {
				t.Errorf("told %+v after %v with %d counted; want %d of %d after %v", e, took, sub.Counts().Dropped, messages, total, after)
			}
		}
		flood(1)
		synctest.Wait() // the handler has it
		flood(4)
		wantTold(100*time.Millisecond, 3, 3)
		time.Sleep(time.Second)
		flood(1)
		time.Sleep(50 * time.Millisecond)
		flood(1)
		wantTold(50*time.Millisecond, 2, 5)
		flood(1)
		leave <- struct{}{} // the handler returns
		wantTold(0, 1, 6)
		flood(2)
		close(leave)
		wantTold(0, 1, 7)
		time.Sleep(time.Second)
		if len(told) > 0 {
			t.Errorf("told %+v once more", <-told)
		}
	})
}

// subscribeSlow has room for two messages, of which the handler has one until
// leave.
func subscribeSlow(t *testing.T, b *memory.CoreNATS, leave <-chan struct{}, told chan<- *broker.DropError) *broker.Subscription {
	t.Helper()
	sub, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
		<-leave
		return nil
	}, broker.PendingLimits{Messages: 2}, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) {
		wantErr(t, err, broker.ErrDropped)
		if e, ok := errors.AsType[*broker.DropError](err); ok {
			told <- e
		}
		runtime.Goexit() // which ends nothing else
	}))
	must(t, err)
	return sub
}

// What a drain finds untold it tells, and it waits for what is being told.
func TestDrainTellsDrops(t *testing.T) {
	for name, before := range map[string]time.Duration{"untold": 0, "being told": 100 * time.Millisecond} {
		bubble(t, name, func(t *testing.T) {
			b := newCore(t, nil)
			leave, told := make(chan struct{}), make(chan *broker.DropError) // telling waits
			sub := subscribeSlow(t, b, leave, told)
			for range 5 {
				publish(t, b, text("s", "x"))
				synctest.Wait()
			}
			time.Sleep(before)
			synctest.Wait()
			drained := make(chan error, 1)
			go func() {
				_, err := sub.Drain(context.Background())
				drained <- err
			}()
			close(leave)
			synctest.Wait()
			if len(drained) > 0 {
				t.Error("the drain is over while drops are told")
			}
			if e := <-told; e.Messages != 3 || e.Total != 3 {
				t.Errorf("told %+v, want 3", e)
			}
			must(t, <-drained)
		})
	}
}
