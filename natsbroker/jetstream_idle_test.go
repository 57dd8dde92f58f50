package natsbroker_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// A subscription to a durable consumer that waits for messages has two
// goroutines of its own: one that receives, and one that keeps leases alive.
func TestJetStreamIdleSubscriptionHasTwoGoroutines(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	const many = 20
	for i := range many {
		r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: fmt.Sprint("idle", i), AckPolicy: jetstream.AckExplicitPolicy})
	}
	// nats.go has goroutines for each connection, and one for the answers to all
	// that is asked on it, which begin with the first question.
	r.put("orders.new", "m")
	if err := r.Delete(soon(t), r.lease("ORDERS/c", 1)...); err != nil {
		t.Fatal(err)
	}
	h, got := inbox(2 * many)
	before := clientGoroutines()
	for i := range many {
		subscribe(t, r, fmt.Sprint("ORDERS/idle", i), h, broker.Group(fmt.Sprint("idle", i)), broker.Concurrency(8))
	}
	waiting := func() bool {
		for i := range many {
			if r.info(fmt.Sprint("ORDERS/idle", i)).NumWaiting != 1 {
				return false
			}
		}
		return true
	}
	eventually(t, "all wait", waiting)
	idle := func() bool { return clientGoroutines() == before+2*many }
	eventually(t, "two goroutines each", idle)
	r.put("orders.new", "m")
	for range many { // all but the one that was there before
		receive(t, got, "a message")
	}
	eventually(t, "all wait again, with two goroutines each", func() bool { return waiting() && idle() })
}

// clientGoroutines counts those that this module or nats.go has begun. Those of
// the server and of the test are others'.
func clientGoroutines() int {
	buf := make([]byte, 1<<20)
	for runtime.Stack(buf, true) == len(buf) {
		buf = make([]byte, 2*len(buf))
	}
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		_, creator, _ := strings.Cut(stack, "created by ")
		ours := strings.Contains(stack, "/candidmq/broker.") || strings.Contains(stack, "/candidmq/natsbroker.") || strings.Contains(stack, "/nats.go")
		if ours && !strings.Contains(creator, "testing.") {
			n++
		}
	}
	return n
}
