package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"runtime"
	"slices"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
)

// rule is one that a run must keep.
type rule string

const (
	ruleSlots     rule = "no more handlers at once than slots"
	ruleAlone     rule = "two handlers at once on a message while its lease holds"
	ruleTold      rule = "a handler is told before its message is with somebody else"
	ruleLate      rule = "no change of a lease that is over"
	ruleSettled   rule = "no change of what is settled"
	ruleDeleted   rule = "what was handled in time does not come again"
	ruleKept      rule = "no message is lost"
	ruleLane      rule = "the messages of a group are handled in order"
	ruleGoroutine rule = "no goroutine is left"
	ruleDrained   rule = "a drain returns when the last handler has"
	ruleHeap      rule = "the heap stays flat"
)

// oracle judges a run by the engine's events: when a message was received, its
// lease ended, it was deleted or put to rest. Guarded by the soak's mu.
type oracle struct {
	fifo   bool
	log    hash.Hash64 // over kind, id and time of each event
	logged int

	ended     map[string]bool        // FIFO: deleted or dead-lettered, by id, until the group has passed it
	groups    map[string][]string    // FIFO: ids in the order sent, first the earliest that has not ended
	working   map[string]*soakHandle // the delivery whose handler runs, by id
	succeeded map[string]bool        // handled and not yet deleted; true: well before the end of the lease
	rejected  map[string]bool        // by its handler
	expired   map[string]uint32      // the receive whose lease has run out, by id, until the next
	runs      map[string]int         // handler calls, by id
	done      int                    // deleted or dead-lettered
	dead      int                    // of these, dead-lettered
	unheard   int                    // of these, without that a handler ran

	heap        []uint64 // after a collection, in the order of measuring
	least, most uint64
	violations  []string
	only        rule // if set, no other one counts
}

func newOracle(fifo bool) oracle {
	return oracle{
		fifo: fifo, log: fnv.New64a(),
		ended: map[string]bool{}, groups: map[string][]string{}, working: map[string]*soakHandle{},
		succeeded: map[string]bool{}, rejected: map[string]bool{}, expired: map[string]uint32{}, runs: map[string]int{},
	}
}

func (o *oracle) violate(r rule, format string, args ...any) {
	if len(o.violations) < 10 && (o.only == "" || o.only == r) {
		o.violations = append(o.violations, string(r)+": "+fmt.Sprintf(format, args...))
	}
}

// expect notes a message that is about to be sent.
func (o *oracle) expect(id, group string) {
	if o.fifo {
		o.groups[group] = append(o.groups[group], id)
	}
}

// event takes the engine's word on what happened.
func (o *oracle) event(e queue.Event) {
	o.write(e)
	if e.Queue != "q" {
		return
	}
	receive, over := o.expired[e.ID]
	over = over && receive == e.Receipt.Receive
	switch e.Kind {
	case queue.EventReceived:
		o.received(e)
	case queue.EventExpired:
		o.expired[e.ID] = e.Receipt.Receive
	case queue.EventExtended, queue.EventReleased:
		if over {
			o.violate(ruleLate, "%s at %v, after its lease had run out", e.ID, e.Time)
		}
	case queue.EventDeleted:
		if _, ok := o.succeeded[e.ID]; !ok {
			o.violate(ruleKept, "%s was deleted at %v, and no handler had succeeded", e.ID, e.Time)
		}
		o.end(e.ID)
	case queue.EventDeadLettered:
		if e.Receipt.Receive < soakAttempts && !o.rejected[e.ID] {
			o.violate(ruleKept, "%s was put to rest at %v after %d attempts, not rejected", e.ID, e.Time, e.Receipt.Receive)
		}
		o.dead++
		if o.runs[e.ID] == 0 {
			o.unheard++
		}
		o.end(e.ID)
	case queue.EventDiscarded:
		o.violate(ruleKept, "%s was discarded at %v", e.ID, e.Time)
	}
}

func (o *oracle) received(e queue.Event) {
	delete(o.expired, e.ID)
	if o.succeeded[e.ID] {
		o.violate(ruleDeleted, "%s came again at %v", e.ID, e.Time)
	}
	// The engine gives a message out again only once its lease is over: a
	// handler that still has it must have been told.
	if h := o.working[e.ID]; h != nil && h.ctx.Err() == nil {
		o.violate(ruleTold, "%s was received again at %v while a handler works on it", e.ID, e.Time)
	}
}

