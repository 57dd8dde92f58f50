package memory_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestSQSDelivery(t *testing.T) {
	bubble(t, "standard", func(t *testing.T) {
		b := closing(t, memory.NewSQS(&memory.SQSOptions{Queues: map[string]string{
			"orders.placed": "arn:aws:sqs:eu-central-1:123456789012:orders",
		}}))
		must(t, b.CreateQueue("orders", memory.QueueOptions{}))
		m := broker.Message{
			Subject: "orders.placed", Body: []byte("a"), Header: broker.Header{"trace": "1"}, Tenant: "t",
		}
		sent := publish(t, b, m)
		m.Body[0], m.Header["trace"] = 'x', "x" // the caller's again
		d := one(t, b, "orders.placed")
		if string(d.Body) != "a" || !maps.Equal(d.Header, broker.Header{"trace": "1"}) {
			t.Errorf("got %s %v, want what was published", d.Body, d.Header)
		}
		if d.Subject != "orders.placed" || d.Source != "orders" || d.ID != sent.ID || d.Tenant != "t" || d.Key != "" {
			t.Errorf("got %+v", d)
		}
		if !d.Time.Equal(time.Now()) || d.Attempt != 1 || d.Sequence.Present() {
			t.Errorf("got %+v", d)
		}
		must(t, b.Release(t.Context(), 0, d))
		one(t, b, "https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
	})
	bubble(t, "fifo", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		sent := publish(t, b, inGroup("q.fifo", "k", "id", "a"))
		d := one(t, b, "q.fifo")
		if d.Key != "k" || d.DedupID != "id" || d.Tenant != "" || d.Sequence != sent.Sequence || !d.Sequence.Present() {
			t.Errorf("got %+v, want sequence %v", d, sent.Sequence)
		}
		var native memory.Native
		if !d.As(&native) || !native.FirstReceive.Equal(time.Now()) || d.As(nil) || d.As((*memory.Native)(nil)) || d.As(new(int)) {
			t.Errorf("As: got %+v", native)
		}
	})
}

func TestSQSBadInput(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{MaxMessage: 1024})
	must(t, b.CreateQueue("waits", memory.QueueOptions{Wait: time.Second}))
	receive := func(queue string, limit int, opts ...broker.ReceiveOption) error {
		_, err := b.Receive(t.Context(), queue, limit, opts...)
		return err
	}
	send := func(m broker.Message) error {
		_, err := b.Publish(t.Context(), m)
		return err
	}
	subscribe := func(queue string, opts ...broker.SubscribeOption) error {
		_, err := b.Subscribe(t.Context(), queue, func(context.Context, *broker.Delivery) error { return nil }, opts...)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"no subject":             {send(text("", "a")), broker.ErrInvalid},
		"no queue's name":        {send(text("orders.placed", "a")), broker.ErrInvalid},
		"unknown queue":          {send(text("other", "a")), broker.ErrNotFound},
		"empty body":             {send(text("q", "")), broker.ErrInvalid},
		"too large":              {send(text("q", strings.Repeat("x", 1025))), broker.ErrTooLarge},
		"header with CR":         {send(broker.Message{Subject: "q", Body: []byte("a"), Header: broker.Header{"a": "\r"}}), broker.ErrInvalid},
		"key on Standard":        {send(inGroup("q", "k", "", "a")), errors.ErrUnsupported},
		"delay over 15 minutes":  {send(broker.Message{Subject: "q", Body: []byte("a"), Delay: 16 * time.Minute}), errors.ErrUnsupported},
		"negative delay":         {send(broker.Message{Subject: "q", Body: []byte("a"), Delay: -1}), broker.ErrInvalid},
		"no message wanted":      {receive("q", 0), broker.ErrInvalid},
		"receive unknown":        {receive("other", 1), broker.ErrNotFound},
		"wait over 20 s":         {receive("q", 1, broker.Wait(21*time.Second)), errors.ErrUnsupported},
		"negative wait":          {receive("q", 1, broker.Wait(-1)), broker.ErrInvalid},
		"lease of 0":             {receive("q", 1, broker.Lease(0)), broker.ErrInvalid},
		"lease over 12 h":        {receive("q", 1, broker.Lease(13*time.Hour)), errors.ErrUnsupported},
		"short poll, own wait":   {receive("waits", 1, broker.Wait(0)), errors.ErrUnsupported},
		"unknown option":         {receive("q", 1, odd{}), errors.ErrUnsupported},
		"extend over 12 h":       {b.Extend(t.Context(), 13*time.Hour), errors.ErrUnsupported},
		"negative release":       {b.Release(t.Context(), -1), broker.ErrInvalid},
		"subscribe, no group":    {subscribe("q"), errors.ErrUnsupported},
		"subscribe, fan-out":     {subscribe("orders.*"), errors.ErrUnsupported},
		"subscribe, unknown":     {subscribe("other", broker.Group("g")), broker.ErrNotFound},
		"subscribe, long lease":  {subscribe("q", broker.Group("g"), broker.Lease(13*time.Hour)), errors.ErrUnsupported},
		"subscribe, odd option":  {subscribe("q", broker.Group("g"), odd{}), errors.ErrUnsupported},
		"subscribe, concurrency": {subscribe("q", broker.Group("g"), broker.Concurrency(0)), broker.ErrInvalid},
		"describe unknown":       {broker.Require(t.Context(), b, "other"), broker.ErrNotFound},
		"purge unknown":          {b.Purge("other"), broker.ErrNotFound},
		"delete unknown":         {b.DeleteQueue("other"), broker.ErrNotFound},
		"update unknown":         {b.UpdateQueue("other", memory.QueueOptions{}), broker.ErrNotFound},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: got %v, want %v", name, test.err, test.want)
		}
	}
	if s, err := b.Contents("q"); err != nil || len(s.Ready)+len(s.Delayed) > 0 {
		t.Errorf("something was sent: %+v, %v", s, err)
	}
}

