package brokertest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/candidmq/candidmq/broker"
)

func describeCases() []Case {
	return []Case{{
		Name: "describe/names-the-destination",
		Rule: "Describe names the destination as the caller did, the backend and the kind.",
		run:  describeNames,
	}, {
		Name: "describe/unknown-is-explained",
		Rule: "Only what the backend cannot know is unknown, and every fact says where it is from.",
		run:  describeUnknown,
	}, {
		Name: "describe/agrees-with-itself",
		Rule: "The facts agree: what stores nothing keeps, encrypts and orders nothing, and a queue is one on both sides.",
		Fields: []string{
			"durability", "replicas", "retention", "whenFull", "atRest", "publish.storedBy", "publish.confirm", "publish.ordering",
			"publish.dedupBy", "publish.rateScope", "receive.guarantee", "receive.ordering", "receive.distribution", "receive.slow",
			"receive.inFlight", "receive.strict", "receive.lease",
		},
		Proof: OneWay,
		run:   describeAgrees,
	}, {
		Name:  "describe/is-steady",
		Rule:  "While nothing changes Describe says the same.",
		Proof: OneWay,
		run:   describeSteady,
	}, {
		Name:  "describe/follows-changes",
		Rule:  "Describe shows what a second client has set, at once.",
		Proof: Echo,
		Fields: []string{
			"retention", "atRest", "publish.queueDelay", "publish.maxMessage", "publish.dedupBy", "publish.dedupScope", "publish.rateScope",
			"receive.lease", "receive.maxAttempts", "receive.deadLetter",
		},
		run: describeFollows,
	}, {
		Name: "describe/require",
		Rule: "Require passes on what is there, and names in one error each need that is not, the unknown included.",
		run:  describeRequire,
	}}
}

func describeNames(e *env) {
	for range 2 {
		d := e.open(Config{})
		if d.sem.Destination != d.name || d.sem.Backend == "" || d.sem.Kind == "" {
			e.Errorf("destination %q, backend %q, kind %q of %q", d.sem.Destination, d.sem.Backend, d.sem.Kind, d.name)
		}
	}
}

func describeUnknown(e *env) {
	for _, f := range facts(e.open(Config{}).sem) {
		switch why := e.h.Unknown[f.name]; {
		case f.state == broker.StateUnknown && why == "":
			e.Errorf("%s is unknown: %s", f.name, f.from)
		case f.state != broker.StateUnknown && why != "":
			e.Errorf("%s is %s, though it is said to be unknown: %s", f.name, f.text, why)
		}
		if f.from == "" {
			e.Errorf("%s is %s, and does not say from where", f.name, f.text)
		}
	}
}

// describeAgrees compares facts that cannot be observed with those that can.
func describeAgrees(e *env) {
	s := e.open(Config{}).sem
	keeps := isTrue(s.Publish.WithoutReader)
	for _, f := range facts(s) {
		switch f.name {
		case "durability", "replicas", "retention", "atRest", "whenFull", "publish.storedBy":
			if !keeps && (f.state == broker.StateKnown || f.state == broker.StateUnlimited) {
				e.Errorf("%s is %s where nothing is kept", f.name, f.text)
			}
		}
	}
	if keeps && (isAbsent(s.Durability) || isAbsent(s.Retention) || s.Publish.StoredBy.State == broker.StateNone) {
		e.Errorf("durability %s, retention %s, stored by %s, where messages are kept", s.Durability, s.Retention, s.Publish.StoredBy)
	}
	for _, f := range facts(s) {
		switch f.name {
		case "publish.rateScope":
			if f.state == broker.StateNone {
				e.Errorf("%s is none: what has no limit is unlimited", f.name)
			}
		case "publish.confirm", "publish.ordering", "receive.ordering", "receive.guarantee", "receive.distribution", "receive.slow":
			if f.state == broker.StateNone || f.state == broker.StateUnlimited {
				e.Errorf("%s is %s, which says nothing", f.name, f.text)
			}
		}
	}
	agree := func(what string, known, claim bool) {
		if known && claim != keeps {
			e.Errorf("%s: %v, and kept without a reader: %v", what, claim, keeps)
		}
	}
	agree("confirmed as stored", isKnown(s.Publish.Confirm), is(s.Publish.Confirm, broker.ConfirmStored))
	agree("at least once", isKnown(s.Receive.Guarantee), is(s.Receive.Guarantee, broker.GuaranteeAtLeastOnce))
	agree("leased", s.Receive.Lease.State != broker.StateUnknown, !isAbsent(s.Receive.Lease))
	agree("waiting for the slow", isKnown(s.Receive.Slow), is(s.Receive.Slow, broker.SlowWaits))
	agree("counted in flight", s.Receive.InFlight.State != broker.StateUnknown, !isAbsent(s.Receive.InFlight))
	if l, most := s.Receive.Lease, s.Receive.MaxLease; isKnown(l) && isKnown(most) && l.V > most.V {
		e.Errorf("a lease of %s, of at most %s", l, most)
	}
	if is(s.Publish.DedupBy, broker.DedupByIDOrContent) && isTrue(s.Publish.IDRequired) {
		e.Errorf("deduplicates by content too, and requires an id")
	}
	orderAgrees(e, s)
}

