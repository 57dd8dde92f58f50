package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func allowAtomic(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.AllowAtomicPublish = true }

func batchOf(n int, name string) []broker.Message {
	var ms []broker.Message
	for i := range n {
		ms = append(ms, broker.Message{Subject: "orders." + name, Body: fmt.Append(nil, name, i), Header: broker.Header{"k": "v"}})
	}
	return ms
}

func TestJetStreamAtomicStoresAllAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.orders(allowAtomic)
	const size, batches = 50, 8
	stored := make([][]broker.Receipt, batches)
	var group sync.WaitGroup
	for n := range batches {
		group.Go(func() {
			var err error
			if stored[n], err = r.PublishAtomic(soon(t), batchOf(size, batchName(n))); err != nil || len(stored[n]) != size {
				t.Errorf("got %d receipts, %v", len(stored[n]), err)
			}
		})
		r.put("orders.single", "single") // between them, not within
	}
	group.Wait()
	var order []string
	bodies := map[string]string{}
	for _, d := range r.lease("ORDERS/c", size*batches+batches) {
		if d.Subject == "orders.single" {
			continue
		}
		order = append(order, string(d.Body))
		bodies[d.ID] = string(d.Body)
		if len(d.Header) != 1 || d.Header["k"] != "v" {
			t.Errorf("got the header %q", d.Header)
		}
	}
	for n, receipts := range stored {
		for i, receipt := range receipts {
			if want := fmt.Sprint(batchName(n), i); bodies[receipt.ID] != want || receipt.Outcome != broker.OutcomeStored || receipt.ID != "ORDERS:"+receipt.Sequence.String() {
				t.Fatalf("receipt %+v is of %q, want %q", receipt, bodies[receipt.ID], want)
			}
		}
	}
	for first := 0; first < len(order); first += size {
		for i := range size {
			if order[first+i] != fmt.Sprint(order[first][:1], i) {
				t.Fatalf("the batches are mixed: %q", order)
			}
		}
	}
}

func batchName(n int) string { return string(rune('a' + n)) }

func TestJetStreamAtomicTakesAThousand(t *testing.T) {
	r := newRig(t, nil)
	r.orders(allowAtomic)
	receipts, err := r.PublishAtomic(soon(t), batchOf(1000, "a"))
	if err != nil || len(receipts) != 1000 || receipts[999].Sequence != broker.NewSequence(1000) {
		t.Errorf("got %d receipts, %v", len(receipts), err)
	}
	_, err = r.PublishAtomic(soon(t), batchOf(1001, "a"))
	wantErr(t, err, broker.ErrTooLarge, broker.ErrInvalid)
	if receipts, err := r.PublishAtomic(soon(t), nil); err != nil || len(receipts) != 0 {
		t.Errorf("an empty one: got %v, %v", receipts, err)
	}
}

