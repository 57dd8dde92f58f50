package memory

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// dropPeriod is the longest that a drop may go unreported, as in natsbroker.
const dropPeriod = 100 * time.Millisecond

// drop counts a message that is not accepted, and arranges for it to be
// reported. The caller holds mu.
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

// takeDropped returns the drops that the caller, who holds mu, must now report
// with tell; nil if there are none.
func (s *subscription) takeDropped() *broker.DropError {
	if s.dropped == 0 {
		return nil
	}
	e := &broker.DropError{Messages: s.dropped, Total: s.total}
	s.dropped = 0
	s.telling++
	return e
}

// tell reports drops. A drain waits for it.
func (s *subscription) tell(e *broker.DropError) {
	s.dispatcher.Drop(e.Messages, failed(OpReceive, s.dispatcher.Subscription().Subject(), broker.ErrDropped, e))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telling--
	s.checkQuiet()
}

// tellLate reports drops while a handler does not return.
func (s *subscription) tellLate() {
	s.mu.Lock()
	e := s.takeDropped()
	s.mu.Unlock()
	if e != nil {
		s.tell(e)
	}
}
