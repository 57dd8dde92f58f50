package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// checkInterrupted checks what holds for every interrupted run.
func checkInterrupted(t *testing.T, code int, stdout string) {
	t.Helper()
	if code != exitInterrupted {
		t.Errorf("exit code %d, want 130", code)
	}
	if !strings.Contains(stdout, "\n0 orders unaccounted for\n") {
		t.Errorf("stdout without \"0 orders unaccounted for\":\n%s", stdout)
	}
}

// At whatever time the interrupt comes, every order is accounted for: those in
// hand are finished, the others found on the queue.
func TestInterruptedProcessing(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 25 * time.Millisecond, time.Second, 3 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				got := runOrders(ctx, "", "-work", "20ms")
				checkInterrupted(t, got.code, got.stdout)
				if got.stderr != "" {
					t.Errorf("stderr: %s", got.stderr)
				}
			})
		})
	}
}

// interrupting is a broker on which Ctrl-C is pressed at the n-th publish.
type interrupting struct {
	broker.Broker
	left   atomic.Int64
	cancel context.CancelFunc
}

func (b *interrupting) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if b.left.Add(-1) == 0 {
		b.cancel()
	}
	return b.Broker.Publish(ctx, m)
}

// Unwrap lets broker.As find the other roles.
func (b *interrupting) Unwrap() broker.Broker { return b.Broker }

func TestInterruptedPublishing(t *testing.T) {
	for _, n := range []int64{1, 100, 301, 302, 500, 903} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				b, err := openMemory()
				if err != nil {
					t.Fatal(err)
				}
				wrapped := &interrupting{Broker: b, cancel: cancel}
				wrapped.left.Store(n)
				var out bytes.Buffer
				s := &story{out: &out, errs: &out, progress: newProgress(&out), broker: wrapped}
				if s.in, err = readOrders(ctx, bytes.NewReader(sample)); err != nil {
					t.Fatal(err)
				}
				s.runStages(ctx)
				out.WriteString(s.table.String())
				if ctx.Err() == nil || s.failed || s.table.unaccounted() != 0 {
					t.Errorf("failed %v, %d unaccounted:\n%s", s.failed, s.table.unaccounted(), out.String())
				}
				published := 0
				for _, r := range s.table.rows {
					if r.unsent.known {
						published += r.published.n
					}
					if r.unsent.known && r.published.n+r.unsent.n != len(s.in.orders) {
						t.Errorf("%s: %v published and %v not sent of %d orders", r.name, r.published, r.unsent, len(s.in.orders))
					}
				}
				// The n-th is finished; the other queue may be in one of its own.
				if published != int(n) && published != int(n)+1 {
					t.Errorf("%d published, want %d:\n%s", published, n, out.String())
				}
				if err := b.Close(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
