package natsbroker_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// Each benchmark runs nats.go itself twice, raw-a and raw-b, in the same run:
// their difference is the spread in which a ratio means nothing. ns/op is the
// time on the wall, cpu-ns/op what the process (client and embedded server) has
// used of the processors, which other work on the machine disturbs less. Rounds
// of one are better than -count 10, because the three then change places:
//
//	for i in $(seq 10); do go test -run '^$' -bench . -benchmem ./natsbroker; done

var headerCases = []struct {
	name   string
	size   int
	header broker.Header
	native nats.Header
}{
	{"128B", 128, nil, nil},
	{"16KiB", 16 << 10, nil, nil},
	{"128B-headers", 128, broker.Header{"trace": "4bf92f3577b34da6", "type": "order"}, nats.Header{"trace": {"4bf92f3577b34da6"}, "type": {"order"}}},
}

type variant struct {
	name string
	run  func(b *testing.B)
}

// compare runs candidmq between the two runs of raw.
func compare(b *testing.B, raw, candidmq func(b *testing.B)) {
	b.Helper()
	for _, v := range []variant{{"raw-a", raw}, {"candidmq", candidmq}, {"raw-b", raw}} {
		b.Run(v.name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime()
			v.run(b)
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// The wrapper's own cost: nobody reads what is written.
func BenchmarkPublishDiscarded(b *testing.B) {
	for _, h := range headerCases {
		b.Run(h.name, func(b *testing.B) {
			nc, ours := discardingConnection(b), discardingBroker(b)
			benchmarkPublish(b, nc, ours, h.size, h.header, h.native, func(*testing.B) {})
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, h := range headerCases {
		b.Run(h.name, func(b *testing.B) {
			s := startServer(b)
			nc, ours := dial(b, s), newBroker(b, s, nil)
			flush := func(b *testing.B) {
				b.Helper()
				if err := nc.Flush(); err != nil {
					b.Fatal(err)
				}
				if err := ours.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			benchmarkPublish(b, nc, ours, h.size, h.header, h.native, flush)
		})
	}
}

func benchmarkPublish(b *testing.B, nc *nats.Conn, ours broker.Publisher, size int, header broker.Header, native nats.Header, flush func(*testing.B)) {
	b.Helper()
	body := make([]byte, size)
	raw := func(b *testing.B) {
		for b.Loop() {
			var err error
			if native == nil {
				err = nc.Publish("orders.placed.eu.west", body)
			} else {
				err = nc.PublishMsg(&nats.Msg{Subject: "orders.placed.eu.west", Header: native, Data: body})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		flush(b)
	}
	candidmq := func(b *testing.B) {
		ctx := b.Context()
		for b.Loop() {
			if _, err := ours.Publish(ctx, broker.Message{Subject: "orders.placed.eu.west", Header: header, Body: body}); err != nil {
				b.Fatal(err)
			}
		}
		flush(b)
	}
	compare(b, raw, candidmq)
}

// Publishes that are confirmed by a round trip, which nats.go's callers make
// each for itself.
func BenchmarkPublishConfirmed(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d-callers", callers), func(b *testing.B) {
			s := startServer(b)
			nc, ours := dial(b, s), newBroker(b, s, confirming)
			body, ctx := make([]byte, 128), unhurried(b)
			raw := func(b *testing.B) {
				concurrently(b, callers, func() error {
					if err := nc.Publish("orders", body); err != nil {
						return err
					}
					return nc.FlushWithContext(ctx)
				})
			}
			candidmq := func(b *testing.B) {
				concurrently(b, callers, func() error {
					_, err := ours.Publish(ctx, broker.Message{Subject: "orders", Body: body})
					return err
				})
			}
			compare(b, raw, candidmq)
		})
	}
}

// concurrently divides b.N calls among callers, and reports the median of the
// calls' times.
func concurrently(b *testing.B, callers int, call func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var running sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				begun := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(begun))
			}
		})
	}
	running.Wait()
	all := slices.Concat(took...)
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2]), "p50-ns")
}

// unhurried is a context with a deadline that no benchmark reaches.
func unhurried(b *testing.B) context.Context {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	b.Cleanup(cancel)
	return ctx
}

// Publish to handler, the publisher at most window messages ahead. The
// publisher is nats.go itself both times, so the difference is the receiver's.
//
// The process holds next to nothing, and so the garbage is collected every few
// thousand messages, which a real program does not see: live-64MiB is with
// something to hold.
func BenchmarkPublishToHandler(b *testing.B) {
	for _, h := range headerCases {
		b.Run(h.name, func(b *testing.B) { benchmarkToHandler(b, h.size, h.native) })
		b.Run(h.name+"-live-64MiB", func(b *testing.B) {
			live := make([]byte, 64<<20)
			benchmarkToHandler(b, h.size, h.native)
			runtime.KeepAlive(live)
		})
	}
}

func benchmarkToHandler(b *testing.B, size int, header nats.Header) {
	b.Helper()
	s := startServer(b)
	nc := dial(b, s)
	m := &nats.Msg{Subject: "orders", Header: header, Data: make([]byte, size)}
	raw := func(b *testing.B) {
		w := newWindow()
		sub, err := nc.Subscribe("orders", func(*nats.Msg) { w.handled() })
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		w.run(b, nc, m)
	}
	ours := brokerOn(b, nc, nil)
	candidmq := func(b *testing.B) {
		w := newWindow()
		sub := subscribe(b, ours, "orders", func(context.Context, *broker.Delivery) error {
			w.handled()
			return nil
		})
		w.run(b, nc, m)
		if _, err := sub.Drain(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	compare(b, raw, candidmq)
}

// window keeps a publisher within reach of the handler, so that none are
// dropped.
type window struct{ free chan struct{} }

func newWindow() *window {
	w := &window{free: make(chan struct{}, 1000)}
	for range cap(w.free) {
		w.free <- struct{}{}
	}
	return w
}

func (w *window) handled() { w.free <- struct{}{} }

func (w *window) run(b *testing.B, nc *nats.Conn, m *nats.Msg) {
	b.Helper()
	for b.Loop() {
		<-w.free
		if err := nc.PublishMsg(m); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(w.free) {
		<-w.free
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, h := range headerCases {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d-callers", h.name, callers), func(b *testing.B) {
				s := startServer(b)
				echo(b, s)
				nc, ours := dial(b, s), newBroker(b, s, nil)
				body, ctx := make([]byte, h.size), unhurried(b)
				raw := func(b *testing.B) {
					concurrently(b, callers, func() (err error) {
						if h.native == nil {
							_, err = nc.RequestWithContext(ctx, "echo", body)
						} else {
							_, err = nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "echo", Header: h.native, Data: body})
						}
						return err
					})
				}
				candidmq := func(b *testing.B) {
					concurrently(b, callers, func() error {
						_, err := ours.Request(ctx, broker.Message{Subject: "echo", Header: h.header, Body: body})
						return err
					})
				}
				compare(b, raw, candidmq)
			})
		}
	}
}

// echo answers requests with nats.go itself.
func echo(tb testing.TB, s *server.Server) {
	tb.Helper()
	nc := dial(tb, s)
	_, err := nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		tb.Fatal(err)
	}
}
