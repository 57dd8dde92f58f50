package sqsaudit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Verdict is what the judge found.
type Verdict struct {
	// Violations are what must not be, ten at most; none is a pass.
	Violations []string

	Published  int           // messages
	Copies     int           // stored beyond one for each message, each after a send that nobody answered
	Redeliver  map[Cause]int // receives beyond the first of each stored message, by cause
	Runs       int           // of handlers
	Tries      int           // requests on the wire
	Unanswered int           // of them
}

// String is the verdict on one line, for a log.
func (v *Verdict) String() string {
	var causes []string
	for _, c := range slices.Sorted(maps.Keys(v.Redeliver)) {
		causes = append(causes, fmt.Sprintf("%d %s", v.Redeliver[c], c))
	}
	return fmt.Sprintf("%d messages, %d tries on the wire (%d unanswered), %d copies stored by resends, %d handler runs, redelivered: %s",
		v.Published, v.Tries, v.Unanswered, v.Copies, v.Runs, cmp.Or(strings.Join(causes, ", "), "none"))
}

// Judge goes through the books, once the run is over and all its goroutines
// have ended.
func (a *Audit) Judge() *Verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := &judge{Audit: a, bodies: map[string]string{}, last: map[string]int{}, verdict: &Verdict{
		Published: len(a.attempts), Redeliver: map[Cause]int{}, Tries: a.tries, Unanswered: a.unanswered,
	}}
	j.identify()
	j.judgeLosses()
	j.judgeCopies()
	for _, id := range slices.Sorted(maps.Keys(a.runs)) {
		j.judgeRuns(id)
	}
	for _, id := range j.stored {
		j.judgeReceives(id)
	}
	if a.opts.FIFO {
		j.judgeOrder()
	}
	return j.verdict
}

type judge struct {
	*Audit
	verdict *Verdict
	bodies  map[string]string // by message
	stored  []string          // messages that are known to have been stored
	last    map[string]int    // without a log: the last receive of each message that arrived
}

func (j *judge) violate(format string, args ...any) {
	if len(j.verdict.Violations) < 10 {
		j.verdict.Violations = append(j.verdict.Violations, fmt.Sprintf(format, args...))
	}
}

// identify finds out which message has which body: by receipts and by runs.
func (j *judge) identify() {
	for body, p := range j.published {
		for _, id := range p.ids {
			j.bodies[id] = body
		}
	}
	for id, runs := range j.runs {
		j.bodies[id] = runs[0].body
	}
	j.stored = j.order
	if !j.opts.Log {
		for r := range j.arrived {
			j.last[r.id] = max(j.last[r.id], r.count)
		}
		j.stored = slices.Sorted(maps.Keys(j.last))
	}
}

// judgeLosses: what was published was handled, what was stored was handled
// before it was deleted, and nothing is left.
func (j *judge) judgeLosses() {
	for _, body := range j.attempts {
		p := j.published[body]
		if len(p.ids) == 0 {
			j.violate("message %s was never published with success", body)
		}
		if !j.handled[body] {
			j.violate("message %s is lost: published as %v, and no handler succeeded%s", body, p.ids, j.trail(p.ids))
		}
		for _, id := range p.ids {
			if j.opts.Log && len(j.log[id]) == 0 {
				j.violate("message %s has a receipt with the id %s, which the endpoint never stored", body, id)
			}
		}
	}
	for _, id := range j.order {
		j.judgeEnd(id)
	}
}

func (j *judge) judgeEnd(id string) {
	events := j.log[id]
	end := slices.IndexFunc(events, isEnd)
	switch {
	case end < 0:
		j.violate("message %s (%s) was never deleted", id, j.bodies[id])
	case events[end].Kind != sqstest.EventDeleted:
		j.violate("message %s (%s) was %s", id, j.bodies[id], events[end].Kind)
	case !j.handledBy(id, events[end].Time):
		j.violate("message %s (%s) is lost: deleted before a handler had succeeded", id, j.bodies[id])
	}
}

// handledBy reports whether a handler had succeeded with a message by then.
func (j *judge) handledBy(id string, by time.Time) bool {
	return slices.ContainsFunc(j.runs[id], func(r *Run) bool { return r.succeeded() && !r.ended.After(by) })
}