// Whatever is wrong with one message, nothing of its batch is stored.
func TestJetStreamAtomicStoresNothing(t *testing.T) {
	r := newRig(t, nil)
	r.orders(allowAtomic, func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) {
		s.MaxMsgSize, s.MaxMsgs, s.Discard = 1000, 10, jetstream.DiscardNew
	})
	r.stream(jetstream.StreamConfig{
		Name: "MISCOUNT", Subjects: []string{"miscount.*"}, AllowAtomicPublish: true,
		MaxMsgs: 100, MaxMsgsPerSubject: 2, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
	})
	r.stream(jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain"}})
	r.stream(jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}, AllowAtomicPublish: true})
	publish(t, r, broker.Message{Subject: "orders.new", DedupID: "seen"})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx    context.Context
		change func(ms []broker.Message) []broker.Message
		want   error
		says   string
	}{
		"not allowed": {nil, func(ms []broker.Message) []broker.Message {
			for i := range ms {
				ms[i].Subject = "plain"
			}
			return ms
		}, errors.ErrUnsupported, "PLAIN has no allow_atomic"},
		"several streams": {nil, func(ms []broker.Message) []broker.Message { ms[1].Subject = "other"; return ms }, errors.ErrUnsupported, "several streams"},
		"miscounted": {nil, func(ms []broker.Message) []broker.Message {
			ms[0].Subject, ms[1].Subject, ms[2].Subject = "miscount.a", "miscount.b", "miscount.b"
			return ms
		}, errors.ErrUnsupported, "may store a part"},
		"a header too large": {nil, func(ms []broker.Message) []broker.Message {
			for i := range ms {
				ms[i].Subject = "other"
			}
			ms[1].Header = broker.Header{"k": strings.Repeat("v", 66_000)}
			return ms
		}, broker.ErrTooLarge, `Header "66`},
		"twice": {nil, func(ms []broker.Message) []broker.Message {
			ms[0].DedupID, ms[1].DedupID = "new", "new"
			return ms
		}, natsbroker.ErrDuplicate, "duplicate"},
		"rollup": {nil, func(ms []broker.Message) []broker.Message {
			ms[0].Header = broker.Header{"Nats-Rollup": "sub"}
			return ms
		}, errors.ErrUnsupported, "allow_rollup_hdrs"},
		"no stream":  {nil, func(ms []broker.Message) []broker.Message { ms[0].Subject = "nobody"; return ms }, broker.ErrNotFound, "EnsureStream"},
		"bad header": {nil, func(ms []broker.Message) []broker.Message { ms[1].Header = broker.Header{"a": "\n"}; return ms }, broker.ErrInvalid, "Header"},
		"control header": {nil, func(ms []broker.Message) []broker.Message {
			ms[1].Header = broker.Header{"Nats-Batch-Id": "x"}
			return ms
		}, broker.ErrInvalid, "Nats-"},
		"delay":     {nil, func(ms []broker.Message) []broker.Message { ms[1].Delay = 1; return ms }, errors.ErrUnsupported, "Delay"},
		"duplicate": {nil, func(ms []broker.Message) []broker.Message { ms[1].DedupID = "seen"; return ms }, natsbroker.ErrDuplicate, "already"},
		"last id": {nil, func(ms []broker.Message) []broker.Message {
			ms[0].Header = broker.Header{jetstream.ExpectedLastMsgIDHeader: "seen"}
			return ms
		}, errors.ErrUnsupported, "10177"},
		"expectation": {nil, func(ms []broker.Message) []broker.Message {
			ms[0].Header = broker.Header{jetstream.ExpectedLastSeqHeader: "7"}
			return ms
		}, natsbroker.ErrExpectation, "sequence"},
		"too large": {nil, func(ms []broker.Message) []broker.Message { ms[1].Body = make([]byte, 1001); return ms }, broker.ErrTooLarge, "max_msg_size"},
		"full":      {nil, func([]broker.Message) []broker.Message { return batchOf(10, "a") }, natsbroker.ErrFull, "raise"},
		"ttl":       {nil, func(ms []broker.Message) []broker.Message { ms[1].TTL = 1; return ms }, errors.ErrUnsupported, "allow_msg_ttl"},
		"over":      {over, func(ms []broker.Message) []broker.Message { return ms }, context.Canceled, ""},
	} {
		ctx := test.ctx
		if ctx == nil {
			ctx = soon(t)
		}
		receipts, err := r.PublishAtomic(ctx, test.change(batchOf(3, "a")))
		text := fmt.Sprint(err)
		if batch, ok := errors.AsType[*broker.BatchError](err); ok {
			text = fmt.Sprint(batch.Errs)
			if !slices.ContainsFunc(batch.Errs, func(err error) bool { return errors.Is(err, broker.ErrSkipped) }) {
				t.Errorf("%s: got %v, want the others marked as skipped", name, batch.Errs)
			}
		}
		if !errors.Is(err, test.want) || !strings.Contains(text, test.says) || errors.Is(err, broker.ErrOutcomeUnknown) || receipts != nil {
			t.Errorf("%s: got %v, %v; want %v that says %q", name, receipts, err, test.want, test.says)
		}
	}
	for stream, want := range map[string]uint64{"ORDERS": 1, "PLAIN": 0, "OTHER": 0, "MISCOUNT": 0} {
		s, err := r.js.Stream(soon(t), stream)
		if err != nil || s.CachedInfo().State.Msgs != want {
			t.Errorf("%s has %d messages, %v; want %d", stream, s.CachedInfo().State.Msgs, err, want)
		}
	}
}

// Others may answer on the subjects of a stream: only the stream's answers count.
func TestJetStreamAtomicIgnoresAnswersOfOthers(t *testing.T) {
	r := newRig(t, nil)
	r.orders(allowAtomic, func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.MaxMsgSize = 1000 })
	service, err := r.js.Conn().Subscribe("orders.>", func(m *nats.Msg) {
		_ = m.Respond([]byte("hello"))
		_ = m.Respond([]byte(`{"error":{"code":404,"description":"no such customer"}}`))
		_ = m.Respond(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Unsubscribe() }()
	if err := r.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if receipts, err := r.PublishAtomic(soon(t), batchOf(3, "a")); err != nil || len(receipts) != 3 {
			t.Fatalf("got %v, %v", receipts, err)
		}
		ms := batchOf(3, "a")
		ms[1].Body = make([]byte, 1001)
		_, err := r.PublishAtomic(soon(t), ms)
		wantErr(t, err, broker.ErrTooLarge)
		wantText(t, err, "max_msg_size")
	}
}

// A commit that is not answered may have been made.
func TestJetStreamAtomicUnansweredCommit(t *testing.T) {
	r := newRig(t, nil)
	r.orders(allowAtomic, func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.NoAck = true })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "it is stored", func() bool { return r.info("ORDERS/c").NumPending == 3 })
		cancel()
	}()
	_, err := r.PublishAtomic(ctx, batchOf(3, "a"))
	wantErr(t, err, broker.ErrOutcomeUnknown, context.Canceled)
}
