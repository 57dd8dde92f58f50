package memory

import (
	"sync"
	"time"

	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/queue"
)

// Native is the type that [broker.Delivery.As] sets for a delivery of [SQS],
// given a *Native: details that SQS reports and broker does not model.
type Native struct {
	FirstReceive     time.Time // of the message, from whichever queue
	DeadLetterSource string    // the queue that a dead-lettered message came from last
}

// handle is the Handle of a received delivery.
type handle struct {
	lease.Lease
	owner    *SQS
	queue    string
	receipt  queue.Receipt
	received time.Time
	native   Native
}

// As sets a *Native.
func (h *handle) As(target any) bool {
	n, ok := target.(*Native)
	if ok && n != nil {
		*n = h.native
		return true
	}
	return false
}

// Settlement says how a hand-made delivery was settled.
type Settlement uint8

// Values of Settlement.
const (
	Unsettled Settlement = iota
	Deleted
	Released
	Rejected
)

var settlementNames = [...]string{"unsettled", "deleted", "released", "rejected"}

// String returns the settlement's name, such as "deleted".
func (s Settlement) String() string {
	if int(s) < len(settlementNames) {
		return settlementNames[s]
	}
	return "unknown"
}

// Handle is for deliveries made by hand: every [SQS] settles a delivery that
// has one, and only notes on it what was done. The zero Handle is unsettled
// and has no lease. It is safe for concurrent use.
//
//	h := &memory.Handle{}
//	d := &broker.Delivery{Message: broker.Message{Body: body}, Handle: h}
//	err := service.process(ctx, queues, d)
//	// h.Settled() == memory.Deleted
type Handle struct {
	mu       sync.Mutex
	settled  Settlement
	leaseEnd time.Time
	extended int
	delay    time.Duration
	reason   string
}

// As implements [broker.Handle]. There is nothing native to reach.
func (h *Handle) As(any) bool { return false }

// LeaseEnd implements [broker.Leased]: as the last Extend left it, zero before.
func (h *Handle) LeaseEnd() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaseEnd
}

// Settled reports whether and how the delivery was settled.
func (h *Handle) Settled() Settlement {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.settled
}

// Extended is how often the lease was extended.
func (h *Handle) Extended() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.extended
}

// Delay is the delay that the delivery was released with.
func (h *Handle) Delay() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.delay
}

// Reason is the reason that the delivery was rejected with.
func (h *Handle) Reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason
}

// change lets note write down what is done, unless the delivery is settled.
func (h *Handle) change(note func()) (done bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.settled != Unsettled {
		return false
	}
	note()
	return true
}