type odd struct{}

func (odd) ReceiveOption()   {}
func (odd) SubscribeOption() {}

func TestIgnore(t *testing.T) {
	b := closing(t, memory.NewSQS(&memory.SQSOptions{Ignore: broker.FieldKey | broker.FieldDedupID}))
	must(t, b.CreateQueue("q", memory.QueueOptions{}))
	publish(t, b, inGroup("q", "k", "id", "a"))
	if d := one(t, b, "q"); d.Key != "" || d.DedupID != "" {
		t.Errorf("got %+v, want no key and no id", d)
	}
}

func TestCreateQueue(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{Delay: time.Second, DeadLetter: "dead"})
	must(t, b.CreateQueue("q", memory.QueueOptions{Delay: time.Second, DeadLetter: "dead", MaxReceives: 10, Visibility: 30 * time.Second}))
	for field, bad := range map[string]struct {
		name string
		o    memory.QueueOptions
	}{
		"name":       {"q", memory.QueueOptions{}},
		"Subject":    {"a b", memory.QueueOptions{}},
		"Visibility": {"r", memory.QueueOptions{Visibility: 13 * time.Hour}},
		"Delay":      {"r", memory.QueueOptions{Delay: -time.Second}},
		"Retention":  {"r", memory.QueueOptions{Retention: time.Second}},
		"Wait":       {"r", memory.QueueOptions{Wait: 1500 * time.Millisecond}},
		"MaxMessage": {"r", memory.QueueOptions{MaxMessage: 1}},
		"DeadLetter": {"r.fifo", memory.QueueOptions{DeadLetter: "dead"}},
		"DedupScope": {"r", memory.QueueOptions{ContentBasedDedup: true}},
	} {
		wantField(t, b.CreateQueue(bad.name, bad.o), field)
	}
	for _, o := range []memory.QueueOptions{
		{DeadLetter: "r"}, {DeadLetter: "other"}, {MaxReceives: 1}, {DeadLetter: "dead", MaxReceives: 1001}, {DedupScope: broker.ScopeKey},
	} {
		wantErr(t, b.CreateQueue("r", o), broker.ErrInvalid)
	}
	wantErr(t, b.CreateQueue("r.fifo", memory.QueueOptions{DedupScope: broker.ScopeStream}), broker.ErrInvalid)
}

func TestUpdateQueueHoldsAtOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		must(t, b.UpdateQueue("q", memory.QueueOptions{Visibility: time.Hour, MaxMessage: 1024}))
		publish(t, b, text("q", "a"))
		if got := time.Until(one(t, b, "q").LeaseEnd); got != time.Hour {
			t.Errorf("got a lease of %v, want 1h", got)
		}
		_, err := b.Publish(t.Context(), text("q", strings.Repeat("x", 1025)))
		wantErr(t, err, broker.ErrTooLarge)
	})
}

func TestDeleteQueueEndsReceives(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		go func() {
			time.Sleep(time.Second)
			if err := b.DeleteQueue("q"); err != nil {
				t.Error(err)
			}
		}()
		_, err := b.Receive(t.Context(), "q", 1)
		wantErr(t, err, broker.ErrNotFound)
		_, err = b.Publish(t.Context(), text("q", "a"))
		wantErr(t, err, broker.ErrNotFound)
	})
}

