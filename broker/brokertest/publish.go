package brokertest

import (
	"bytes"
	"maps"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func publishCases() []Case {
	return []Case{{
		Name:   "publish/arrives",
		Rule:   "What is published arrives once, with its body, headers and source; where nothing can be published, Publish is refused.",
		Fields: []string{"publish.offered", "receive.offered"},
		run:    publishArrives,
	}, {
		Name:   "publish/confirms-as-declared",
		Rule:   "The outcome of a publish is as strong as its confirmation is declared to be, and no stronger.",
		Fields: []string{"publish.confirm"},
		run:    publishConfirms,
	}, {
		Name:   "publish/kept-without-reader",
		Rule:   "A message that nobody reads yet is kept where something stores it, and lost where nothing does.",
		Fields: []string{"publish.withoutReader", "publish.storedBy", "receive.replay"},
		run:    publishWithoutReader,
	}, {
		Name: "publish/copies-bytes",
		Rule: "The caller may reuse body and header as soon as Publish has returned.",
		run:  publishCopies,
	}, {
		Name:   "publish/key-as-declared",
		Rule:   "A key is required, taken or refused as declared.",
		Fields: []string{"publish.keyRequired", "publish.ordering"},
		run:    publishKey,
	}, {
		Name:   "publish/id-as-declared",
		Rule:   "A deduplication id is required, taken or refused as declared.",
		Fields: []string{"publish.idRequired", "publish.dedupBy"},
		run:    publishID,
	}, {
		Name:   "publish/ttl-as-declared",
		Rule:   "A message with a TTL is gone after it, or refused where there is none.",
		Fields: []string{"publish.messageTTL"},
		run:    publishTTL,
	}, {
		Name:  "publish/tenant-carried-or-refused",
		Rule:  "A tenant is carried to the receiver or refused, never ignored.",
		Proof: OneWay,
		run:   publishTenant,
	}}
}

func publishArrives(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.Offered)
	claimed(e, d.sem.Receive.Offered)
	if !isTrue(d.sem.Publish.Offered) {
		_, err := e.b.Publish(e.soon(), d.message(e.body()))
		wantUnsupported(e, "Publish where none is offered", err)
		return
	}
	if !isTrue(d.sem.Receive.Offered) {
		_, err := e.b.Subscribe(e.soon(), d.name, discard, d.grouped(nil)...)
		wantUnsupported(e, "Subscribe where none is offered", err)
		return
	}
	in := d.inbox()
	m := d.message(e.body())
	m.Header = broker.Header{"Trace": "abc", "trace-2": "d e"}
	d.send(m)
	got := in.one()
	e.wantMessage(got, m)
	if got.Source == "" {
		e.Errorf("a delivery without a Source")
	}
	in.empty("it was delivered already")
}

// wantMessage compares what every backend carries.
func (e *env) wantMessage(d *broker.Delivery, m broker.Message) {
	e.Helper()
	if !bytes.Equal(d.Body, m.Body) {
		e.Errorf("body %.60q, want %.60q", d.Body, m.Body)
	}
	if !maps.Equal(d.Header, m.Header) {
		e.Errorf("header %q, want %q", d.Header, m.Header)
	}
}

func publishConfirms(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.Confirm)
	wantConfirmed(e, "alone", d.sem.Publish.Confirm, d.send(d.message(e.body())))
	receipts, err := e.b.PublishBatch(e.soon(), []broker.Message{d.message(e.body()), d.message(e.body())})
	e.must("PublishBatch", err)
	for _, r := range receipts {
		wantConfirmed(e, "in a batch", d.sem.Publish.Confirm, r)
	}
}

// wantConfirmed compares an outcome with what is declared.
func wantConfirmed(e *env, how string, declared broker.Fact[broker.Confirm], r broker.Receipt) {
	e.Helper()
	exactly := broker.OutcomeUnknown
	switch {
	case is(declared, broker.ConfirmSent):
		exactly = broker.OutcomeSent
	case is(declared, broker.ConfirmReceived):
		exactly = broker.OutcomeReceived
	case !is(declared, broker.ConfirmStored):
		e.Errorf("a confirmation of %q, which is not in the vocabulary", declared)
		return
	case r.Outcome < broker.OutcomeAccepted:
		e.Errorf("outcome %v %s, want at least %v", r.Outcome, how, broker.OutcomeAccepted)
	case r.ID == "" && !r.Sequence.Present():
		e.Errorf("a message stored %s without id and sequence", how)
	}
	if exactly != broker.OutcomeUnknown && r.Outcome != exactly {
		e.Errorf("outcome %v %s, though %q is declared", r.Outcome, how, declared)
	}
}

