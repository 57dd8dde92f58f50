// Package cluster runs JetStream and core NATS on servers that are killed,
// paused and cut off, from all or from their peers alone, and judges what their clients saw.
//
//	go test ./cluster                           one fault of each kind, about a minute
//	go test -timeout 30m ./cluster -minutes 10  faults for ten minutes
package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// message is the n-th of its key, counted from 1 in the order of publishing.
type message struct{ key, n int }

func (m message) String() string { return fmt.Sprintf("%d-%d", m.key, m.n) }

// event is a delivery, or a delete that the server has confirmed.
type event struct {
	message  message
	receiver int
	deleted  bool
	at       time.Time
	// Of a delivery:
	attempt  int
	leaseEnd time.Time
}

// rounding is by how much a lease may end early with a new leader: what a server
// recovers has whole seconds (nats-server 2.15, server/store.go,
// encodeConsumerState).
const rounding = time.Second

// window is when a fault began, when it ended, and when the cluster was whole again.
// A server that was killed has nothing left to send: then healed is zero.
type window struct{ began, healed, whole time.Time }

// consumerLog is what all receivers of one consumer saw, in that order.
type consumerLog struct {
	name   string
	keys   []int
	strict bool // as Describe says: the order survives redelivery

	mu     sync.Mutex
	events []event
	seen   map[message]bool
	last   time.Time     // of a delivery
	gap    time.Duration // the longest between two
}

func (l *consumerLog) add(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	if e.deleted {
		return
	}
	if l.seen == nil {
		l.seen = map[message]bool{}
	}
	l.seen[e.message] = true
	if !l.last.IsZero() {
		l.gap = max(l.gap, e.at.Sub(l.last))
	}
	l.last = e.at
}

// handled is how many different messages have been delivered.
func (l *consumerLog) handled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// entry is a message in the stream.
type entry struct {
	message  message
	sequence uint64
	at       time.Time
}

func (e entry) String() string {
	return fmt.Sprintf("as %d at %s", e.sequence, e.at.UTC().Format("15:04:05.000"))
}

// history is what became of the messages of one run.
type history struct {
	acked  map[message]bool // acknowledged to their publisher
	stored []entry          // what the stream has, in its order
	logs   []*consumerLog
	faults []window
}

// verdict is what is wrong with a history, and its figures.
type verdict struct {
	lost       []string // acknowledged, and not there
	duplicates []string // that nothing explains
	disorder   []string
	repeated   int // deliveries of a message that was delivered before
	early      int // of these, before the lease of the delivery before was over
	crossed    int // of these, after a delete that was confirmed when that lease had ended
	stale      int // of these, from a former leader that sent what it had left to send
	fresh      int // deletes that were confirmed within a second before a fault
}

func (v verdict) ok() bool { return len(v.lost)+len(v.duplicates)+len(v.disorder) == 0 }

// judge holds a history against what JetStream promises: what was acknowledged
// is in the stream, once, and delivered to each consumer; messages of a key are
// stored in the order in which they were published; a message whose delete was
// confirmed does not come again; and deliveries come in the order that each
// consumer promises.
func judge(h history) verdict {
	var v verdict
	v.stream(h)
	for _, l := range h.logs {
		v.delivered(h, l)
		v.repeats(h, l)
		if l.strict {
			v.strictOrder(h, l)
		} else {
			v.firstOrder(l)
		}
	}
	return v
}

func (v *verdict) stream(h history) {
	entries := map[message][]string{}
	last := map[int]int{}
	for _, e := range h.stored {
		m := e.message
		entries[m] = append(entries[m], e.String())
		if m.n < last[m.key] {
			v.disorder = append(v.disorder, fmt.Sprintf("%v is stored after %d", m, last[m.key]))
		}
		last[m.key] = max(last[m.key], m.n)
	}
	for _, m := range sorted(entries) {
		if all := entries[m]; len(all) > 1 {
			v.duplicates = append(v.duplicates, fmt.Sprintf("%v is stored %d times: %s", m, len(all), strings.Join(all, ", ")))
		}
	}
	for _, m := range sorted(h.acked) {
		if entries[m] == nil {
			v.lost = append(v.lost, fmt.Sprintf("%v is not in the stream", m))
		}
	}
}

