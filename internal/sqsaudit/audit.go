package sqsaudit

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Options say what the judge may take for granted.
type Options struct {
	FIFO bool
	// Lease is that of every receive and extension, and longer than any delay of a
	// release: the wire tells the two apart by their length only.
	Lease time.Duration
	// Log: the endpoint's own log is told to Event. Without it, the judge has
	// only the wire, and cannot tell when a lease ended.
	Log bool
	// Worst: the endpoint plays the worst of a Standard queue. It ends leases
	// before their time and delivers once more what was deleted; both are
	// injected duplicates, and the log tells them from others.
	Worst bool
	// Slack is how long after a client has given up a call the endpoint may
	// still carry it out: what a proxy holds back arrives late.
	Slack time.Duration
}

// Audit keeps the books of one run on one queue. Make one with [New]. Its
// methods may be called concurrently.
type Audit struct {
	opts Options

	mu sync.Mutex

	// By the wire.
	tries, unanswered int
	sends             map[string]*sent // by body
	arrived           map[receive][]string
	handles           map[string]*settled // by receipt handle
	lostReceives      []lostReceive
	failedDeletes     []try // in whole or in part

	// By the endpoint's log.
	log   map[string][]sqstest.Event // by message
	order []string                   // messages as they were stored
	open  int                        // stored and not yet ended

	// By the test.
	published map[string]*publication // by body
	attempts  []string                // bodies, in the order in which they were published
	runs      map[string][]*Run       // by message, in the order of their begin
	handled   map[string]bool         // bodies that a handler has succeeded with
	killed    map[receive]bool
}

// receive is one receive of one message.
type receive struct {
	id    string
	count int
}

type lostReceive struct {
	try
	taken int // messages that the judge puts down to it
}

// publication is one message that the test published.
type publication struct {
	group string
	ids   []string // of the receipts
	again bool     // it was published again after an error
}

// New begins an audit.
func New(o Options) *Audit {
	return &Audit{
		opts: o, sends: map[string]*sent{}, arrived: map[receive][]string{}, handles: map[string]*settled{},
		log: map[string][]sqstest.Event{}, published: map[string]*publication{}, runs: map[string][]*Run{},
		handled: map[string]bool{}, killed: map[receive]bool{},
	}
}

// Event takes one event of the endpoint's log; it is for Handler.Observe.
func (a *Audit) Event(e sqstest.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch e.Kind {
	case sqstest.EventSent:
		a.order = append(a.order, e.ID)
		a.open++
	case sqstest.EventDeleted, sqstest.EventDiscarded, sqstest.EventDeadLettered:
		if !slices.ContainsFunc(a.log[e.ID], isEnd) { // the worst case ends one twice
			a.open--
		}
	}
	a.log[e.ID] = append(a.log[e.ID], e)
}

func isEnd(e sqstest.Event) bool {
	return e.Kind == sqstest.EventDeleted || e.Kind == sqstest.EventDiscarded || e.Kind == sqstest.EventDeadLettered
}

// Publishing is told before a message is published, and before it is published
// again after an error. Bodies tell messages apart. On a FIFO queue, the calls
// for one group come in the order that it is to have.
func (a *Audit) Publishing(body, group string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.published[body]; p != nil {
		p.again = true
		return
	}
	a.published[body] = &publication{group: group}
	a.attempts = append(a.attempts, body)
}

// Published is told of a message's receipt.
func (a *Audit) Published(body string, r broker.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.published[body]
	p.ids = append(p.ids, r.ID)
}

// Killed is told of a message that was received and let go on purpose, as by a
// consumer that dies.
func (a *Audit) Killed(d *broker.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.killed[receive{d.ID, d.Attempt}] = true
}

// Run is one run of a handler.
type Run struct {
	audit    *Audit
	ctx      context.Context
	id, body string
	group    string
	sequence broker.Sequence
	attempt  int
	began    time.Time
	ended    time.Time // zero: it has not
	err      error
	beside   int // the attempt of another run that was under way and had not been told to stop, 0: none
}

// Began is told by a handler when it begins. Call [Run.Ended] when it returns.
func (a *Audit) Began(ctx context.Context, d *broker.Delivery) *Run {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &Run{
		audit: a, ctx: ctx, id: d.ID, body: string(d.Body), group: d.Key, sequence: d.Sequence,
		attempt: d.Attempt, began: time.Now(),
	}
	for _, other := range a.runs[d.ID] {
		if other.ended.IsZero() && other.ctx.Err() == nil {
			r.beside = other.attempt
		}
	}
	a.runs[d.ID] = append(a.runs[d.ID], r)
	return r
}

// Ended is told what the handler is about to return: of one that was told to
// stop, the cause of its context's end. A run that panics has an error too.
func (r *Run) Ended(err error) {
	r.audit.mu.Lock()
	defer r.audit.mu.Unlock()
	r.ended, r.err = time.Now(), err
	if err == nil {
		r.audit.handled[r.body] = true
	}
}

func (r *Run) succeeded() bool { return !r.ended.IsZero() && r.err == nil }

// Open is how many stored messages have not ended yet, by the endpoint's log.
func (a *Audit) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Handled is how many of the published messages a handler has succeeded with.
func (a *Audit) Handled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.handled)
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // 0 for what is absent
	return n
}