func publishWithoutReader(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.WithoutReader)
	kept, stored := isTrue(d.sem.Publish.WithoutReader), isKnown(d.sem.Publish.StoredBy)
	if d.sem.Publish.StoredBy.State == broker.StateNone && kept {
		e.Errorf("declared: kept without a reader, and stored by nothing")
	}
	if stored && !kept && !is(d.sem.Receive.Guarantee, broker.GuaranteeAtLeastOnce) {
		e.Errorf("declared: stored by %s, and kept by nobody", d.sem.Publish.StoredBy)
	}
	body := d.put(1)
	in := d.inbox()
	if kept {
		e.wantBodies(in.take(1), body)
		return
	}
	in.empty("it was published before anybody read")
	if isTrue(d.sem.Receive.Replay) {
		e.Errorf("declared: replay, and a message of before is lost")
	}
}

func publishCopies(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	m := d.message("original")
	m.Header = broker.Header{"kept": "original"}
	d.send(m)
	copy(m.Body, "changed!")
	m.Header["kept"] = "changed!"
	got := in.one()
	if string(got.Body) != "original" || got.Header["kept"] != "original" {
		e.Errorf("body %q and header %q, changed by the publisher after the call", got.Body, got.Header)
	}
}

func publishKey(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.KeyRequired)
	in := d.inbox()
	m := d.message(e.body())
	m.Key = ""
	var sent []string
	try := func(m broker.Message, taken bool, what string) {
		m.Body = []byte(e.body())
		if m.DedupID != "" {
			m.DedupID = string(m.Body[len("message "):])
		}
		_, err := e.b.Publish(e.soon(), m)
		if taken != (err == nil) {
			e.Errorf("%s: got %v, want it taken: %v", what, err, taken)
		}
		if err == nil {
			sent = append(sent, string(m.Body))
		} else {
			e.unsupportedOrInvalid(what, err)
		}
	}
	ordered := is(d.sem.Publish.Ordering, broker.OrderingPerKey)
	try(m, !isTrue(d.sem.Publish.KeyRequired), "a message without a key")
	m.Key = "key"
	try(m, ordered || isTrue(d.sem.Publish.KeyRequired), "a message with a key")
	got := in.take(len(sent))
	e.wantBodies(got, sent)
	if ordered && got[len(got)-1].Key != "key" {
		e.Errorf("key %q, want %q", got[len(got)-1].Key, "key")
	}
	in.empty("what is refused is not sent")
}

func publishID(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.IDRequired)
	claimed(e, d.sem.Publish.DedupBy)
	required := isTrue(d.sem.Publish.IDRequired)
	m := d.message(e.body())
	m.DedupID = ""
	_, err := e.b.Publish(e.soon(), m)
	if required != (err != nil) {
		e.Errorf("a message without an id: got %v, declared required: %v", err, required)
	}
	if err != nil {
		wantField(e, "a message without an id", err)
	}
	m = d.message(e.body())
	m.DedupID = "some-id"
	_, err = e.b.Publish(e.soon(), m)
	switch {
	case isKnown(d.sem.Publish.DedupBy):
		e.must("a message with an id", err)
	default:
		wantUnsupported(e, "a message with an id, where nothing deduplicates", err)
	}
}

func publishTTL(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MessageTTL)
	in := d.inbox()
	m := d.message(e.body())
	m.TTL = time.Second
	if isAbsent(d.sem.Publish.MessageTTL) {
		_, err := e.b.Publish(e.soon(), m)
		wantUnsupported(e, "a message with a TTL", err)
		in.empty("what is refused is not sent")
		return
	}
	d.send(m)
	e.sleep(m.TTL + e.h.Slack)
	in.empty("it is older than its TTL")
	if isKnown(d.sem.Publish.MessageTTL) {
		m.TTL = d.sem.Publish.MessageTTL.V + time.Second
		_, err := e.b.Publish(e.soon(), m)
		wantUnsupported(e, "a TTL above the longest", err)
	}
}

func publishTenant(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	m := d.message(e.body())
	m.Tenant = "tenant"
	if _, err := e.b.Publish(e.soon(), m); err != nil {
		wantUnsupported(e, "a message with a tenant", err)
		in.empty("what is refused is not sent")
		return
	}
	if got := in.one(); got.Tenant != "tenant" {
		e.Errorf("tenant %q, want %q", got.Tenant, "tenant")
	}
}
