package natsbroker

import (
	"context"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
)

// drain stops the intake: nothing more is requested from the server, messages
// that have arrived are dispatched, and the native subscription is removed. It
// returns how many messages were discarded, which is 0 unless ctx ends first or
// the connection is closed.
//
// nats.go's own Drain is not enough. It checks again only every 100 ms, waits
// for the running handler (which may have called for the drain), and while the
// connection is down it forgets to notify the server, which subscribes the dead
// member of a queue group again after the reconnect. So drain checks by itself,
// and starts over whenever the connection's state changes.
func (s *subscription) drain(ctx context.Context) (discarded int) {
	defer s.drops.stop()
	conn := s.broker.conn
	changed := conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer conn.RemoveStatusListener(changed)
	for {
		s.fenced.Store(false)
		s.reportDrops() // nats.go forgets them with the subscription, which may be soon
		fenced := s.fence(ctx)
		s.reportDrops()
		s.fenced.Store(fenced)
		if fenced && s.remove() {
			return 0
		}
		select {
		case <-changed:
		case <-s.last:
			return s.discard()
		case <-s.ended:
			return s.discard()
		case <-ctx.Done():
			return s.discard()
		}
	}
}

// fence reports whether no further message can come from the server, because it
// has confirmed the end of the subscription or because there is no server.
func (s *subscription) fence(ctx context.Context) bool {
	conn := s.broker.conn
	if !conn.IsConnected() {
		return true
	}
	if err := s.native.Drain(); err != nil {
		return false
	}
	for conn.IsConnected() && ctx.Err() == nil {
		if s.flush(ctx) == nil {
			return true
		}
	}
	return false
}

// flushPatience bounds one attempt of the flush that ends a subscription.
const flushPatience = 5 * time.Second

func (s *subscription) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	return s.broker.conn.FlushWithContext(ctx)
}

// looking is the bit of begun that keeps further messages from starting.
const looking = 1

// hold keeps messages from starting until letGo, and forever if the native
// subscription has been removed by then.
func (s *subscription) hold() {
	s.turn.Lock()
	s.begun.Or(looking)
}

func (s *subscription) letGo() {
	if !s.removed {
		s.begun.And(^uint64(looking))
	}
	s.turn.Unlock()
}

// begin reports whether the message that nats.go hands over is to be
// dispatched, and notifies a drain if nothing waits behind it.
func (s *subscription) begin() bool {
	n := s.begun.Load()
	free := n&looking == 0 && s.begun.CompareAndSwap(n, n+2) // one step, so none begins while a drain counts
	if !free && !s.beginInTurn() {
		return false
	}
	if s.fenced.Load() {
		s.checkLast()
	}
	return true
}

// beginInTurn waits until a drain has finished looking.
func (s *subscription) beginInTurn() bool {
	s.hold()
	defer s.letGo()
	if s.removed {
		return false
	}
	s.begun.Add(2)
	return true
}

// checkLast notifies a drain if nothing waits behind the message that has
// begun.
func (s *subscription) checkLast() {
	// nats.go counts this message as pending until receive returns.
	if pending, _, err := s.native.Pending(); err != nil || pending <= 1 {
		s.once.last.Do(func() { close(s.last) })
	}
}

// started counts the messages that were or will be dispatched.
func (s *subscription) started() uint64 { return s.begun.Load() / 2 }

// discard removes the native subscription and returns how many messages were
// waiting in it.
func (s *subscription) discard() int {
	s.reportDrops()
	s.hold()
	defer s.letGo()
	waiting := s.waiting()
	s.removeLocked()
	return waiting
}

// remove removes the native subscription if nothing waits, and reports whether
// it did.
func (s *subscription) remove() bool {
	s.hold()
	defer s.letGo()
	if s.waiting() > 0 {
		return false
	}
	s.removeLocked()
	return true
}

// removeLocked returns once the Dispatcher knows of every message that has
// begun, so that it waits for their handlers. The caller holds turn.
func (s *subscription) removeLocked() {
	s.removed = true
	_ = s.native.Unsubscribe() // it fails only where there is nothing left to remove
	for s.dispatcher.Subscription().Counts().Received < s.started() {
		runtime.Gosched() // receive is on its way there, a few instructions away
	}
}

// waiting counts the messages in the client that have not begun. The caller
// holds turn, so none begins in the meantime.
//
// nats.go's own count includes the message that receive is working on and, for
// an instant, the one it has just returned from; waiting waits that instant
// out.
func (s *subscription) waiting() int {
	for {
		taken, err := s.native.Delivered()
		if err != nil { // removed
			return 0
		}
		pending, _, err := s.native.Pending()
		switch {
		case err != nil || pending == 0:
			return 0
		case uint64(taken) > s.started(): // receive waits for its turn with one of them
			return pending
		case s.returned.Load() < s.started(): // receive was at work when they were counted
			return pending - 1
		}
		runtime.Gosched()
	}
}
