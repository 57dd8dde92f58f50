package brokertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/candidmq/candidmq/broker"
)

func batchCases() []Case {
	return []Case{{
		Name:   "batch/receipts",
		Rule:   "A batch of any length is sent, and gives each message its receipt.",
		Fields: []string{"publish.maxBatch"},
		Proof:  OneWay,
		run:    batchReceipts,
	}, {
		Name:   "batch/by-bytes",
		Rule:   "A batch of more bytes than a native call takes is sent nevertheless.",
		Fields: []string{"publish.maxBatchSize"},
		Proof:  OneWay,
		run:    batchBytes,
	}, {
		Name:   "batch/partial-failure",
		Rule:   "Where one message of a batch fails the error is a BatchError with its error at its place, and the others are sent unless a batch is declared to be all or nothing.",
		Fields: []string{"publish.batchAtomic"},
		run:    batchPartial,
	}, {
		Name: "batch/refused-whole",
		Rule: "A batch with bad input is refused before anything is sent.",
		run:  batchRefused,
	}, {
		Name: "batch/empty",
		Rule: "An empty batch is a no-op.",
		run:  batchEmpty,
	}, {
		Name: "batch/order",
		Rule: "A batch is stored in slice order, for each key where there are keys.",
		run:  batchOrder,
	}, {
		Name:  "batch/settling",
		Rule:  "Settling many reports each failure at its place, and settles the others.",
		needs: RoleReceiver, absence: true,
		run: batchSettling,
	}}
}

func batchReceipts(e *env) {
	const n = 25
	d := e.open(Config{})
	in := d.inbox()
	ms, want := make([]broker.Message, n), make([]string, n)
	for i := range ms {
		want[i] = e.body()
		ms[i] = d.message(want[i])
	}
	receipts, err := e.b.PublishBatch(e.soon(), ms)
	e.must("PublishBatch", err)
	if len(receipts) != n {
		e.Fatalf("%d receipts of %d messages", len(receipts), n)
	}
	ids := map[string]string{}
	for i, r := range receipts {
		if single := d.send(d.message("single")).Outcome; i == 0 && r.Outcome != single {
			e.Errorf("outcome %v in a batch, %v alone", r.Outcome, single)
		}
		if r.Outcome == broker.OutcomeUnknown {
			e.Errorf("outcome of message %d unknown, without an error", i)
		}
		ids[want[i]] = r.ID
	}
	var got []*broker.Delivery
	for _, m := range in.take(2 * n) {
		if string(m.Body) != "single" {
			got = append(got, m)
		}
	}
	e.wantBodies(got, want)
	for _, m := range got {
		if id := ids[string(m.Body)]; id != "" && m.ID != id {
			e.Errorf("delivery of %q has id %q, its receipt %q", m.Body, m.ID, id)
		}
	}
	batch := d.sem.Publish
	if batch.MaxBatch.State != batch.MaxBatchSize.State {
		e.Errorf("declared: a native batch of %s messages and %s bytes", batch.MaxBatch, batch.MaxBatchSize)
	}
}

func batchBytes(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MaxMessage)
	most := d.sem.Publish.MaxMessage.V
	if s := d.sem.Publish.MaxBatchSize; isKnown(s) && s.V < most {
		e.Errorf("declared: messages of %d bytes, in native batches of %d", most, s.V)
	}
	in := d.inbox()
	var ms []broker.Message
	for i := range 3 {
		m := d.message("")
		m.Body = bytes.Repeat([]byte{'a' + byte(i)}, int(most*3/4))
		ms = append(ms, m)
	}
	_, err := e.b.PublishBatch(e.soon(), ms)
	e.must("PublishBatch", err)
	for _, m := range in.take(len(ms)) {
		if len(m.Body) != len(ms[0].Body) {
			e.Errorf("a body of %d bytes, want %d", len(m.Body), len(ms[0].Body))
		}
	}
}

