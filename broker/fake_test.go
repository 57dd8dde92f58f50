package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeReceiver is a Receiver that a test feeds and that writes down what
// happens to each delivery.
type fakeReceiver struct {
	mu      sync.Mutex
	queue   []*broker.Delivery
	arrived chan struct{} // holds a token after put
	asked   []int         // limit of each Receive
	events  []string      // "delete a", "release b 1s", in order
	extends []time.Time   // when Extend was called

	receive func() error                                    // fails a Receive if it returns an error
	delete  func(*broker.Delivery) error                    // nil: works
	extend  func(ctx context.Context, d *fakeHandle) error  // nil: works
	reject  func(*broker.Delivery) error                    // nil: works
	release func(*broker.Delivery) error                    // nil: works
	settle  func(ctx context.Context, op string, id string) // looks at every settling call
}

type fakeHandle struct {
	mu    sync.Mutex
	end   time.Time
	lease time.Duration
}

func (h *fakeHandle) As(any) bool { return false }

func (h *fakeHandle) LeaseEnd() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end
}

func (h *fakeHandle) renew(lease time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if lease == 0 {
		lease = h.lease
	}
	h.end = time.Now().Add(lease)
}

func newFake() *fakeReceiver { return &fakeReceiver{arrived: make(chan struct{}, 1)} }

// put queues deliveries; the lease of each begins when it is received.
func (f *fakeReceiver) put(lease time.Duration, ds ...*broker.Delivery) {
	f.mu.Lock()
	for _, d := range ds {
		if lease > 0 {
			d.Handle = &fakeHandle{lease: lease}
		}
		f.queue = append(f.queue, d)
	}
	f.mu.Unlock()
	select {
	case f.arrived <- struct{}{}:
	default:
	}
}

func (f *fakeReceiver) Receive(ctx context.Context, _ string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	f.mu.Lock()
	f.asked = append(f.asked, limit)
	fail := f.receive
	f.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return nil, err
		}
	}
	for {
		f.mu.Lock()
		n := min(limit, len(f.queue))
		ds := f.queue[:n:n]
		f.queue = f.queue[n:]
		f.mu.Unlock()
		if n > 0 {
			for _, d := range ds {
				if h, ok := d.Handle.(*fakeHandle); ok {
					for _, o := range opts {
						if l, ok := o.(broker.Lease); ok {
							h.lease = time.Duration(l)
						}
					}
					h.renew(0)
					d.LeaseEnd = h.LeaseEnd()
				}
			}
			return ds, nil
		}
		select {
		case <-f.arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fakeReceiver) note(ctx context.Context, op string, d *broker.Delivery, detail string) {
	f.mu.Lock()
	f.events = append(f.events, op+" "+d.ID+detail)
	look := f.settle
	f.mu.Unlock()
	if look != nil {
		look(ctx, op, d.ID)
	}
}

func (f *fakeReceiver) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	var err error
	for _, d := range ds {
		f.note(ctx, "delete", d, "")
		if f.delete != nil {
			err = f.delete(d)
		}
	}
	return err
}

func (f *fakeReceiver) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	f.mu.Lock()
	f.extends = append(f.extends, time.Now())
	f.mu.Unlock()
	errs := make([]error, len(ds))
	for i, d := range ds {
		h := d.Handle.(*fakeHandle)
		if f.extend != nil {
			errs[i] = f.extend(ctx, h)
		}
		if errs[i] == nil {
			h.renew(lease)
		}
	}
	return broker.NewBatchError(errs)
}

func (f *fakeReceiver) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	errs := make([]error, len(ds))
	for i, d := range ds {
		f.note(ctx, "release", d, fmt.Sprintf(" %v", delay))
		if f.release != nil {
			errs[i] = f.release(d)
		}
	}
	return broker.NewBatchError(errs)
}

func (f *fakeReceiver) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	var err error
	for _, d := range ds {
		f.note(ctx, "reject", d, " "+reason)
		if f.reject != nil {
			err = f.reject(d)
		}
	}
	return err
}

func (f *fakeReceiver) log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.events...)
}

func (f *fakeReceiver) beats() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.extends)
}

// message is a delivery with an id, and a key if there is one.
func message(id, key string) *broker.Delivery {
	return &broker.Delivery{Message: broker.Message{Subject: "q", Key: key}, ID: id, Attempt: 1}
}
