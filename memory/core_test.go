package memory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// inbox collects what a subscription gets.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (i *inbox) handle(_ context.Context, d *broker.Delivery) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, string(d.Body))
	return nil
}

func subscribe(t *testing.T, b broker.Subscriber, subject string, opts ...broker.SubscribeOption) *inbox {
	t.Helper()
	i := &inbox{}
	_, err := b.Subscribe(t.Context(), subject, i.handle, opts...)
	must(t, err)
	return i
}

func newCore(t *testing.T, o *memory.CoreNATSOptions) *memory.CoreNATS {
	t.Helper()
	return closing(t, memory.NewCoreNATS(o))
}

func TestFanOut(t *testing.T) {
	b := newCore(t, nil)
	inboxes := map[string]*inbox{}
	for _, pattern := range []string{"orders.placed", "orders.*", "orders.>", ">", "*.placed", "orders", "orders.placed.>", "billing.*"} {
		inboxes[pattern] = subscribe(t, b, pattern)
	}
	again := subscribe(t, b, "orders.placed")
	publish(t, b, text("nobody", "x"), text("orders.placed", "a"), text("orders.placed", "b"))
	must(t, b.WaitIdle(t.Context()))
	for pattern, want := range map[string][]string{
		"orders.placed": {"a", "b"}, "orders.*": {"a", "b"}, "orders.>": {"a", "b"}, "*.placed": {"a", "b"}, ">": {"x", "a", "b"},
		"orders": nil, "orders.placed.>": nil, "billing.*": nil,
	} {
		if got := inboxes[pattern].got; !slices.Equal(got, want) {
			t.Errorf("%s got %v, want %v", pattern, got, want)
		}
	}
	if !slices.Equal(again.got, []string{"a", "b"}) {
		t.Errorf("the second subscription got %v", again.got)
	}
}

func TestCoreDelivery(t *testing.T) {
	b := newCore(t, &memory.CoreNATSOptions{Subjects: map[string]string{"placed": "orders.placed", "all": "orders.*"}})
	got := make(chan *broker.Delivery, 2)
	h := func(_ context.Context, d *broker.Delivery) error { got <- d; return nil }
	for range 2 {
		_, err := b.Subscribe(t.Context(), "all", h)
		must(t, err)
	}
	m := broker.Message{Subject: "placed", Body: []byte("a"), Header: broker.Header{"k": "v"}, ReplyTo: "answers"}
	if r := publish(t, b, m); r != (broker.Receipt{Outcome: broker.OutcomeSent}) {
		t.Errorf("got receipt %v, want sent and nothing else", r)
	}
	m.Body[0], m.Header["k"] = 'x', "x" // the caller's again
	first, second := <-got, <-got
	for _, d := range []*broker.Delivery{first, second} {
		if d.Subject != "orders.placed" || d.Source != "orders.*" || d.ReplyTo != "answers" || string(d.Body) != "a" ||
			!maps.Equal(d.Header, broker.Header{"k": "v"}) || d.Attempt != 0 || d.ID != "" || d.As(new(memory.Native)) {
			t.Errorf("got %+v", d)
		}
	}
	if &first.Body[0] != &second.Body[0] {
		t.Error("the body was copied more than once")
	}
}

func TestQueueGroups(t *testing.T) {
	b := newCore(t, nil)
	const n = 200
	members := []*inbox{
		subscribe(t, b, "work.*", broker.Group("g")), subscribe(t, b, "work.a", broker.Group("g")), subscribe(t, b, "work.a", broker.Group("g")),
	}
	other, everything := subscribe(t, b, "work.a", broker.Group("h")), subscribe(t, b, "work.a")
	for i := range n {
		publish(t, b, text("work.a", strconv.Itoa(i)))
	}
	must(t, b.WaitIdle(t.Context()))
	var all []string
	for i, m := range members {
		if len(m.got) < n/6 {
			t.Errorf("member %d got %d of %d: not shared at random", i, len(m.got), n)
		}
		all = append(all, m.got...)
	}
	slices.Sort(all)
	if len(all) != n || len(slices.Compact(all)) != n {
		t.Errorf("the group got %d messages, want each of %d once", len(all), n)
	}
	if len(other.got) != n || len(everything.got) != n {
		t.Errorf("the other group got %d and the plain subscription %d, want %d", len(other.got), len(everything.got), n)
	}
}