// orderAgrees compares the order with what is said for the sake of it.
func orderAgrees(e *env, s broker.Semantics) {
	published := s.Publish.Ordering
	if is(s.Receive.Ordering, broker.OrderingBestEffort) && isKnown(published) && published.V != broker.OrderingBestEffort {
		e.Errorf("order %s published, which no receiver sees", published)
	}
	if isTrue(s.Receive.Strict) && is(s.Receive.Ordering, broker.OrderingBestEffort) {
		e.Errorf("strict, and no order")
	}
	if is(s.Publish.RateScope, broker.ScopeKey) && isKnown(published) && published.V != broker.OrderingPerKey {
		e.Errorf("a rate limited for each key, and order %s", published)
	}
}

func describeSteady(e *env) {
	d := e.open(Config{})
	again := e.at(d.name).sem
	if !again.Equal(d.sem) {
		e.Errorf("%s, and a moment before %s", again, d.sem)
	}
}

func describeFollows(e *env) {
	if len(e.h.Settings) == 0 {
		e.Skipf("nothing can be set")
	}
	type step struct {
		Setting
		i int
	}
	var steps []step
	for _, s := range e.h.Settings {
		for i := range s.Values {
			steps = append(steps, step{s, i})
		}
	}
	seed := rand.Uint64()
	e.Logf("seed %d", seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	d := e.open(Config{})
	for _, s := range steps {
		s.Set(e.TB, e.b, d.name, s.i)
		after := e.at(d.name).sem
		for _, f := range facts(after) {
			if f.name == s.Fact && f.text != s.Values[s.i] {
				e.Errorf("%s is %s after it was set to %s (seed %d)", f.name, f.text, s.Values[s.i], seed)
			}
		}
	}
}

func describeRequire(e *env) {
	d := e.open(Config{})
	met, missed := []broker.Need{}, []broker.Need{broker.NeedReplicas(99)}
	for _, n := range []struct {
		broker.Need
		met bool
	}{
		{broker.NeedAtLeastOnce(), is(d.sem.Receive.Guarantee, broker.GuaranteeAtLeastOnce)},
		{broker.NeedRequestReply(), isTrue(d.sem.Publish.RequestReply)},
	} {
		if n.met {
			met = append(met, n.Need)
		} else {
			missed = append(missed, n.Need)
		}
	}
	e.must("Require of what is there", broker.Require(e.soon(), e.b, d.name, met...))
	err := broker.Require(e.soon(), e.b, d.name, append(met, missed...)...)
	r, ok := errors.AsType[*broker.RequireError](err)
	if !ok || len(r.Gaps) != len(missed) {
		e.Fatalf("%v, want a RequireError with %d gaps", err, len(missed))
	}
	for i, g := range r.Gaps {
		if g.Needs != fmt.Sprint(missed[i]) || g.Has == "" || g.Because == "" {
			e.Errorf("gap %+v, want one of %s", g, missed[i])
		}
	}
}
