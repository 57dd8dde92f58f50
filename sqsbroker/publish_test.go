package sqsbroker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestPublishToStandard(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		body := []byte("body")
		m := broker.Message{Subject: "jobs", Body: body, Tenant: "t", Delay: 1500 * time.Millisecond, Header: broker.Header{"a": "1"}}
		receipt, err := r.Publish(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		clear(body)
		if receipt.Outcome != broker.OutcomeStored || receipt.ID == "" || receipt.Sequence.Present() {
			t.Errorf("receipt: got %+v", receipt)
		}
		sleep(1900 * time.Millisecond)
		r.none(t, "jobs")
		sleep(100 * time.Millisecond)
		d := r.take(t, "jobs", 1)[0]
		if string(d.Body) != "body" || d.Tenant != "t" || d.Header["a"] != "1" || d.ID != receipt.ID {
			t.Errorf("got %+v", d)
		}
	})
}

func TestDedupWindow(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		publish := func() broker.Receipt {
			receipt, err := r.Publish(t.Context(), broker.Message{Subject: "orders.fifo", Body: []byte("a"), Key: "k", DedupID: "d"})
			if err != nil || receipt.Outcome != broker.OutcomeAccepted {
				t.Fatalf("got %+v, %v", receipt, err)
			}
			return receipt
		}
		first := publish()
		if err := r.Delete(t.Context(), r.take(t, "orders.fifo", 1)...); err != nil {
			t.Fatal(err)
		}
		sleep(5*time.Minute - time.Second)
		if again := publish(); again.Sequence != first.Sequence {
			t.Errorf("a duplicate: got %+v, want the sequence of %+v", again, first)
		}
		r.none(t, "orders.fifo")
		sleep(time.Second)
		publish()
		r.take(t, "orders.fifo", 1)
	})
}

func TestPublishRefusesBeforeAnyCall(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		body := []byte("a")
		for _, c := range []struct {
			name string
			m    broker.Message
			want error
		}{
			{"no subject", broker.Message{Body: body}, broker.ErrInvalid},
			{"a subject that is no queue name", broker.Message{Subject: "orders.placed", Body: body}, broker.ErrInvalid},
			{"a wildcard", broker.Message{Subject: "orders.*", Body: body}, broker.ErrInvalid},
			{"an ARN of another region", broker.Message{Subject: "arn:aws:sqs:eu-west-1:123456789012:jobs", Body: body}, broker.ErrInvalid},
			{"an empty body", broker.Message{Subject: "jobs"}, broker.ErrInvalid},
			{"a binary body, too large in base64", broker.Message{Subject: "jobs", Body: make([]byte, 800_000)}, broker.ErrTooLarge},
			{"too large", broker.Message{Subject: "jobs", Body: make([]byte, 1<<20+1)}, broker.ErrInvalid},
			{"CR in a header", broker.Message{Subject: "jobs", Body: body, Header: broker.Header{"a": "b\rc"}}, broker.ErrInvalid},
			{"a key on Standard", broker.Message{Subject: "jobs", Body: body, Key: "k"}, errors.ErrUnsupported},
			{"a delay of 20 min", broker.Message{Subject: "jobs", Body: body, Delay: 20 * time.Minute}, errors.ErrUnsupported},
			{"a negative delay", broker.Message{Subject: "jobs", Body: body, Delay: -1}, broker.ErrInvalid},
			{"a TTL", broker.Message{Subject: "jobs", Body: body, TTL: time.Hour}, errors.ErrUnsupported},
			{"ReplyTo", broker.Message{Subject: "jobs", Body: body, ReplyTo: "r"}, errors.ErrUnsupported},
			{"no key on FIFO", broker.Message{Subject: "jobs.fifo", Body: body}, broker.ErrInvalid},
			{"a delay on FIFO", broker.Message{Subject: "jobs.fifo", Body: body, Key: "k", Delay: 1}, errors.ErrUnsupported},
		} {
			if c.name == "too large" {
				for i := range c.m.Body {
					c.m.Body[i] = 'x'
				}
				_, err := r.Publish(t.Context(), c.m)
				wantError(t, c.name, err, broker.ErrTooLarge)
			}
			_, err := r.Publish(t.Context(), c.m)
			wantError(t, c.name, err, c.want)
			_, err = r.PublishBatch(t.Context(), []broker.Message{c.m})
			wantError(t, c.name+", batch", err, c.want)
		}
		if calls := r.called(); len(calls) != 0 {
			t.Errorf("calls were made: %v", calls)
		}
		_, err := r.Publish(t.Context(), broker.Message{Subject: "orders.placed", Body: body})
		if err == nil || !strings.Contains(err.Error(), "Options.Queues") {
			t.Errorf("got %v, want it to say how to map the name", err)
		}
	})
}

// What only the queue's attributes tell is refused before the send, too, and
// not for longer than it is true.
func TestPublishKnowsTheQueue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "MaximumMessageSize", "1024")
		r.create(t, "orders.fifo")
		large := broker.Message{Subject: "jobs", Body: []byte(strings.Repeat("x", 1025))}
		noID := broker.Message{Subject: "orders.fifo", Key: "k", Body: []byte("a")}
		_, err := r.Publish(t.Context(), large)
		wantError(t, "too large for the queue", err, broker.ErrTooLarge)
		_, err = r.Publish(t.Context(), noID)
		wantError(t, "no DedupID", err, broker.ErrInvalid)
		if c := r.called(); c["SendMessage"] != 0 {
			t.Errorf("it was sent: %v", c)
		}
		r.set(t, "jobs", "MaximumMessageSize", "2048")
		r.set(t, "orders.fifo", "ContentBasedDeduplication", "true")
		sleep(time.Minute)
		for _, m := range []broker.Message{large, noID} {
			if _, err := r.Publish(t.Context(), m); err != nil {
				t.Errorf("a minute after the queue was changed: %v", err)
			}
		}
	})
}

func TestIgnoredFields(t *testing.T) {
	inBubble(t, &Options{Ignore: broker.FieldKey | broker.FieldTTL}, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		m := broker.Message{Subject: "jobs", Body: []byte("a"), Key: "k", TTL: time.Hour}
		if _, err := r.Publish(t.Context(), m); err != nil {
			t.Error(err)
		}
		if _, err := r.PublishBatch(t.Context(), []broker.Message{m}); err != nil {
			t.Error(err)
		}
	})
}