func TestOrderPerPublisher(t *testing.T) {
	b := newCore(t, nil)
	in := subscribe(t, b, "a.*")
	const publishers, each = 4, 500
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				if _, err := b.Publish(t.Context(), text("a."+strconv.Itoa(p), fmt.Sprintf("%d %03d", p, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, b.WaitIdle(t.Context()))
	if len(in.got) != publishers*each {
		t.Fatalf("got %d, want %d", len(in.got), publishers*each)
	}
	last := map[string]string{}
	for _, got := range in.got {
		p, i, _ := strings.Cut(got, " ")
		if i <= last[p] && last[p] != "" {
			t.Fatalf("publisher %s: %s came after %s", p, i, last[p])
		}
		last[p] = i
	}
}

func TestDrops(t *testing.T) {
	for name, limits := range map[string]broker.PendingLimits{
		"messages": {Messages: 3},
		"bytes":    {Bytes: 3 * len("s"+"0123456789")},
	} {
		t.Run(name, func(t *testing.T) {
			b := newCore(t, nil)
			started, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			var got []string
			told := make(chan error, 1)
			sub, err := b.Subscribe(t.Context(), "s", func(_ context.Context, d *broker.Delivery) error {
				once.Do(func() { close(started) })
				<-release
				got = append(got, string(d.Body[:1]))
				return nil
			}, limits, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told <- err }))
			must(t, err)
			publish(t, b, text("s", "0123456789"))
			<-started
			for i := range 9 {
				publish(t, b, text("s", strconv.Itoa(i+1)+"123456789"))
			}
			close(release)
			must(t, b.WaitIdle(t.Context()))
			wantErr(t, <-told, broker.ErrDropped)
			if want := []string{"0", "1", "2"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v: the newest are dropped", got, want)
			}
			for i := range 5 { // what is handled makes room
				publish(t, b, text("s", strconv.Itoa(i)+"123456789"))
				must(t, b.WaitIdle(t.Context()))
			}
			if n := sub.Counts().Dropped; n != 7 || len(got) != 3+5 {
				t.Errorf("%d counted and %v handled, want 7 and 5 more", n, got)
			}
		})
	}
}

