package broker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// manyKeys gives out a message of each key, and a second one of every tenth. It
// takes back what is released for good.
type manyKeys struct {
	keys, settling int

	mu    sync.Mutex
	next  int
	heap  []uint64 // in use, each time a quarter of the keys has been given out
	ended chan struct{}
}

func (m *manyKeys) Receive(ctx context.Context, _ string, most int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ds []*broker.Delivery
	for ; len(ds) < most && m.next < m.keys; m.next++ {
		key := fmt.Sprint("key ", m.next)
		ds = append(ds, message("first", key))
		if m.next%10 == 0 {
			ds = append(ds, message("second", key))
		}
		if m.next%(m.keys/4) == m.keys/4-1 {
			m.heap = append(m.heap, heapInUse())
		}
	}
	if len(ds) > 0 {
		m.settling += len(ds)
		return ds, nil
	}
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	return nil, ctx.Err()
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (m *manyKeys) settled(ds []*broker.Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.settling -= len(ds); m.settling == 0 && m.next == m.keys {
		close(m.ended)
	}
	return nil
}

func (m *manyKeys) Delete(_ context.Context, ds ...*broker.Delivery) error { return m.settled(ds) }

func (m *manyKeys) Release(_ context.Context, _ time.Duration, ds ...*broker.Delivery) error {
	return m.settled(ds)
}

func (*manyKeys) Extend(context.Context, time.Duration, ...*broker.Delivery) error { return nil }

func (*manyKeys) Reject(context.Context, string, ...*broker.Delivery) error {
	return errors.ErrUnsupported
}

// Nothing is kept of a key that has nothing in hand, whatever became of its
// messages.
func TestAMillionKeys(t *testing.T) {
	m := &manyKeys{keys: 1_000_000, ended: make(chan struct{})}
	if underRace() {
		m.keys = 50_000
	}
	sub := consume(t, m, func(_ context.Context, d *broker.Delivery) error {
		if strings.HasSuffix(d.Key, "00") {
			return errors.New("failed")
		}
		return nil
	}, broker.Concurrency(8), broker.Batch(10))
	<-m.ended
	drain(t, sub)
	if n := sub.Counts(); n.Received != uint64(m.keys+m.keys/10) || n.Deleted+n.Released != n.Received || n.Retried != uint64(m.keys/100-1) { // of key 100, 200, …
		t.Errorf("%+v", n)
	}
	if n := broker.Lanes(sub); n != 0 {
		t.Errorf("%d keys are remembered at the end", n)
	}
	first, last := m.heap[0], m.heap[len(m.heap)-1]
	t.Logf("heap in use after each quarter of %d keys: %d KiB", m.keys, inKiB(m.heap))
	if last > first+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", first, last)
	}
}

func inKiB(sizes []uint64) []uint64 {
	kib := slices.Clone(sizes)
	for i := range kib {
		kib[i] >>= 10
	}
	return kib
}

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
