package natsbroker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// dropPeriod is how long a drop may go unreported.
const dropPeriod = 100 * time.Millisecond

// drops tracks the messages that nats.go has dropped for a subscription.
// nats.go reports only the first drop and then just counts. So its count is
// checked every dropPeriod while messages are being handled, even behind a
// handler that blocks, and not at all while there are none.
type drops struct {
	armed atomic.Bool // a check is scheduled

	mu      sync.Mutex
	told    int // drops reported so far
	timer   *time.Timer
	stopped bool

	looking sync.Mutex // held during a check
}

// watchDrops is called when a message has begun.
func (s *subscription) watchDrops() {
	if !s.drops.armed.Load() && s.drops.armed.CompareAndSwap(false, true) {
		s.drops.arm(s.look)
	}
}

func (d *drops) arm(look func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopped:
	case d.timer == nil:
		d.timer = time.AfterFunc(dropPeriod, look)
	default:
		d.timer.Reset(dropPeriod)
	}
}

// stop joins a check in progress, whose hook may be running.
func (d *drops) stop() {
	d.looking.Lock()
	defer d.looking.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// look reports dropped messages, and schedules the next check if a message is
// being handled.
func (s *subscription) look() {
	s.drops.looking.Lock()
	defer s.drops.looking.Unlock()
	s.drops.armed.Store(false)
	s.reportDrops()
	if s.returned.Load() < s.started() { // a message that begins from here on sees what armed says
		s.watchDrops()
	}
}

// reportDrops reports the drops that nats.go has counted since the last time.
// nats.go no longer counts once the native subscription is gone.
func (s *subscription) reportDrops() {
	total, err := s.native.Dropped()
	if err != nil {
		return
	}
	s.drops.mu.Lock()
	fresh := total - s.drops.told
	s.drops.told = max(total, s.drops.told)
	s.drops.mu.Unlock()
	if fresh > 0 {
		dropped := &broker.DropError{Messages: uint64(fresh), Total: uint64(total), Err: nats.ErrSlowConsumer} //nolint:gosec // counts
		s.dispatcher.Drop(dropped.Messages, s.broker.failure("receive", s.name, dropped))
	}
}

// tellHeadersLost reports that a message is delivered without its headers.
func (s *subscription) tellHeadersLost() {
	err := fmt.Errorf("a message's headers cannot be parsed; it is delivered without them: %w", nats.ErrBadHeaderMsg)
	s.dispatcher.Tell(s.broker.failure("receive", s.name, err))
}
