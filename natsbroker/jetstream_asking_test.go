package natsbroker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// parcels are messages each of which takes a slow link a while.
const (
	parcels     = 50
	parcelDelay = 40 * time.Millisecond
)

func (r *rig) parcels(n int) {
	r.Helper()
	padding := bytes.Repeat([]byte("x"), 64<<10)
	for i := range n {
		publish(r, r, broker.Message{Subject: "orders.new", Body: append([]byte(fmt.Sprintf("%03d", i)), padding...)})
	}
}

// slowly is a broker at the far end of a slow link.
func (r *rig) slowly() (*natsbroker.JetStream, *link) {
	r.Helper()
	l := linkTo(r, r.server.Addr().String())
	nc, err := nats.Connect(l.url())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(nc.Close)
	j, err := natsbroker.NewJetStream(nc, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		l.slow(0)
		_ = j.Close(context.WithoutCancel(r.Context()))
	})
	return j, l
}

// A link on which the messages of a batch are further apart than a pause between
// batches: what was sent is returned, and not left leased to nobody.
func TestJetStreamReceiveOnASlowLink(t *testing.T) {
	t.Parallel() // it takes what the link takes
	r := newRig(t, nil)
	r.orders()
	r.parcels(parcels)
	j, l := r.slowly()
	l.slow(parcelDelay)
	ds, err := j.Receive(soon(t), "ORDERS/c", parcels)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.info("ORDERS/c").NumAckPending; n != len(ds) {
		t.Errorf("%d messages were returned, and %d are leased: the others are with nobody, and have lost an attempt", len(ds), n)
	}
}

// The same with a dead-letter subject: a message ends there after it was tried.
func TestJetStreamDeadLettersOnASlowLinkWereSeen(t *testing.T) {
	t.Parallel() // it takes what the link takes
	r := newRig(t, nil)
	r.deadLettered(1, 4*time.Second)
	r.parcels(parcels)
	j, l := r.slowly()
	l.slow(parcelDelay)
	var mu sync.Mutex
	seen := map[string]int{}
	sub := subscribe(t, j, "ORDERS/c", func(_ context.Context, d *broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(d.Body[:3])]++
		return nil
	}, broker.Group("c"), broker.Concurrency(parcels))
	for end := time.Now().Add(3 * patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if info := r.info("ORDERS/c"); info.NumPending == 0 && info.NumAckPending == 0 {
			break
		}
	}
	l.slow(0)
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	if len(seen) != parcels {
		t.Errorf("%d of %d messages were handled", len(seen), parcels)
	}
	if dead := r.info("DEAD/c").NumPending; dead > 0 {
		t.Errorf("%d dead letters, where no handler has failed", dead)
	}
}

func TestJetStreamOrderedOnASlowLink(t *testing.T) {
	t.Parallel() // it takes what the link takes
	r := newRig(t, nil)
	r.orders()
	r.parcels(parcels)
	j, l := r.slowly()
	h, got := inbox(parcels)
	log := newErrorLog()
	l.slow(parcelDelay)
	sub := subscribe(t, j, "orders.>", h, broker.Ordered{}, broker.FromFirst(), log.option())
	for i := range parcels {
		if d := receive(t, got, "a message"); string(d.Body[:3]) != fmt.Sprintf("%03d", i) {
			t.Fatalf("message %s, want %03d", d.Body[:3], i)
		}
	}
	l.slow(0)
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	if len(log.rang) > 0 {
		t.Errorf("told of %v, where nothing was lost", <-log.rang)
	}
}

// Between two servers of a cluster a link may be slow too. A round trip to the
// server connected to says nothing of that.
func TestJetStreamReceiveOverASlowRoute(t *testing.T) {
	t.Parallel() // a cluster takes a second
	ports := []string{freePort(t), freePort(t)}
	address := func(i int) string { return "127.0.0.1:" + ports[i] }
	l := linkTo(t, address(0))
	far := clusterNode(t, "far", ports[0], "nats://"+address(0))
	near := clusterNode(t, "near", ports[1], l.url())
	eventually(t, "there is a leader", func() bool {
		return (near.JetStreamIsLeader() || far.JetStreamIsLeader()) && near.JetStreamIsCurrent() && far.JetStreamIsCurrent()
	})
	r := rigOn(t, far, nil)
	eventually(t, "the stream is made", func() bool {
		_, err := r.js.CreateStream(soon(t), jetstream.StreamConfig{
			Name: "ORDERS", Subjects: []string{"orders.>"}, Placement: &jetstream.Placement{Tags: []string{"far"}},
		})
		return err == nil
	})
	r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	const total = 20
	r.parcels(total)
	j, err := natsbroker.NewJetStream(dial(t, near), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close(context.WithoutCancel(t.Context())) }()
	l.slow(parcelDelay)
	ds, err := j.Receive(soon(t), "ORDERS/c", total)
	l.slow(0)
	if n := r.info("ORDERS/c").NumAckPending; err != nil || n != len(ds) {
		t.Errorf("%d messages were returned (%v), and %d are leased", len(ds), err, n)
	}
}

// clusterNode is a server with JetStream in a cluster.
func clusterNode(tb testing.TB, name, port, route string) *server.Server {
	tb.Helper()
	to, err := url.Parse(route)
	if err != nil {
		tb.Fatal(err)
	}
	at, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return startServer(tb, withJetStream(tb), func(o *server.Options) {
		o.ServerName, o.Tags = name, []string{name}
		o.Cluster = server.ClusterOpts{Name: "cluster", Host: o.Host, Port: at, NoAdvertise: true, PoolSize: -1}
		o.Routes = []*url.URL{to}
	})
}

// freePort is one that nobody listened on a moment ago.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// Where max_ack_pending ends a batch the server sends no word of it. What is there
// is returned all the same, without waiting for more.
func TestJetStreamReceiveUpToMaxAckPending(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.MaxAckPending = 4 })
	r.put("orders.new", "a", "b", "c", "d", "e", "f")
	other, err := natsbroker.NewJetStream(r.js.Conn(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(soon(t)) }()
	if _, err := other.Receive(soon(t), "ORDERS/c", 1); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ds, err := r.Receive(soon(t), "ORDERS/c", 10)
	if took := time.Since(began); err != nil || len(ds) != 3 || took > time.Second {
		t.Errorf("%d messages, %v, after %v; want the 3 that max_ack_pending leaves, at once", len(ds), err, took)
	}
	if n := r.info("ORDERS/c").NumAckPending; n != 4 {
		t.Errorf("%d messages are leased, want 4", n)
	}
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Fatal(err)
	}
	if ds, err = r.Receive(soon(t), "ORDERS/c", 10); err != nil || len(ds) != 2 {
		t.Errorf("then %d messages came, %v; want 2", len(ds), err)
	}
}
