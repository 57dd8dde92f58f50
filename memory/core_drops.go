package memory

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// dropPeriod is how long a drop may go untold, as in natsbroker.
const dropPeriod = 100 * time.Millisecond

// drop counts a message that is not taken in, and sees to it that this is told.
// The caller holds mu.
func (s *subscription) drop() {
	s.dropped++
	s.total++
	switch {
	case s.dropped > 1:
	case s.late == nil:
		s.late = time.AfterFunc(dropPeriod, s.tellLate)
	default:
		s.late.Reset(dropPeriod)
	}
}

// takeDropped is what is to be told now by the caller, who holds mu, with tell;
// nil if nothing is.
func (s *subscription) takeDropped() *broker.DropError {
	if s.dropped == 0 {
		return nil
	}
	e := &broker.DropError{Messages: s.dropped, Total: s.total}
	s.dropped = 0
	s.telling++
	return e
}

// tell tells drops. A drain waits for it.
func (s *subscription) tell(e *broker.DropError) {
	s.dispatcher.Drop(e.Messages, failed(OpReceive, s.dispatcher.Subscription().Subject(), broker.ErrDropped, e))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telling--
	s.checkQuiet()
}

// tellLate tells drops behind a handler that does not return.
func (s *subscription) tellLate() {
	s.mu.Lock()
	e := s.takeDropped()
	s.mu.Unlock()
	if e != nil {
		s.tell(e)
	}
}