// sorted makes what is found independent of the order of maps.
func sorted[V any](of map[message]V) []message {
	return slices.SortedFunc(maps.Keys(of), func(a, b message) int {
		if a.key != b.key {
			return a.key - b.key
		}
		return a.n - b.n
	})
}

func (v *verdict) delivered(h history, l *consumerLog) {
	for _, m := range sorted(h.acked) {
		if slices.Contains(l.keys, m.key) && !l.seen[m] {
			v.lost = append(v.lost, fmt.Sprintf("%v was never delivered by %s", m, l.name))
		}
	}
}

// repeats explains each further delivery of a message: one before it was not
// deleted, or its lease had ended when its delete was confirmed, so that the
// further one may have been on its way, or a former leader sent what it had left to
// send. A delete that was confirmed in time holds, also if the leader dies: the
// server answers once a majority has it (nats-server 2.15,
// server/jetstream_cluster.go, processReplicatedAck).
func (v *verdict) repeats(h history, l *consumerLog) {
	deleted := map[message]time.Time{}
	leases := map[message]time.Time{}
	attempts := map[message]int{}
	for _, e := range l.events {
		if e.deleted {
			deleted[e.message] = e.at
			if h.justBefore(e.at) {
				v.fresh++
			}
			continue
		}
		lease, again := leases[e.message]
		leases[e.message] = e.leaseEnd
		before := attempts[e.message]
		attempts[e.message] = max(before, e.attempt)
		if !again {
			continue
		}
		v.repeated++
		if e.at.Before(lease) {
			v.early++
		}
		confirmed, ok := deleted[e.message]
		switch {
		case !ok:
		case confirmed.After(lease.Add(-rounding)):
			v.crossed++
		case h.leftOver(e, before):
			v.stale++
		default:
			v.duplicates = append(v.duplicates, fmt.Sprintf("%v, attempt %d, came to %s %v after its delete was confirmed",
				e.message, e.attempt, l.name, e.at.Sub(confirmed)))
		}
	}
}

// justBefore reports whether a fault follows within a second.
func (h history) justBefore(at time.Time) bool {
	return slices.ContainsFunc(h.faults, func(f window) bool {
		return at.Before(f.began) && f.began.Sub(at) < time.Second
	})
}

// reunion is how long after a heal a former leader may still send: servers that
// lost each other dial again within seconds.
const reunion = 15 * time.Second

// leftOver reports whether a delivery is one that a leader had begun when it was
// paused or cut off, and that it sent when it was back, although the leader of
// meanwhile has delivered the message: its attempt is no later one, and it comes
// with the heal. A new leader that had forgotten would deliver before that.
func (h history) leftOver(e event, before int) bool {
	return e.attempt <= before && slices.ContainsFunc(h.faults, func(f window) bool {
		last := f.whole.Add(time.Second)
		if soon := f.healed.Add(reunion); soon.Before(last) {
			last = soon
		}
		return !f.healed.IsZero() && !e.at.Before(f.healed) && e.at.Before(last)
	})
}

// strictOrder: only the latest message may come again, but for what a former
// leader had left to send.
func (v *verdict) strictOrder(h history, l *consumerLog) {
	latest := map[int]int{}
	attempts := map[message]int{}
	for _, e := range l.events {
		if e.deleted || h.leftOver(e, attempts[e.message]) {
			continue
		}
		attempts[e.message] = max(attempts[e.message], e.attempt)
		if e.message.n < latest[e.message.key] {
			v.disorder = append(v.disorder, fmt.Sprintf("%v, attempt %d, came to %s after %d", e.message, e.attempt, l.name, latest[e.message.key]))
		}
		latest[e.message.key] = max(latest[e.message.key], e.message.n)
	}
}

// firstOrder: each receiver gets first deliveries in the order of the stream.
func (v *verdict) firstOrder(l *consumerLog) {
	type reader struct{ receiver, key int }
	latest := map[reader]int{}
	seen := map[message]bool{}
	for _, e := range l.events {
		if e.deleted || e.attempt > 1 || seen[e.message] {
			continue
		}
		seen[e.message] = true
		r := reader{e.receiver, e.message.key}
		if e.message.n < latest[r] {
			v.disorder = append(v.disorder, fmt.Sprintf("%v came to receiver %d of %s for the first time after %d", e.message, e.receiver, l.name, latest[r]))
		}
		latest[r] = max(latest[r], e.message.n)
	}
}