func TestCoreBadInput(t *testing.T) {
	b := newCore(t, &memory.CoreNATSOptions{MaxPayload: 100})
	everything := subscribe(t, b, ">")
	send := func(m broker.Message) error {
		_, err := b.Publish(t.Context(), m)
		return err
	}
	sub := func(subject string, opts ...broker.SubscribeOption) error {
		_, err := b.Subscribe(t.Context(), subject, everything.handle, opts...)
		return err
	}
	request := func(m broker.Message) error {
		_, err := b.Request(t.Context(), m)
		return err
	}
	_, respond := b.Respond(t.Context(), "s", nil)
	_, noHandler := b.Subscribe(t.Context(), "s", nil)
	_, describe := b.Describe(t.Context(), "a.*")
	long := strings.Repeat("s", 4001)
	for name, test := range map[string]struct{ err, want error }{
		"empty subject":         {send(text("", "a")), broker.ErrInvalid},
		"empty token":           {send(text("a..b", "a")), broker.ErrInvalid},
		"wildcard":              {send(text("a.*", "a")), broker.ErrInvalid},
		"space":                 {send(text("a b", "a")), broker.ErrInvalid},
		"long":                  {send(text(long, "a")), broker.ErrTooLarge},
		"reply to a wildcard":   {send(broker.Message{Subject: "s", ReplyTo: ">"}), broker.ErrInvalid},
		"long with reply":       {send(broker.Message{Subject: long[2001:], ReplyTo: long[1900:]}), broker.ErrTooLarge},
		"header":                {send(broker.Message{Subject: "s", Header: broker.Header{"a": "\r\n"}}), broker.ErrInvalid},
		"trace":                 {send(broker.Message{Subject: "s", Header: broker.Header{"Nats-Trace-Dest": "r"}}), broker.ErrInvalid},
		"body":                  {send(text("s", strings.Repeat("x", 101))), broker.ErrTooLarge},
		"header counts":         {send(broker.Message{Subject: "s", Body: []byte(strings.Repeat("x", 95)), Header: broker.Header{"a": "b"}}), broker.ErrTooLarge},
		"key":                   {send(broker.Message{Subject: "s", Key: "k"}), errors.ErrUnsupported},
		"tenant":                {send(broker.Message{Subject: "s", Tenant: "k"}), errors.ErrUnsupported},
		"dedup id":              {send(broker.Message{Subject: "s", DedupID: "k"}), errors.ErrUnsupported},
		"delay":                 {send(broker.Message{Subject: "s", Delay: -1}), errors.ErrUnsupported},
		"ttl":                   {send(broker.Message{Subject: "s", TTL: 1}), errors.ErrUnsupported},
		"> in the middle":       {sub("a.>.b"), broker.ErrInvalid},
		"group with space":      {sub("a", broker.Group("a b")), broker.ErrInvalid},
		"empty group":           {sub("a", broker.Group("")), broker.ErrInvalid},
		"long group":            {sub(long[2001:], broker.Group(long[1900:])), broker.ErrTooLarge},
		"limits":                {sub("a", broker.PendingLimits{Messages: -1}), broker.ErrInvalid},
		"lease":                 {sub("a", broker.Lease(1)), errors.ErrUnsupported},
		"odd option":            {sub("a", odd{}), errors.ErrUnsupported},
		"concurrency":           {sub("a", broker.Concurrency(0)), broker.ErrInvalid},
		"no handler":            {noHandler, broker.ErrInvalid},
		"no reply handler":      {respond, broker.ErrInvalid},
		"request with reply-to": {request(broker.Message{Subject: "s", ReplyTo: "r"}), broker.ErrInvalid},
		"request to a wildcard": {request(text("a.*", "a")), broker.ErrInvalid},
		"describe a wildcard":   {describe, broker.ErrInvalid},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: got %v, want %v", name, test.err, test.want)
		}
	}
	publish(t, b, text("s", strings.Repeat("x", 100)), broker.Message{Subject: "empty"})
	must(t, b.WaitIdle(t.Context()))
	if len(everything.got) != 2 {
		t.Errorf("got %d messages, want the two that are fine", len(everything.got))
	}
}

func TestCoreIgnore(t *testing.T) {
	b := newCore(t, &memory.CoreNATSOptions{Ignore: broker.FieldKey | broker.FieldTTL})
	in := subscribe(t, b, "s")
	publish(t, b, broker.Message{Subject: "s", Body: []byte("a"), Key: "k", TTL: 1})
	must(t, b.WaitIdle(t.Context()))
	if !slices.Equal(in.got, []string{"a"}) {
		t.Errorf("got %v", in.got)
	}
	_, err := b.Publish(t.Context(), broker.Message{Subject: "s", Key: "k", Delay: 1})
	wantErr(t, err, errors.ErrUnsupported)
}

func TestCorePublishBatch(t *testing.T) {
	b := newCore(t, nil)
	in := subscribe(t, b, ">")
	_, err := b.PublishBatch(t.Context(), []broker.Message{text("a", "1"), text("a.*", "2")})
	wantErr(t, broker.ItemError(err, 0), broker.ErrSkipped)
	wantErr(t, broker.ItemError(err, 1), broker.ErrInvalid)

	boom := errors.New("boom")
	b.FailNext(memory.OpPublish, 1, boom)
	receipts, err := b.PublishBatch(t.Context(), []broker.Message{text("a", "3"), text("a", "4"), text("b", "5")})
	for i, want := range []error{boom, broker.ErrSkipped, nil} {
		if got := broker.ItemError(err, i); !errors.Is(got, want) {
			t.Errorf("message %d: got %v, %v; want %v", i, receipts[i], got, want)
		}
	}
	for _, retryable := range []bool{false, true} {
		b.FailNext(memory.OpPublish, 1, &broker.Error{Kind: broker.ErrThrottled, Retryable: retryable})
		_, err := b.PublishBatch(t.Context(), []broker.Message{text("a", "6"), text("a", "7")})
		if e, ok := errors.AsType[*broker.Error](broker.ItemError(err, 1)); !ok || !errors.Is(e, broker.ErrSkipped) || e.Retryable != retryable {
			t.Errorf("behind a failure with Retryable %v: got %+v", retryable, e)
		}
	}
	must(t, b.WaitIdle(t.Context()))
	if !slices.Equal(in.got, []string{"5"}) {
		t.Errorf("got %v, want 5 alone", in.got)
	}
}

