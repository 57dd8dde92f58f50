package natsbroker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// deadLettered makes orders with a consumer whose messages are put to rest after
// so many attempts, in the stream DEAD with a consumer c.
func (r *rig) deadLettered(attempts int, ackWait time.Duration) {
	r.Helper()
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	r.consumer("DEAD", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata = natsbroker.DeadLetters{Subject: "dead.orders", MaxAttempts: attempts}.Metadata(nil)
		c.AckWait = ackWait
	})
}

// What goes wrong with one message is nobody else's: the others are handled, and
// each bad one ends as a dead letter, or is handled after all.
func TestJetStreamPoison(t *testing.T) {
	r := newRig(t, nil)
	const attempts, lease = 3, 300 * time.Millisecond
	r.deadLettered(attempts, lease)
	var mu sync.Mutex
	seen := map[string]int{}
	handled := make(chan string, 20)
	var sub *broker.Subscription
	ready := make(chan struct{})
	log := newErrorLog()
	sub = subscribe(t, r, "ORDERS/c", func(_ context.Context, d *broker.Delivery) error {
		<-ready
		body := string(d.Body)
		mu.Lock()
		seen[body]++
		mu.Unlock()
		switch body {
		case "fails":
			return errors.New("it always fails")
		case "panics":
			panic("it always panics")
		case "refused":
			return broker.Reject(errors.New("it makes no sense"))
		case "slow": // for longer than its lease
			eventually(t, "its lease is renewed", func() bool { return sub.Counts().Extended >= 3 })
		case "no headers":
			if len(d.Header) > 0 {
				t.Errorf("got the headers %q", d.Header)
			}
		}
		handled <- body
		return nil
	}, broker.Group("c"), broker.Concurrency(4), broker.Backoff{Min: time.Millisecond, Max: time.Millisecond}, log.option())
	close(ready)

	r.put("orders.new", "first", "fails", "panics", "refused", "slow")
	head, body := "NATS/1.0\r\nthis is no header\r\n\r\n", "no headers"
	raw(t, r.server, fmt.Sprintf("HPUB orders.new %d %d\r\n%s%s\r\n", len(head), len(head)+len(body), head, body))
	r.put("orders.new", "last")
	var good []string
	for range 4 {
		good = append(good, receive(t, handled, "a good message"))
	}
	slices.Sort(good)
	if want := []string{"first", "last", "no headers", "slow"}; !slices.Equal(good, want) {
		t.Errorf("handled: %q, want %q", good, want)
	}

	reasons := map[string]string{}
	for _, d := range r.lease("DEAD/c", 3) {
		reasons[string(d.Body)] = d.Header[broker.RejectAttemptsHeader] + ": " + d.Header[broker.RejectReasonHeader]
	}
	for body, want := range map[string]string{"fails": "3: tried 3 times", "panics": "3: tried 3 times", "refused": "1: it makes no sense"} {
		if reasons[body] != want {
			t.Errorf("%s ended as %q, want %q", body, reasons[body], want)
		}
	}
	eventually(t, "all is settled", func() bool {
		info := r.info("ORDERS/c")
		return info.NumAckPending == 0 && info.NumPending == 0
	})
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for body, n := range map[string]int{"first": 1, "slow": 1, "no headers": 1, "fails": attempts, "panics": attempts, "refused": 1} {
		if seen[body] != n {
			t.Errorf("%s was handled %d times, want %d", body, seen[body], n)
		}
	}
	if c := sub.Counts(); c.Panicked != attempts || c.LeasesLost != 0 {
		t.Errorf("got %+v", c)
	}
}

