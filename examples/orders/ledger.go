package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// ledger is the books of one queue: what was put on it and what became of
// that. At every moment each order is processed, absorbed as a duplicate,
// dead-lettered, left on the queue, or still open.
//
// The set booked stands for the table with a unique key, written in the same
// transaction as an order's effects, that makes a real consumer idempotent.
type ledger struct {
	dedups bool          // the queue itself drops repeats of an order
	done   chan struct{} // closed when all is published and nothing is open

	mu        sync.Mutex
	published map[string]int    // by order: messages that the queue took
	ended     map[string]int    // by order: messages that came to an end
	messages  map[string]bool   // ids of these messages
	booked    map[string]string // by order: the message that it was processed for
	failures  map[string]int    // by order: attempts that failed
	dead      []Order           // read from the dead-letter queue
	absorbed  int               // duplicates that the consumer recognised
	left      int               // messages found on the queue after the end
	open      int               // messages without an end yet
	complete  bool
}

func newLedger(dedups bool) *ledger {
	return &ledger{
		dedups: dedups, done: make(chan struct{}),
		published: map[string]int{}, ended: map[string]int{}, messages: map[string]bool{},
		booked: map[string]string{}, failures: map[string]int{},
	}
}

// publish notes that the queue took a message for the order.
func (l *ledger) publish(o Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(o.ID, func() { l.published[o.ID]++ })
}

// close notes that nothing more will be published.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complete = true
	l.checkDone()
}

// book processes the order of d unless that has happened before.
func (l *ledger) book(o Order, d *broker.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, again := l.booked[o.ID]
	switch {
	case !again:
		l.booked[o.ID] = d.ID
	case before != d.ID:
		l.absorbed++
	}
	l.end(o, d)
}

// decline is what makes trouble: it reports whether this attempt at the order
// fails, and notes that.
func (l *ledger) decline(o Order) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fails := o.Fails == "always" || o.Fails == "once" && l.failures[o.ID] == 0
	if fails {
		l.failures[o.ID]++
	}
	return fails
}

// bury notes that d was read from the dead-letter queue.
func (l *ledger) bury(o Order, d *broker.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end(o, d) {
		l.dead = append(l.dead, o)
	}
}

// leave notes that d was on the queue after the end of processing.
func (l *ledger) leave(o Order, d *broker.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end(o, d) {
		l.left++
	}
}

// end closes the books on one message and reports whether they were open: a
// message may be delivered again although it was processed.
func (l *ledger) end(o Order, d *broker.Delivery) bool {
	if l.messages[d.ID] {
		return false
	}
	l.messages[d.ID] = true
	l.change(o.ID, func() { l.ended[o.ID]++ })
	return true
}

// change keeps count of what is open. The consumer may end a message before
// the publisher has noted it: the difference then comes out right with the
// second of the two.
func (l *ledger) change(id string, do func()) {
	before := l.missing(id)
	do()
	l.open += l.missing(id) - before
	l.checkDone()
}

// missing is the number of messages of an order that have yet to come to an
// end. Of repeats, a queue that deduplicates owes only one.
func (l *ledger) missing(id string) int {
	owed := l.published[id]
	if l.dedups {
		owed = min(owed, 1)
	}
	return max(0, owed-l.ended[id])
}

func (l *ledger) checkDone() {
	if !l.complete || l.open > 0 {
		return
	}
	select {
	case <-l.done:
	default:
		close(l.done)
	}
}

func (l *ledger) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open > 0
}

// sums are the books' totals.
type sums struct {
	published, booked, absorbed, dropped, dead, left, open int
}

func (l *ledger) sums() sums {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := sums{
		booked: len(l.booked), absorbed: l.absorbed,
		dead: len(l.dead), left: l.left, open: l.open,
	}
	for _, n := range l.published {
		s.published += n
	}
	// What the queue took and never handed out, although nothing of that order
	// is missing, it recognised as duplicates itself.
	s.dropped = max(0, s.published-len(l.messages)-s.open)
	return s
}

// mostLines bounds the lists of orders that are shown.
const mostLines = 20

// deadLetters returns the first orders of the dead-letter queue, by id.
func (l *ledger) deadLetters() []Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead := slices.SortedFunc(slices.Values(l.dead), func(a, b Order) int { return strings.Compare(a.ID, b.ID) })
	return dead[:min(len(dead), mostLines)]
}

// troubles has a line for each order that failed at least once.
func (l *ledger) troubles() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead := map[string]bool{}
	for _, o := range l.dead {
		dead[o.ID] = true
	}
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(l.failures)) {
		_, booked := l.booked[id]
		fate := "not processed yet"
		switch {
		case dead[id]:
			fate = "dead-lettered"
		case booked:
			fate = "then processed"
		}
		lines = append(lines, fmt.Sprintf("order %s failed %d×, %s", id, l.failures[id], fate))
	}
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines], fmt.Sprintf("and %d more orders failed", more))
	}
	return lines
}