func TestCoreFailNext(t *testing.T) {
	b := newCore(t, nil)
	boom := errors.New("boom")
	for op, call := range map[memory.Op]func() error{
		memory.OpPublish: func() error { _, err := b.Publish(t.Context(), text("s", "b")); return err },
		memory.OpRequest: func() error { _, err := b.Request(t.Context(), text("s", "b")); return err },
		memory.OpSubscribe: func() error {
			_, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error { return nil })
			return err
		},
		memory.OpRespond: func() error {
			_, err := b.Respond(t.Context(), "s", func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, nil })
			return err
		},
		memory.OpDescribe: func() error { _, err := b.Describe(t.Context(), "s"); return err },
		memory.OpFlush:    func() error { return b.Flush(t.Context()) },
		memory.OpPing:     func() error { return b.Ping(t.Context()) },
	} {
		b.FailNext(op, 1, boom)
		if err := call(); !errors.Is(err, boom) {
			t.Errorf("%s: got %v, want what was asked for", op, err)
		}
	}
	s, err := b.Describe(t.Context(), "s")
	must(t, err)
	if s.Publish.Readers.V != 0 {
		t.Error("a failed Subscribe had an effect")
	}
	must(t, b.Flush(t.Context()))
	must(t, b.Ping(t.Context()))
}

func TestCoreDescribe(t *testing.T) {
	b := newCore(t, &memory.CoreNATSOptions{MaxPayload: 1000})
	subscribe(t, b, "s.*")
	subscribe(t, b, "s.a", broker.Group("g"))
	s, err := b.Describe(t.Context(), "s.a")
	must(t, err)
	if s.Backend != "memory" || s.Kind != "subject" || s.Publish.Readers.V != 2 {
		t.Errorf("got %v", s)
	}
	must(t, broker.Require(t.Context(), b, "s.a", broker.NeedFanOut(), broker.NeedCompeting(), broker.NeedRequestReply(), broker.NeedMaxMessage(1000)))
	for _, need := range []broker.Need{
		broker.NeedAtLeastOnce(), broker.NeedStored(), broker.NeedOrder(), broker.NeedDelay(1), broker.NeedTTL(), broker.NeedMaxMessage(1001),
	} {
		wantErr(t, broker.Require(t.Context(), b, "s.a", need), errors.ErrUnsupported)
	}
}

func TestAnIdleSubscriptionHasNoGoroutine(t *testing.T) {
	b := newCore(t, nil)
	before := goleak.IgnoreCurrent()
	for range 100 {
		subscribe(t, b, "s")
	}
	publish(t, b, text("s", "a"))
	must(t, b.WaitIdle(t.Context()))
	must(t, goleak.Find(before))
}

func TestWaitIdleSeesConcurrentHandlers(t *testing.T) {
	b := newCore(t, nil)
	var handled atomic.Int64
	_, err := b.Subscribe(t.Context(), "s", func(ctx context.Context, d *broker.Delivery) error {
		if len(d.Body) < 5 { // each message but the last leads to one more
			if _, err := b.Publish(ctx, text("s", string(d.Body)+"x")); err != nil {
				t.Error(err)
			}
		}
		handled.Add(1)
		return nil
	}, broker.Concurrency(4))
	must(t, err)
	for range 50 {
		publish(t, b, text("s", ""))
	}
	must(t, b.WaitIdle(t.Context()))
	if n := handled.Load(); n != 300 {
		t.Errorf("idle after %d handlers, want 300", n)
	}
}
