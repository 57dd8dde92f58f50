package sqsaudit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Cause is why a message was received again.
type Cause string

// Causes. Each is in evidence, or the receive is a violation.
const (
	// Injected: the endpoint ended the lease before its time or delivered what
	// was deleted, as its worst case does.
	Injected Cause = "by the endpoint's worst case"
	// AnswerLost: the receive before it reached no client, and there is one
	// that nobody answered.
	AnswerLost Cause = "after a lost answer"
	// Killed: whoever had received it died with it.
	Killed Cause = "from a killed consumer"
	// HandlerFailed: a handler failed, and it went back.
	HandlerFailed Cause = "after a failed handler"
	// Drained: the deadline of a drain interrupted its handler.
	Drained Cause = "after an interrupted handler"
	// GivenBack: it was released before a handler began: its group had a
	// failure, or its consumer was drained.
	GivenBack Cause = "given back unstarted"
	// DeleteFailed: a handler succeeded, and no try to delete it did in time.
	DeleteFailed Cause = "after a failed delete"
	// DeleteWaited: a handler succeeded, and its delete had not been tried when
	// the lease ended, because it waited for a call for others that failed and
	// was being retried.
	DeleteWaited Cause = "after a delete that waited behind failing ones"
	// ExtendFailed: its lease ran out while a handler worked on it or it waited
	// for one, and a heartbeat had failed, or its answer came too late to count.
	ExtendFailed Cause = "after a failed heartbeat"
	// Unexplained is none of these.
	Unexplained Cause = "for no reason"
)

// judgeReceives finds the cause of each receive of a message but the first.
func (j *judge) judgeReceives(id string) {
	for _, count := range j.counts(id) {
		if count < 2 {
			continue
		}
		c := j.cause(id, count)
		j.verdict.Redeliver[c]++
		if c == Unexplained {
			j.violate("message %s (%s) came again, %s: receive %d; %s", id, j.bodies[id], c, count, j.evidence(id, count-1))
		}
		if c == AnswerLost && !j.lost(id, count-1) {
			j.violate("message %s (%s) came again, and no receive went unanswered when it was first given away", id, j.bodies[id])
		}
	}
}

// counts are the receives of a message, by their numbers.
func (j *judge) counts(id string) []int {
	var counts []int
	if j.opts.Log {
		for _, e := range j.log[id] {
			if e.Kind == sqstest.EventReceived {
				counts = append(counts, e.Receive)
			}
		}
		return counts
	}
	for n := range j.last[id] {
		counts = append(counts, n+1)
	}
	return counts
}

// cause is why receive number count of a message came about: what became of the
// one before it.
func (j *judge) cause(id string, count int) Cause {
	before := receive{id, count - 1}
	handles, arrived := j.arrived[before]
	switch {
	case j.opts.Worst && j.injected(id, count):
		return Injected
	case !arrived:
		return AnswerLost
	case j.killed[before]:
		return Killed
	}
	until := j.receivedAt(id, count)
	var run *Run
	for _, r := range j.runs[id] {
		if r.attempt == before.count {
			run = r
		}
	}
	deleted, extended, released := j.failures(handles, until)
	switch {
	case run == nil && released:
		return GivenBack
	case run == nil && extended:
		return ExtendFailed
	case run == nil:
		return Unexplained
	case run.ended.IsZero(), run.ended.After(until), errors.Is(run.err, broker.ErrLeaseLost):
		if extended || j.unheard(handles, run) {
			return ExtendFailed
		}
	case errors.Is(run.err, broker.ErrDraining):
		return Drained
	case run.err != nil:
		return HandlerFailed
	case deleted:
		return DeleteFailed
	case slices.ContainsFunc(j.failedDeletes, func(t try) bool { return !t.began.After(until) && !t.ended.Before(run.ended) }):
		return DeleteWaited
	}
	return Unexplained
}

// failures says what the wire shows for a receipt until some time: a delete
// that was not answered with success, such an extension, and any release.
func (j *judge) failures(handles []string, until time.Time) (deleted, extended, released bool) {
	for _, handle := range handles {
		h := j.handles[handle]
		if h == nil {
			continue
		}
		failed := func(s step) bool { return !s.done && !s.began.After(until) }
		deleted = deleted || slices.ContainsFunc(h.deletes, failed)
		extended = extended || slices.ContainsFunc(h.changes, func(s step) bool { return !s.release && failed(s) })
		released = released || slices.ContainsFunc(h.changes, func(s step) bool { return s.release && !s.began.After(until) })
	}
	return deleted, extended, released
}

