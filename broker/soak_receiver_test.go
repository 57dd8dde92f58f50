package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
)

// soakTrip is the most that a request takes to the engine, or an answer back.
const soakTrip = 20 * time.Millisecond

// soakHandle is a delivery's way back to the engine.
type soakHandle struct {
	soak    *soak
	number  int // of the message
	receipt queue.Receipt
	group   string
	ctx     context.Context // the handler's, nil before it begins; guarded by the soak's mu

	mu      sync.Mutex
	end     time.Time
	settled bool
	throws  int
}

func (*soakHandle) As(any) bool { return false }

func (h *soakHandle) LeaseEnd() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.soak.mutant.hidesLeases {
		return h.end.Add(time.Hour)
	}
	return h.end
}

// touch notes a call for a delivery; a change after it is settled breaks a rule.
func (h *soakHandle) touch(op string, settles bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.settled {
		h.soak.mu.Lock()
		h.soak.violate(ruleSettled, "%s of %d, attempt %d", op, h.number, h.receipt.Receive)
		h.soak.mu.Unlock()
	}
	h.settled = h.settled || settles
}

// fault makes some calls fail.
func (s *soak) fault(d *dice, percent float64) error {
	if !d.chance(percent) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults++
	return broker.ErrThrottled
}

// Receive takes its time before and after the engine's; a cancelled one gives
// what has arrived.
func (s *soak) Receive(ctx context.Context, name string, limit int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	call, place := s.call(receives)
	luck := s.dice("receive", call)
	if err := s.restOr(ctx, luck.upTo(soakTrip), place); err != nil {
		return nil, err
	}
	if err := s.fault(luck, 2); err != nil {
		return nil, err
	}
	ms, err := s.engine.Receive(ctx, name, min(limit, 10), 20*time.Second, -1)
	_ = s.restOr(ctx, luck.upTo(soakTrip), place)
	if errors.Is(err, queue.ErrClosed) {
		return nil, broker.ErrClosed
	}
	return s.mutant.received(s, s.deliveries(ms)), err
}

func (s *soak) deliveries(ms []queue.Message) []*broker.Delivery {
	ds := make([]*broker.Delivery, len(ms))
	for i, m := range ms {
		ds[i] = &broker.Delivery{
			ID: m.ID, Attempt: m.Receives, LeaseEnd: m.LeaseEnd, Message: broker.Message{Key: m.Group},
			Handle: &soakHandle{soak: s, number: number(m.ID), receipt: m.Receipt, group: m.Group, end: m.LeaseEnd},
		}
	}
	return ds
}

// each makes one call of the engine for each delivery. A heartbeat has a place of
// its own, since the handler of its first message may return meanwhile.
func (s *soak) each(op string, settles bool, faults float64, ds []*broker.Delivery, call func(h *soakHandle) error) error {
	luck := s.throw(op, ds[0])
	place := idPlace(ds[0].Handle.(*soakHandle).number)
	if !settles {
		_, place = s.call(beats)
	}
	s.rest(luck.upTo(soakTrip), place)
	errs := make([]error, len(ds))
	for i, d := range ds {
		h := d.Handle.(*soakHandle)
		if errs[i] = s.fault(s.throw("fault", d), faults); errs[i] != nil {
			continue
		}
		h.touch(op, settles)
		if err := call(h); err != nil {
			s.mu.Lock()
			s.refused(op, h, err)
			s.mu.Unlock()
			errs[i] = fmt.Errorf("%w: %w", broker.ErrLeaseLost, err)
		}
	}
	s.rest(luck.upTo(soakTrip), place)
	return broker.NewBatchError(errs)
}

func (s *soak) Delete(_ context.Context, ds ...*broker.Delivery) error {
	return s.each("delete", true, 5, ds, s.mutant.delete(s))
}

func (s *soak) Extend(_ context.Context, _ time.Duration, ds ...*broker.Delivery) error {
	return s.each("extend", false, 50, ds, s.extend)
}

func (s *soak) Release(_ context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	return s.each("release", true, 5, ds, s.mutant.release(s, delay))
}

func (s *soak) Reject(_ context.Context, _ string, ds ...*broker.Delivery) error {
	return s.each("reject", true, 5, ds, func(h *soakHandle) error { return s.engine.Reject("q", h.receipt, nil) })
}

func (s *soak) extend(h *soakHandle) error {
	end, err := s.engine.Extend("q", h.receipt, soakLease)
	if err == nil {
		h.mu.Lock()
		h.end = end
		h.mu.Unlock()
	}
	return err
}