func batchPartial(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.BatchAtomic)
	atomic := isTrue(d.sem.Publish.BatchAtomic)
	if e.h.Missing == "" {
		if atomic {
			e.Errorf("declared: atomic batches, and nothing in them can fail")
		}
		e.Skipf("every name exists")
	}
	in := d.inbox()
	ms := []broker.Message{d.message(e.body()), d.message(e.body()), d.message(e.body())}
	ms[1].Subject = e.h.Missing
	receipts, err := e.b.PublishBatch(e.soon(), ms)
	wantIs(e, "the missing destination's", broker.ItemError(err, 1), broker.ErrNotFound)
	wantBatchError(e, err, 3, 1)
	if len(receipts) != 3 || receipts[1].Outcome != broker.OutcomeUnknown || (receipts[0].Outcome == broker.OutcomeUnknown) != atomic {
		e.Errorf("receipts %+v", receipts)
	}
	if !atomic {
		e.wantBodies(in.take(2), []string{string(ms[0].Body), string(ms[2].Body)})
	}
	in.empty("it was not sent")
}

// wantBatchError wants one that fails the given items and no others.
func wantBatchError(e *env, err error, n int, failed ...int) {
	e.Helper()
	b, ok := errors.AsType[*broker.BatchError](err)
	if !ok || len(b.Errs) != n {
		e.Fatalf("got %T (%v), want a BatchError of %d items", err, err, n)
	}
	for i, err := range b.Errs {
		if (err != nil) != slices.Contains(failed, i) {
			e.Errorf("item %d: %v; only %v should fail", i, err, failed)
		}
	}
}

func batchRefused(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	ms := []broker.Message{d.message(e.body()), d.message(e.body()), d.message(e.body())}
	ms[1].Header = broker.Header{"bad": "a\r\nb"}
	receipts, err := e.b.PublishBatch(e.soon(), ms)
	wantField(e, "PublishBatch", err)
	if len(receipts) != 3 {
		e.Errorf("%d receipts of 3 messages", len(receipts))
	}
	for i, r := range receipts {
		if r.Outcome != broker.OutcomeUnknown {
			e.Errorf("outcome %v of message %d, which was not sent", r.Outcome, i)
		}
	}
	in.empty("the batch was refused")
}

func batchEmpty(e *env) {
	receipts, err := e.b.PublishBatch(e.soon(), nil)
	e.must("PublishBatch", err)
	if len(receipts) != 0 {
		e.Errorf("%d receipts of no messages", len(receipts))
	}
	if e.leased() {
		e.must("Delete", e.receiver().Delete(e.soon()))
		e.must("Extend", e.receiver().Extend(e.soon(), 0))
	}
}

func batchOrder(e *env) {
	d := e.open(Config{})
	if is(d.sem.Receive.Ordering, broker.OrderingBestEffort) {
		e.Skipf("there is no order")
	}
	in := d.inbox()
	var ms []broker.Message
	want := map[string][]string{}
	for i := range 12 {
		for _, key := range []string{"k0", "k1"} {
			m := d.message(fmt.Sprintf("%s %03d", key, i))
			if m.Key != "" {
				m.Key = key
			}
			ms = append(ms, m)
			want[key] = append(want[key], string(m.Body))
		}
	}
	_, err := e.b.PublishBatch(e.soon(), ms)
	e.must("PublishBatch", err)
	for key, bodies := range byKey(in.take(len(ms))) {
		if !slices.Equal(bodies, want[key]) {
			e.Errorf("order of %s: %q, want %q", key, bodies, want[key])
		}
	}
}

func batchSettling(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	r := e.receiver()
	d.put(3)
	ds := d.leaseN(3)
	foreign := &broker.Delivery{Message: d.message("by hand")}
	with := func() []*broker.Delivery { return []*broker.Delivery{ds[0], foreign, ds[1], ds[2]} }
	wantBatchError(e, r.Extend(e.soon(), e.h.Lease, with()...), 4, 1)
	d.settle(ds[0])
	wantBatchError(e, r.Extend(e.soon(), e.h.Lease, with()...), 4, 0, 1)
	wantBatchError(e, r.Delete(e.soon(), with()...), 4, 1)
	e.sleep(e.h.Lease + e.h.Slack)
	d.nothing("all were deleted")
}
