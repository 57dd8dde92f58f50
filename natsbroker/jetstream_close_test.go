package natsbroker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

func TestJetStreamCloseEndsWaits(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.stream(jetstream.StreamConfig{Name: "SILENT", Subjects: []string{"silent"}, NoAck: true})
	ended := make(chan error, 2)
	go func() {
		_, err := r.Publish(context.WithoutCancel(t.Context()), broker.Message{Subject: "silent"})
		ended <- err
	}()
	go func() {
		_, err := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 1, broker.Wait(time.Hour))
		ended <- err
	}()
	eventually(t, "the receive waits and the publish is there", func() bool {
		return r.info("ORDERS/c").NumWaiting == 1 && r.Conn().Stats().OutMsgs >= 3
	})
	if err := r.Close(soon(t)); err != nil {
		t.Error(err)
	}
	for range 2 {
		wantErr(t, receive(t, ended, "a call to end"), broker.ErrClosed)
	}
	_, err := r.Publish(soon(t), broker.Message{Subject: "orders.new"})
	wantErr(t, err, broker.ErrClosed)
	wantErr(t, r.Close(soon(t)))
}

// What a Receive gets hold of while the broker is closed is given back, for nobody
// could settle it any more.
func TestJetStreamCloseGivesBackWhatIsOnItsWay(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.AckWait = time.Hour })
	j, l := r.slowly()
	type received struct {
		ds  []*broker.Delivery
		err error
	}
	over := make(chan received, 1)
	go func() {
		ds, err := j.Receive(soon(t), "ORDERS/c", 2, broker.Wait(time.Hour))
		over <- received{ds, err}
	}()
	eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
	l.slow(100 * time.Millisecond)
	r.put("orders.new", "a")
	eventually(t, "the message is on its way", func() bool { return r.info("ORDERS/c").NumAckPending == 1 })
	if err := j.Close(soon(t)); err != nil {
		t.Error(err)
	}
	got := receive(t, over, "the receive's end")
	if wantErr(t, got.err, broker.ErrClosed); len(got.ds) > 0 {
		t.Errorf("%d deliveries came of a broker that is closed", len(got.ds))
	}
	if again := r.lease("ORDERS/c", 1)[0]; again.Attempt != 2 {
		t.Errorf("attempt %d, want 2", again.Attempt)
	}
}

// Close has no longer than its context allows to remove the consumers of
// subscriptions, whether the server is gone or only silent.
func TestJetStreamCloseEndsWithItsContext(t *testing.T) {
	for name, opts := range map[string][]broker.SubscribeOption{"fan-out": nil, "ordered": {broker.Ordered{}}} {
		for state, leave := range map[string]func(*rig, *link){
			"gone":   func(r *rig, _ *link) { stopServer(r.server) },
			"silent": func(_ *rig, l *link) { l.silence() },
		} {
			t.Run(name+"/"+state, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, nil)
				r.orders()
				j, l := r.slowly()
				subscribe(t, j, "orders.>", discard, opts...)
				leave(r, l)
				eventually(t, "it is so", func() bool { return j.Conn().IsConnected() == (state == "silent") })
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				began := time.Now()
				err := j.Close(ctx)
				if took := time.Since(began); err == nil || took > 3*time.Second { // a second of which is the receive's
					t.Errorf("with 200 ms it took %v, and said %v", took, err)
				}
				j.Conn().Close() // which ends the removal
			})
		}
	}
}
