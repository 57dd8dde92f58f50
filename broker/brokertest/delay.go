package brokertest

import "time"

func delayCases() []Case {
	return []Case{{
		Name:   "delay/holds",
		Rule:   "A delayed message arrives after its delay and not before; where none is declared a delay is refused.",
		Fields: []string{"publish.maxDelay"},
		run:    delayHolds,
	}, {
		Name:   "delay/longest",
		Rule:   "The longest delay declared works, and a second more is refused.",
		Fields: []string{"publish.maxDelay"},
		needs:  RoleReceiver, virtual: true,
		run: delayLongest,
	}, {
		Name:   "delay/of-the-destination",
		Rule:   "A message without a delay of its own has the destination's.",
		Fields: []string{"publish.queueDelay"},
		run:    delayOfDestination,
	}, {
		Name:   "delay/retention",
		Rule:   "A message disappears when it is older than the retention, and not before.",
		Fields: []string{"retention"},
		needs:  RoleReceiver, virtual: true,
		run: delayRetention,
	}}
}

func delayHolds(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MaxDelay)
	m := d.message(e.body())
	m.Delay = 2 * time.Second
	if isAbsent(d.sem.Publish.MaxDelay) {
		in := d.inbox()
		_, err := e.b.Publish(e.soon(), m)
		wantUnsupported(e, "a message with a delay", err)
		in.empty("what is refused is not sent")
		return
	}
	sent := time.Now()
	_, err := e.b.Publish(e.soon(), m)
	e.must("a message with a delay", err)
	d.settle(d.arrives("the message", sent, m.Delay))
}

func delayLongest(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MaxDelay)
	if isAbsent(d.sem.Publish.MaxDelay) {
		e.Skipf("there are no delays")
	}
	if !isKnown(d.sem.Publish.MaxDelay) {
		m := d.message(e.body())
		m.Delay = 1000 * time.Hour
		d.send(m)
		return
	}
	longest := d.sem.Publish.MaxDelay.V
	m := d.message(e.body())
	m.Delay = longest + time.Second
	_, err := e.b.Publish(e.soon(), m)
	wantUnsupported(e, "a second more", err)
	m.Delay = longest
	sent := time.Now()
	d.send(m)
	d.settle(d.arrives("the message", sent, longest))
}

func delayOfDestination(e *env) {
	if !e.leased() {
		d := e.open(Config{})
		claimed(e, d.sem.Publish.QueueDelay)
		in := d.inbox()
		sent := time.Now()
		d.put(1)
		in.one()
		if took := time.Since(sent); took > e.h.Slack || !isAbsent(d.sem.Publish.QueueDelay) {
			e.Errorf("there after %v, declared %s", took, d.sem.Publish.QueueDelay)
		}
		return
	}
	for _, d := range e.each(Config{}, Config{QueueDelay: 2 * time.Second}) {
		claimed(e, d.sem.Publish.QueueDelay)
		sent := time.Now()
		d.put(1)
		d.settle(d.arrives("the message", sent, d.sem.Publish.QueueDelay.V))
	}
}

func delayRetention(e *env) {
	d := e.open(Config{Retention: time.Minute})
	claimed(e, d.sem.Retention)
	if !isKnown(d.sem.Retention) {
		e.Fatalf("retention %s, where the harness made one", d.sem.Retention)
	}
	retention := d.sem.Retention.V
	d.put(2)
	e.sleep(retention - time.Second)
	d.settle(d.lease())
	e.sleep(time.Second + e.h.Slack)
	d.nothing("it is older than the retention")
}