// end notes that a message is deleted or at rest.
func (o *oracle) end(id string) {
	o.done++
	if o.fifo {
		o.ended[id] = true
	}
	delete(o.succeeded, id)
	delete(o.rejected, id)
	delete(o.expired, id)
	delete(o.runs, id)
}

func (o *oracle) write(e queue.Event) {
	var b [9]byte
	b[0] = byte(e.Kind)
	binary.LittleEndian.PutUint64(b[1:], uint64(e.Time.UnixNano())) //nolint:gosec // after 1970
	_, _ = o.log.Write(b[:])
	_, _ = o.log.Write([]byte(e.ID))
	o.logged++
}

// refused takes an error of the engine: what it refuses comes too late.
func (o *oracle) refused(op string, h *soakHandle, err error) {
	if err != nil && op != "delete" {
		o.violate(ruleLate, "%s of %d, attempt %d: %v", op, h.number, h.receipt.Receive, err)
	}
}

// begins: a handler begins to work on a message.
func (o *oracle) begins(ctx context.Context, h *soakHandle, d *broker.Delivery) {
	if other := o.working[d.ID]; other != nil && other.ctx.Err() == nil {
		o.violate(ruleAlone, "%s", d.ID)
	}
	h.ctx = ctx
	o.working[d.ID] = h
	o.runs[d.ID]++
	if n := len(o.working); n > soakSlots {
		o.violate(ruleSlots, "%d", n)
	}
	if !o.fifo {
		return
	}
	// Every earlier message of its group must have ended.
	ids := o.groups[h.group]
	for len(ids) > 0 && o.ended[ids[0]] {
		delete(o.ended, ids[0])
		ids = ids[1:]
	}
	o.groups[h.group] = ids
	if len(ids) > 0 && ids[0] != d.ID {
		o.violate(ruleLane, "%s of group %s began before %s had ended", d.ID, h.group, ids[0])
	}
}

// returns: a handler has returned.
func (o *oracle) returns(h *soakHandle, d *broker.Delivery, err error, inTime bool) {
	if o.working[d.ID] == h {
		delete(o.working, d.ID)
	}
	if err == nil {
		o.succeeded[d.ID] = inTime
	}
	if _, rejects := errors.AsType[*broker.RejectError](err); rejects {
		o.rejected[d.ID] = true
	}
}

// checkGoroutines: a consumer that is drained has left none.
func (o *oracle) checkGoroutines(before int) {
	if now, stacks := goroutines(); now > before {
		o.violate(ruleGoroutine, "%d after a drain, %d before: %s", now, before, stacks)
	}
}

// goroutines counts those of the caller's bubble.
func goroutines() (n int, stacks []byte) {
	stacks = make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own, _, _ := bytes.Cut(stacks, []byte("]:\n")) // of the caller
	_, bubble, _ := bytes.Cut(own, []byte(", "))
	return bytes.Count(stacks, append(append([]byte(", "), bubble...), "]:\n"...)), stacks
}

// checkDrained: no handler of the soak takes longer than a drain's grace.
func (o *oracle) checkDrained(sub *broker.Subscription, r broker.Report) {
	select {
	case <-sub.Done():
	default:
		o.violate(ruleDrained, "%+v", r)
	}
}

// measure takes the size of the heap now and then.
func (o *oracle) measure(drains int) {
	if drains%4 != 0 {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	o.heap = append(o.heap, m.HeapAlloc)
}

// checkEnd: each message has ended, and the heap has not grown since the first
// third of the run.
func (o *oracle) checkEnd(total int) {
	if o.done != total && len(o.violations) == 0 {
		o.violate(ruleKept, "%d of %d messages have ended", o.done, total)
	}
	if len(o.heap) == 0 {
		return
	}
	o.least, o.most = slices.Min(o.heap), slices.Max(o.heap)
	third := len(o.heap) / 3
	if third == 0 {
		return
	}
	early, late := slices.Max(o.heap[:third]), slices.Min(o.heap[2*third:])
	if late > early+early/4+256<<10 {
		o.violate(ruleHeap, "at most %d KiB in the first third of the run, at least %d KiB in the last", early>>10, late>>10)
	}
}