// judgeCopies: a message is stored once, and once more at most for each send
// that nobody answered. A FIFO queue takes the resends for what they are.
func (j *judge) judgeCopies() {
	copies := map[string]int{}
	for _, id := range j.stored {
		if body, known := j.bodies[id]; known {
			copies[body]++
		}
	}
	for _, body := range j.attempts {
		n := copies[body]
		j.verdict.Copies += max(n-1, 0)
		s := cmp.Or(j.sends[body], &sent{})
		switch {
		case s.stored > 1 && !j.opts.FIFO:
			j.violate("message %s was sent again after the endpoint had said that it is stored", body)
		case n > 1 && j.opts.FIFO:
			j.violate("message %s is stored %d times on a FIFO queue", body, n)
		case n > s.stored+s.unanswered:
			j.violate("message %s is stored %d times after %d sends with success and %d unanswered ones",
				body, n, s.stored, s.unanswered)
		}
	}
}

// judgeRuns: one run for each receive at most, none beside another.
func (j *judge) judgeRuns(id string) {
	runs := map[int]int{}
	for _, r := range j.runs[id] {
		j.verdict.Runs++
		runs[r.attempt]++
		if j.published[r.body] == nil {
			j.violate("a handler got %q, which nobody published", r.body)
		}
		if r.ended.IsZero() {
			j.violate("the handler of message %s (%s) never ended", id, r.body)
		}
		if runs[r.attempt] > 1 {
			j.violate("receive %d of message %s (%s) was handled %d times", r.attempt, id, r.body, runs[r.attempt])
		}
		if r.beside > 0 && !j.injectedBetween(id, r.beside, r.attempt) {
			j.violate("two handlers at once on message %s (%s)", id, r.body)
		}
	}
}

// injectedBetween reports whether the endpoint took a message away from whoever
// had received it, by a receive after one and up to another.
func (j *judge) injectedBetween(id string, from, to int) bool {
	for count := from + 1; count <= to; count++ {
		if j.cause(id, count) == Injected {
			return true
		}
	}
	return false
}

// judgeOrder: the messages of a group were stored in the order in which they
// were published, and when a handler began, the earlier ones had ended.
func (j *judge) judgeOrder() {
	groups := map[string][]string{}
	for _, id := range j.inOrder() {
		if p := j.published[j.bodies[id]]; p != nil {
			groups[p.group] = append(groups[p.group], id)
		}
	}
	rank := map[string]int{}
	for i, body := range j.attempts {
		rank[body] = i
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		last := -1
		for i, id := range groups[name] {
			body := j.bodies[id]
			if !j.published[body].again { // else its turn is the test's choice
				if rank[body] < last {
					j.violate("message %s of group %s was stored after later ones", body, name)
				}
				last = max(last, rank[body])
			}
			j.judgeTurn(name, groups[name][:i], id)
		}
	}
}

// inOrder are the stored messages as the endpoint ordered them.
func (j *judge) inOrder() []string {
	if j.opts.Log {
		return j.order
	}
	ids := slices.Collect(maps.Keys(j.runs))
	slices.SortFunc(ids, func(a, b string) int { return j.runs[a][0].sequence.Compare(j.runs[b][0].sequence) })
	return ids
}

// judgeTurn: no run of a message began before those ahead of it had ended. It
// is enough to look at the last of them to end.
func (j *judge) judgeTurn(group string, ahead []string, id string) {
	if len(ahead) == 0 {
		return
	}
	before := ahead[len(ahead)-1] // its own turn was judged
	for _, r := range j.runs[id] {
		if !j.over(before, r.began) {
			j.violate("message %s of group %s began before %s had ended", r.body, group, j.bodies[before])
		}
	}
}

// over reports whether a message had ended by then: deleted, as far as the log
// knows, or else handled.
func (j *judge) over(id string, by time.Time) bool {
	if !j.opts.Log {
		return j.handledBy(id, by)
	}
	i := slices.IndexFunc(j.log[id], isEnd)
	return i >= 0 && !j.log[id][i].Time.After(by)
}
