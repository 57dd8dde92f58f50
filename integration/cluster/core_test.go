package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

// round is some messages of core NATS, and the Flush after them.
type round struct {
	first, last  int
	began, ended time.Time
	flushed      error
}

// outage is from the kill of a server until the subscriber was back.
type outage struct{ killed, back time.Time }

// A server of core NATS that dies takes messages with it. How many is counted
// here; what must hold is that those published well before and after are there,
// that none comes twice or out of order, and that the publisher is told: the
// server is killed until it had messages that were not flushed.
func TestServerRestartLosesWhatCoreNATSDoesNotPromise(t *testing.T) {
	const roundSize, some = 20, 1000
	node := containers.NATSCluster(t, 1).Node("n1")
	var mu sync.Mutex
	var got []int
	var back time.Time // when the subscriber was connected again
	received := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	subscriber := core(t, node, func(s natsbroker.State, _ error) {
		mu.Lock()
		defer mu.Unlock()
		if s == natsbroker.StateConnected {
			back = time.Now()
		}
	})
	_, err := subscriber.Subscribe(t.Context(), "counted", func(_ context.Context, d *broker.Delivery) error {
		var n int
		_, err := fmt.Sscan(string(d.Body), &n)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	publisher, stop := core(t, node, nil), make(chan struct{})
	var rounds []round
	told := 0
	var running sync.WaitGroup
	running.Go(func() {
		publishRounds(t, publisher, roundSize, stop, func(r round) {
			mu.Lock()
			defer mu.Unlock()
			rounds = append(rounds, r)
			if errors.Is(r.flushed, broker.ErrOutcomeUnknown) {
				told++
			}
		})
	})
	t.Cleanup(running.Wait)
	end := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(end)

	await(t, "messages", func() bool { return received() >= some })
	var outages []outage
	for done := false; !done && len(outages) < 10; {
		killed := time.Now()
		for _, do := range []func(context.Context) error{node.Kill, node.Start} {
			if err := do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "the subscriber's return", func() bool { mu.Lock(); defer mu.Unlock(); return back.After(killed) })
		before := received()
		await(t, "messages after the restart", func() bool { return received() >= before+some })
		mu.Lock()
		outages = append(outages, outage{killed, back})
		done = told > 0
		mu.Unlock()
	}
	end()
	running.Wait()
	last := rounds[len(rounds)-1].last
	await(t, "the last message", func() bool { mu.Lock(); defer mu.Unlock(); return got[len(got)-1] == last })

	mu.Lock()
	defer mu.Unlock()
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Error("messages came twice, or out of order")
	}
	there := map[int]bool{}
	for _, n := range got {
		there[n] = true
	}
	const margin = time.Second // for what is on its way
	var lost, lostTold int
	for _, r := range rounds {
		around := slices.ContainsFunc(outages, func(o outage) bool {
			return r.ended.After(o.killed.Add(-margin)) && r.began.Before(o.back.Add(margin))
		})
		for n := r.first; n <= r.last; n++ {
			switch {
			case there[n]:
			case !around:
				t.Errorf("message %d is lost, published %v after the first kill", n, r.began.Sub(outages[0].killed))
			default:
				lost++
				if r.flushed != nil {
					lostTold++
				}
			}
		}
	}
	if told == 0 { // and once more if the server that starts hangs up on the first to come
		t.Error("no flush told that messages may be lost")
	}
	t.Logf("%d kills; published %d without an error, delivered %d, lost %d: %d before a Flush that said so, %d while the subscriber was away",
		len(outages), last, len(got), lost, lostTold, lost-lostTold)
	if len(got)+lost != last {
		t.Errorf("%d delivered and %d lost are not %d", len(got), lost, last)
	}
}

func core(t *testing.T, node *containers.Node, told func(natsbroker.State, error)) *natsbroker.Broker {
	t.Helper()
	b, err := natsbroker.Connect(t.Context(), node.URL, &natsbroker.Options{OnState: told}, nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	return b
}

// publishRounds publishes numbers from 1 on, with a Flush after each round.
func publishRounds(t *testing.T, b *natsbroker.Broker, size int, stop <-chan struct{}, add func(round)) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	n := 0
	for {
		r := round{first: n + 1, last: n + size, began: time.Now()}
		for ; n < r.last; n++ {
			if _, err := b.Publish(t.Context(), broker.Message{Subject: "counted", Body: fmt.Append(nil, n+1)}); err != nil {
				t.Errorf("publish: %v", err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		r.flushed = b.Flush(ctx)
		cancel()
		r.ended = time.Now()
		add(r)
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
