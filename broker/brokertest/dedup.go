package brokertest

import (
	"bytes"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func dedupCases() []Case {
	return []Case{{
		Name:   "dedup/inside-window",
		Rule:   "Inside the window a message with a known id is not stored again; where nothing deduplicates equal messages are two.",
		Fields: []string{"publish.dedupBy", "publish.dedupWindow"},
		run:    dedupInside,
	}, {
		Name:   "dedup/after-window",
		Rule:   "The window is as long as declared: an id is known just before its end, and new just after.",
		Fields: []string{"publish.dedupWindow"},
		needs:  RoleReceiver, virtual: true,
		run: dedupAfter,
	}, {
		Name:   "dedup/after-delete",
		Rule:   "An id is known for the whole window, even after its message is deleted.",
		Fields: []string{"publish.dedupWindow"},
		needs:  RoleReceiver, absence: true,
		run: dedupAfterDelete,
	}, {
		Name:   "dedup/scope",
		Rule:   "An id must be unique where it is declared: in the destination, or for each key.",
		Fields: []string{"publish.dedupScope"},
		run:    dedupScope,
	}, {
		Name:   "dedup/content",
		Rule:   "Equal bodies without ids are duplicates where the content counts, and refused or two messages elsewhere.",
		Fields: []string{"publish.dedupBy", "publish.idRequired"},
		run:    dedupContent,
	}, {
		Name:   "dedup/receipt",
		Rule:   "The receipt of a duplicate never says that it was stored.",
		Fields: []string{"publish.dedupBy"},
		run:    dedupReceipt,
	}}
}

// withID is a message with a key, where there may be one, and an id.
func (d dest) withID(key, id string) broker.Message {
	m := d.message(d.body())
	if m.Key != "" {
		m.Key = key
	}
	m.DedupID = id
	return m
}

// deduplicates skips the case where nothing does.
func (d dest) deduplicates() {
	d.Helper()
	claimed(d.env, d.sem.Publish.DedupBy)
	if isAbsent(d.sem.Publish.DedupBy) {
		if !isAbsent(d.sem.Publish.DedupWindow) || !isAbsent(d.sem.Publish.DedupScope) {
			d.Errorf("declared: a window of %s and scope %s, and nothing deduplicates", d.sem.Publish.DedupWindow, d.sem.Publish.DedupScope)
		}
		d.Skipf("nothing deduplicates")
	}
}

func dedupInside(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.DedupBy)
	in := d.inbox()
	if isAbsent(d.sem.Publish.DedupBy) {
		m := d.message(e.body())
		d.send(m)
		d.send(m)
		if got := in.take(2); !bytes.Equal(got[0].Body, got[1].Body) {
			e.Errorf("bodies %q, want the same twice", bodies(got))
		}
		if !isAbsent(d.sem.Publish.DedupWindow) {
			e.Errorf("declared: a window of %s, and nothing deduplicates", d.sem.Publish.DedupWindow)
		}
		return
	}
	if !isKnown(d.sem.Publish.DedupWindow) {
		e.Errorf("declared: deduplicates by %s, and a window of %s", d.sem.Publish.DedupBy, d.sem.Publish.DedupWindow)
	}
	first, duplicate, other := d.withID("a", "one"), d.withID("a", "one"), d.withID("a", "two")
	d.send(first)
	d.send(duplicate)
	d.send(other)
	got := in.take(2)
	e.wantBodies(got, []string{string(first.Body), string(other.Body)})
	for _, m := range got {
		if m.DedupID != "" && m.DedupID != "one" && m.DedupID != "two" {
			e.Errorf("a deduplication id %q that nobody gave", m.DedupID)
		}
	}
	in.empty("it was a duplicate")
}

func dedupAfter(e *env) {
	d := e.open(Config{})
	d.deduplicates()
	window := d.sem.Publish.DedupWindow.V
	in := d.inbox()
	sent := time.Now()
	d.send(d.withID("a", "one"))
	in.one()
	e.sleep(time.Until(sent.Add(window - time.Second)))
	d.send(d.withID("a", "one"))
	d.notYet("a second before the window's end it is still a duplicate")
	e.sleep(time.Until(sent.Add(window + e.h.Slack)))
	again := d.withID("a", "one")
	d.send(again)
	e.wantBodies(in.take(1), []string{string(again.Body)})
}

func dedupAfterDelete(e *env) {
	d := e.open(Config{})
	d.deduplicates()
	in := d.inbox()
	d.send(d.withID("a", "one"))
	in.one()
	d.send(d.withID("a", "one"))
	in.empty("its id was used before, and the window is not over")
}

func dedupScope(e *env) {
	for _, d := range e.each(Config{}, Config{DedupByKey: true}) {
		d.deduplicates()
		claimed(e, d.sem.Publish.DedupScope)
		if isAbsent(d.sem.Publish.DedupScope) {
			e.Errorf("declared: deduplicates by %s, and no scope", d.sem.Publish.DedupBy)
		}
		in := d.inbox()
		a, b := d.withID("a", "one"), d.withID("b", "one")
		d.send(a)
		d.send(b)
		sent := []string{string(a.Body)}
		if is(d.sem.Publish.DedupScope, broker.ScopeKey) {
			sent = append(sent, string(b.Body))
		}
		e.wantBodies(in.take(len(sent)), sent)
		in.empty("its id was used before, in scope " + d.sem.Publish.DedupScope.String())
	}
}

func dedupContent(e *env) {
	for _, d := range e.each(Config{}, Config{ByContent: true}) {
		d.deduplicates()
		in := d.inbox()
		m := d.message("the same")
		m.DedupID = ""
		_, err := e.b.Publish(e.soon(), m)
		if isTrue(d.sem.Publish.IDRequired) {
			wantField(e, "a message without an id", err)
			in.empty("what is refused is not sent")
			continue
		}
		e.must("a message without an id", err)
		d.send(m)
		if is(d.sem.Publish.DedupBy, broker.DedupByIDOrContent) {
			in.one()
			in.empty("its content was known")
			continue
		}
		in.take(2)
	}
}

func dedupReceipt(e *env) {
	d := e.open(Config{})
	d.deduplicates()
	d.send(d.withID("a", "one"))
	if r := d.send(d.withID("a", "one")); r.Outcome != broker.OutcomeAccepted && r.Outcome != broker.OutcomeDuplicate {
		e.Errorf("outcome %v", r.Outcome)
	}
}
