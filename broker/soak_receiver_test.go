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

// soakHandle is a delivery's way back to the engine.
type soakHandle struct {
	soak    *soak
	receipt queue.Receipt
	group   string
	ctx     context.Context

	mu      sync.Mutex
	end     time.Time
	settled bool
}

func (*soakHandle) As(any) bool { return false }

func (h *soakHandle) LeaseEnd() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.soak.hideLeases {
		return h.end.Add(time.Hour)
	}
	return h.end
}

// touch notes a call for a delivery; a change after it is settled, or after
// its handler was told that the lease is lost, breaks the rules.
func (h *soakHandle) touch(op string, settles bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost := h.ctx != nil && errors.Is(context.Cause(h.ctx), broker.ErrLeaseLost)
	if h.settled || lost && op != "delete" {
		h.soak.mu.Lock()
		h.soak.violate("%s of receipt %v after it was settled (%v) or its lease lost (%v)", op, h.receipt, h.settled, lost)
		h.soak.mu.Unlock()
	}
	h.settled = h.settled || settles
}

// fault makes some calls fail.
func (s *soak) fault(percent int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.chance(percent) {
		return nil
	}
	s.faults++
	return broker.ErrThrottled
}

func (s *soak) Receive(ctx context.Context, name string, limit int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	if err := s.fault(2); err != nil {
		return nil, err
	}
	ms, err := s.engine.Receive(ctx, name, min(limit, 10), 20*time.Second, -1)
	if errors.Is(err, queue.ErrClosed) {
		return nil, broker.ErrClosed
	}
	ds := make([]*broker.Delivery, len(ms))
	for i, m := range ms {
		ds[i] = &broker.Delivery{
			ID: m.ID, Attempt: m.Receives, LeaseEnd: m.LeaseEnd,
			Handle: &soakHandle{soak: s, receipt: m.Receipt, group: m.Group, end: m.LeaseEnd},
		}
		if !s.dropKeys {
			ds[i].Key = m.Group
		}
	}
	return ds, err
}

// each makes one call of the engine for each delivery.
func (s *soak) each(op string, settles bool, faults int, ds []*broker.Delivery, call func(h *soakHandle) error) error {
	errs := make([]error, len(ds))
	for i, d := range ds {
		h := d.Handle.(*soakHandle)
		if errs[i] = s.fault(faults); errs[i] != nil {
			continue
		}
		h.touch(op, settles)
		if err := call(h); err != nil {
			errs[i] = fmt.Errorf("%w: %w", broker.ErrLeaseLost, err)
		}
	}
	return broker.NewBatchError(errs)
}

func (s *soak) Delete(_ context.Context, ds ...*broker.Delivery) error {
	err := s.each("delete", true, 5, ds, func(h *soakHandle) error {
		if s.loseDeletes {
			return nil
		}
		return s.engine.Delete("q", h.receipt)
	})
	if s.extendSettled {
		_ = s.Extend(context.Background(), 0, ds...)
	}
	return err
}

func (s *soak) Extend(_ context.Context, _ time.Duration, ds ...*broker.Delivery) error {
	return s.each("extend", false, 50, ds, func(h *soakHandle) error {
		end, err := s.engine.Extend("q", h.receipt, soakLease)
		if err == nil {
			h.mu.Lock()
			h.end = end
			h.mu.Unlock()
		}
		return err
	})
}

func (s *soak) Release(_ context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	return s.each("release", true, 5, ds, func(h *soakHandle) error {
		_, err := s.engine.Extend("q", h.receipt, delay)
		return err
	})
}

func (s *soak) Reject(_ context.Context, _ string, ds ...*broker.Delivery) error {
	return s.each("reject", true, 5, ds, func(h *soakHandle) error {
		return s.engine.Reject("q", h.receipt, nil)
	})
}