func TestPublishBatch(t *testing.T) {
	ms := []broker.Message{
		inGroup("q.fifo", "a", "1", "a0"), inGroup("q.fifo", "a", "2", "a1"), inGroup("q.fifo", "b", "3", "b0"),
		inGroup("gone.fifo", "a", "4", "x"),
	}
	t.Run("keeps the order of a key", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		boom := errors.New("boom")
		b.FailNext(memory.OpPublish, 1, boom)
		receipts, err := b.PublishBatch(t.Context(), ms)
		for i, want := range []error{boom, broker.ErrSkipped, nil, broker.ErrNotFound} {
			got := broker.ItemError(err, i)
			if !errors.Is(got, want) || (got == nil) != (receipts[i].Outcome == broker.OutcomeAccepted) {
				t.Errorf("message %d: got %v, %v; want %v", i, receipts[i], got, want)
			}
		}
		if d := one(t, b, "q.fifo"); string(d.Body) != "b0" {
			t.Errorf("got %s, want b0", d.Body)
		}
		_, err = b.PublishBatch(t.Context(), nil)
		must(t, err)
	})
	t.Run("bad input sends nothing", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		receipts, err := b.PublishBatch(t.Context(), append(slices.Clone(ms), inGroup("q.fifo", "", "5", "y")))
		batch, ok := errors.AsType[*broker.BatchError](err)
		if !ok || len(batch.Errs) != 5 || len(receipts) != 5 {
			t.Fatalf("got %v, want an error for each of the five", err)
		}
		for i, want := range []error{broker.ErrSkipped, broker.ErrSkipped, broker.ErrSkipped, broker.ErrNotFound} {
			wantErr(t, batch.Errs[i], want)
		}
		wantField(t, batch.Errs[4], "Key")
		none(t, b, "q.fifo")
	})
}

func TestSQSFailNext(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{})
	publish(t, b, text("q", "a"))
	d := one(t, b, "q")
	boom := errors.New("boom")
	calls := map[memory.Op]func() error{
		memory.OpPublish: func() error { _, err := b.Publish(t.Context(), text("q", "b")); return err },
		memory.OpReceive: func() error { _, err := b.Receive(t.Context(), "q", 1, broker.Wait(0)); return err },
		memory.OpDelete:  func() error { return b.Delete(t.Context(), d) },
		memory.OpExtend:  func() error { return b.Extend(t.Context(), time.Minute, d) },
		memory.OpRelease: func() error { return b.Release(t.Context(), 0, d) },
		memory.OpReject:  func() error { return b.Reject(t.Context(), "", d) },
		memory.OpSubscribe: func() error {
			_, err := b.Subscribe(t.Context(), "q", func(context.Context, *broker.Delivery) error { return nil }, broker.Group("g"))
			return err
		},
		memory.OpDescribe: func() error { _, err := b.Describe(t.Context(), "q"); return err },
		memory.OpPing:     func() error { return b.Ping(t.Context()) },
	}
	b.FailNext(memory.OpPing, 0, boom)
	must(t, b.Ping(t.Context()))
	for op := range calls {
		b.FailNext(op, 1, boom)
		b.FailNext(op, 1, broker.ErrThrottled)
	}
	for op, call := range calls {
		wantErr(t, call(), boom)
		wantErr(t, call(), broker.ErrThrottled)
		if t.Failed() {
			t.Fatalf("%s did not fail as asked", op)
		}
	}
	if s, _ := b.Contents("q"); len(s.InFlight) != 1 || len(s.Ready) != 0 {
		t.Errorf("a failed call had an effect: %+v", s)
	}
	must(t, b.Delete(t.Context(), d))
}