// slow is the part of a lease after which an extension's answer may have come too
// late: its caller has given up by then, for another try.
const slow = 20

// unheard reports whether a handler lost its lease after an extension within the
// time of a lease before whose answer was slow: had it come in time, the lease
// would not have ended.
func (j *judge) unheard(handles []string, run *Run) bool {
	if !errors.Is(run.err, broker.ErrLeaseLost) {
		return false
	}
	since := run.ended.Add(-j.opts.Lease)
	return slices.ContainsFunc(handles, func(handle string) bool {
		h := j.handles[handle]
		return h != nil && slices.ContainsFunc(h.changes, func(s step) bool {
			return !s.release && s.ended.After(since) && s.began.Before(run.ended) && s.ended.Sub(s.began) >= j.opts.Lease/slow
		})
	})
}

// receivedAt is when receive number count was made; without a log, when the run
// of it began, or far in the future.
func (j *judge) receivedAt(id string, count int) time.Time {
	for _, e := range j.log[id] {
		if e.Kind == sqstest.EventReceived && e.Receive == count {
			return e.Time
		}
	}
	for _, r := range j.runs[id] {
		if r.attempt == count {
			return r.began
		}
	}
	return time.Now().Add(365 * 24 * time.Hour)
}

// injected reports whether the endpoint made receive number count possible by
// itself: the one before it was deleted, or its lease ended too soon.
func (j *judge) injected(id string, count int) bool {
	var due time.Time // the promised end of the lease
	for _, e := range j.log[id] {
		if e.Receive != count-1 || e.Kind == sqstest.EventSent {
			continue
		}
		switch e.Kind {
		case sqstest.EventReceived, sqstest.EventExtended:
			due = e.Time.Add(j.opts.Lease)
		case sqstest.EventDeleted:
			return true
		case sqstest.EventExpired:
			return e.Time.Before(due) && !j.delayed(id, count-1, e.Time)
		case sqstest.EventSent, sqstest.EventReleased, sqstest.EventDeadLettered, sqstest.EventDiscarded:
		}
	}
	return false
}

// delayed reports whether the lease was made to end sooner by a release with a
// delay.
func (j *judge) delayed(id string, count int, by time.Time) bool {
	_, _, released := j.failures(j.arrived[receive{id, count}], by)
	return released
}

// lost reports whether a message was in an answer that was lost: a receive that
// nobody answered was under way when it was given away. Each accounts for ten
// messages at most.
func (j *judge) lost(id string, count int) bool {
	at := j.receivedAt(id, count)
	for i := range j.lostReceives {
		l := &j.lostReceives[i]
		if l.taken < 10 && (!j.opts.Log || !at.Before(l.began) && !at.After(l.ended.Add(j.opts.Slack))) {
			l.taken++
			return true
		}
	}
	return false
}

// evidence is what is known of a receive, for a violation.
func (j *judge) evidence(id string, count int) string {
	var text strings.Builder
	text.WriteString("before:")
	for _, e := range j.log[id] {
		fmt.Fprintf(&text, " %s@%s", e.Kind, e.Time.Format(clock))
	}
	for _, r := range j.runs[id] {
		if r.attempt == count {
			fmt.Fprintf(&text, "; handler %s to %s: %v", r.began.Format(clock), r.ended.Format(clock), r.err)
		}
	}
	return text.String()
}

// trail is what the wire and the handlers saw of a message that is lost.
func (j *judge) trail(ids []string) string {
	var text strings.Builder
	for _, id := range ids {
		for _, count := range j.counts(id) {
			fmt.Fprintf(&text, "; receive %d: %s", count, j.evidence(id, count))
			for _, h := range j.arrived[receive{id, count}] {
				j.handles[h].trail(&text)
			}
		}
	}
	return text.String()
}

func (s *settled) trail(text *strings.Builder) {
	if s == nil {
		return
	}
	for _, c := range slices.Concat(s.changes, s.deletes) {
		fmt.Fprintf(text, ", %s %s to %s: status %d, done %t, release %t", c.action, c.began.Format(clock), c.ended.Format(clock), c.status, c.done, c.release)
	}
}

const clock = "15:04:05.000"
