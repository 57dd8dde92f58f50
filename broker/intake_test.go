package broker_test

import (
	"context"
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
	answer func(ctx context.Context, call, most int) ([]*broker.Delivery, error)
}

func (s *scriptedReceiver) Receive(ctx context.Context, _ string, most int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	return s.answer(ctx, int(s.calls.Add(1))-1, most)
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
	r.answer = func(ctx context.Context, call, most int) ([]*broker.Delivery, error) {
		time.Sleep(time.Second)        // so that both are under way
		if call == 0 || call == full { // the first fills a batch, so that a further poll starts
			return messages(most), nil
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