func TestSQSDescribe(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{DeadLetter: "dead", MaxReceives: 3, Delay: time.Second})
	s, err := b.Describe(t.Context(), "q")
	must(t, err)
	if s.Backend != "memory" || s.Kind != "standard queue" || s.Destination != "q" {
		t.Errorf("got %s %s %s", s.Destination, s.Backend, s.Kind)
	}
	must(t, broker.Require(t.Context(), b, "q", broker.NeedAtLeastOnce(), broker.NeedStored(), broker.NeedLease(30*time.Second),
		broker.NeedAttempts(3, 3), broker.NeedDeadLetter(), broker.NeedDelay(15*time.Minute), broker.NeedMaxMessage(1<<20),
		broker.NeedHeaders(10), broker.NeedRetention(4*24*time.Hour), broker.NeedNoDrop(), broker.NeedCompeting(), broker.NeedInFlight(120_000)))
	for _, need := range []broker.Need{
		broker.NeedOrder(), broker.NeedFanOut(), broker.NeedRequestReply(), broker.NeedDedup(time.Second, broker.ScopeKey), broker.NeedTTL(),
	} {
		wantErr(t, broker.Require(t.Context(), b, "q", need), errors.ErrUnsupported)
	}
	must(t, b.UpdateQueue("q", memory.QueueOptions{DeadLetter: "dead", Visibility: time.Hour}))
	must(t, broker.Require(t.Context(), b, "q", broker.NeedLease(time.Hour), broker.NeedAttempts(10, 10)))
	must(t, b.DeleteQueue("dead"))
	wantErr(t, broker.Require(t.Context(), b, "q", broker.NeedDeadLetter()), errors.ErrUnsupported)

	must(t, b.CreateQueue("q.fifo", memory.QueueOptions{DedupScope: broker.ScopeKey}))
	must(t, broker.Require(t.Context(), b, "q.fifo", broker.NeedStrictOrder(), broker.NeedOrder(), broker.NeedDedup(5*time.Minute, broker.ScopeKey)))
	for _, need := range []broker.Need{broker.NeedDelay(time.Second), broker.NeedDedup(time.Second, broker.ScopeDestination), broker.NeedDeadLetter()} {
		wantErr(t, broker.Require(t.Context(), b, "q.fifo", need), errors.ErrUnsupported)
	}
}

func TestSQSConcurrently(t *testing.T) {
	for _, queue := range []string{"q", "q.fifo"} {
		t.Run(queue, func(t *testing.T) {
			b := newSQS(t, queue, memory.QueueOptions{})
			const publishers, each = 4, 100
			var handled sync.Map
			var doubles atomic.Int64
			sub, err := b.Subscribe(t.Context(), queue, func(_ context.Context, d *broker.Delivery) error {
				if _, seen := handled.LoadOrStore(string(d.Body), true); seen {
					doubles.Add(1)
				}
				return nil
			}, broker.Group("g"), broker.Concurrency(8))
			must(t, err)
			var all sync.WaitGroup
			for p := range publishers {
				all.Go(func() {
					for i := range each {
						id := strconv.Itoa(p) + "-" + strconv.Itoa(i)
						m := text(queue, id)
						if queue == "q.fifo" {
							m.Key, m.DedupID = strconv.Itoa(i%7), id
						}
						if _, err := b.Publish(t.Context(), m); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			must(t, b.WaitIdle(t.Context()))
			_, err = sub.Drain(t.Context())
			must(t, err)
			if n := sub.Counts().Deleted; n != publishers*each || doubles.Load() != 0 {
				t.Errorf("%d deleted and %d handled twice, want %d and 0", n, doubles.Load(), publishers*each)
			}
		})
	}
}

// What no queue of the kind takes is told before whether there is one, and all
// options that are wrong together.
func TestBadInputComesFirst(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{})
	_, err := b.Publish(t.Context(), text("none", ""))
	wantField(t, err, "Body")
	_, err = b.Publish(t.Context(), text("none", "a"))
	wantErr(t, err, broker.ErrNotFound)
	_, err = b.Receive(t.Context(), "none", 0, broker.Wait(21*time.Second), broker.Lease(-1))
	wantErr(t, err, errors.ErrUnsupported)
	for _, field := range []string{"limit", "Lease"} {
		if !strings.Contains(err.Error(), "invalid "+field) {
			t.Errorf("got %v, want it to name %s", err, field)
		}
	}
}

// SQS hashes what it sees, which of a body that is no text is its encoding.
func TestContentDedupOfBinaryBody(t *testing.T) {
	b := newSQS(t, "q.fifo", memory.QueueOptions{ContentBasedDedup: true})
	publish(t, b, inGroup("q.fifo", "a", "", "\x00\xff"), inGroup("q.fifo", "a", "", "\x00\xff"))
	d := one(t, b, "q.fifo")
	sum := sha256.Sum256([]byte("AP8="))
	if want := hex.EncodeToString(sum[:]); d.DedupID != want || string(d.Body) != "\x00\xff" {
		t.Errorf("got %q with id %s, want %s", d.Body, d.DedupID, want)
	}
}

func TestDedupIDOfDeadLetter(t *testing.T) {
	b := newSQS(t, "q.fifo", memory.QueueOptions{DeadLetter: "dead.fifo", MaxReceives: 1})
	publish(t, b, inGroup("q.fifo", "a", "mine", "x"))
	d := one(t, b, "q.fifo")
	must(t, b.Release(t.Context(), 0, d))
	none(t, b, "q.fifo")
	if dead := one(t, b, "dead.fifo"); dead.ID != d.ID || dead.DedupID != d.ID || d.DedupID != "mine" {
		t.Errorf("got id %s and dedup id %s of %s, before %s", dead.ID, dead.DedupID, d.ID, d.DedupID)
	}
}