// A message whose reader takes too long each time comes again, and ends as a dead
// letter; those behind it are delivered meanwhile.
func TestJetStreamPoisonOfOverrunLeases(t *testing.T) {
	r := newRig(t, nil)
	r.deadLettered(2, 100*time.Millisecond)
	r.put("orders.new", "slow", "good")
	first := r.lease("ORDERS/c", 1)
	if err := r.Delete(soon(t), r.lease("ORDERS/c", 1)...); err != nil { // the good one
		t.Fatal(err)
	}
	second := r.lease("ORDERS/c", 1)
	if string(second[0].Body) != "slow" || second[0].Attempt != 2 {
		t.Errorf("got %s, attempt %d", second[0].Body, second[0].Attempt)
	}
	wantErr(t, broker.ItemError(r.Delete(soon(t), first...), 0), broker.ErrLeaseLost)
	dead := make(chan *broker.Delivery, 1)
	h := func(_ context.Context, d *broker.Delivery) error {
		dead <- d
		return nil
	}
	subscribe(t, r, "DEAD/c", h, broker.Group("c"))
	subscribe(t, r, "ORDERS/c", func(_ context.Context, d *broker.Delivery) error {
		t.Errorf("handled: %s, attempt %d", d.Body, d.Attempt)
		return nil
	}, broker.Group("c"))
	d := receive(t, dead, "the dead letter")
	if string(d.Body) != "slow" || d.Header[broker.RejectAttemptsHeader] != "2" {
		t.Errorf("got %s with the headers %q", d.Body, d.Header)
	}
	wantErr(t, broker.ItemError(r.Delete(soon(t), second...), 0), broker.ErrLeaseLost)
}

// A process that dies after it has stored the copy, and before the message is
// put to rest, leaves neither none nor two.
func TestJetStreamDeadLetterIsOneAfterADeath(t *testing.T) {
	s := startServer(t, withJetStream(t), withUserWhoMayNot("$JS.ACK.>"))
	r := rigOn(t, s, nil, nats.UserInfo("all", "p"))
	r.deadLettered(5, 200*time.Millisecond)
	dying, err := natsbroker.NewJetStream(dial(t, s, nats.UserInfo("few", "p"), quiet), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dying.Close(soon(t)) }()
	native := &nats.Msg{Subject: "orders.new", Data: []byte("m"), Header: nats.Header{"k": {"one", "two"}, "Nats-Msg-Id": {"id"}}}
	if _, err := r.js.PublishMsg(soon(t), native); err != nil {
		t.Fatal(err)
	}
	ds, err := dying.Receive(soon(t), "ORDERS/c", 1)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantErr(t, broker.ItemError(dying.Reject(ctx, "no", ds...), 0), broker.ErrOutcomeUnknown)

	again := r.lease("ORDERS/c", 1)
	if again[0].Attempt != 2 {
		t.Errorf("attempt %d, want it to come again", again[0].Attempt)
	}
	if err := r.Reject(soon(t), "no", again...); err != nil {
		t.Fatal(err)
	}
	if info := r.info("DEAD/c"); info.NumPending != 1 {
		t.Errorf("%d dead letters", info.NumPending)
	}
	var letter *nats.Msg
	d := r.lease("DEAD/c", 1)[0]
	if !d.As(&letter) || !slices.Equal(letter.Header["k"], []string{"one", "two"}) || d.DedupID == "id" {
		t.Errorf("got the headers %q", letter.Header)
	}
	for key, want := range map[string]string{
		broker.RejectReasonHeader: "no", broker.RejectSourceHeader: "ORDERS/c",
		broker.RejectSubjectHeader: "orders.new", broker.RejectSequenceHeader: "1",
	} {
		if d.Header[key] != want {
			t.Errorf("%s is %q, want %q", key, d.Header[key], want)
		}
	}
	if !strings.HasPrefix(d.DedupID, "reject-") {
		t.Errorf("its id is %q", d.DedupID)
	}
}

// A message whose headers cannot be parsed is delivered without them, and that is
// told.
func TestJetStreamLostHeadersAreLogged(t *testing.T) {
	var logged bytes.Buffer
	r := newRig(t, &natsbroker.JetStreamOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	r.orders()
	r.put("orders.new", "without any")
	r.lease("ORDERS/c", 1)
	if logged.Len() > 0 {
		t.Errorf("logged %s", &logged)
	}
	head, body := "NATS/1.0\r\nTrace: 7\r\nthis is no header\r\n\r\n", "with bad ones"
	raw(t, r.server, fmt.Sprintf("HPUB orders.new %d %d\r\n%s%s\r\n", len(head), len(head)+len(body), head, body))
	d := r.lease("ORDERS/c", 1)[0]
	if string(d.Body) != body || len(d.Header) > 0 {
		t.Errorf("got %q with the header %q", d.Body, d.Header)
	}
	if text := logged.String(); !strings.Contains(text, "without its headers") || !strings.Contains(text, d.ID) || strings.Contains(text, body) {
		t.Errorf("logged %q, want the id and no body", text)
	}
}
