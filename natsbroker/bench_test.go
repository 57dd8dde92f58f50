package natsbroker_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// Each benchmark runs nats.go itself twice, raw-a and raw-b, in the same run:
// their difference is the spread in which a ratio means nothing.
//
//	go test -bench . -benchmem -count 6 ./natsbroker

const bodySize = 128

var headerCases = []struct {
	name   string
	header broker.Header
	native nats.Header
}{
	{"plain", nil, nil},
	{"headers", broker.Header{"trace": "4bf92f3577b34da6", "type": "order"}, nats.Header{"trace": {"4bf92f3577b34da6"}, "type": {"order"}}},
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
			v.run(b)
		})
	}
}

// The wrapper's own cost: nobody reads what is written.
func BenchmarkPublishDiscarded(b *testing.B) {
	for _, h := range headerCases {
		b.Run(h.name, func(b *testing.B) {
			nc, ours := discardingConnection(b), discardingBroker(b)
			benchmarkPublish(b, nc, ours, h.header, h.native, func(*testing.B) {})
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
			benchmarkPublish(b, nc, ours, h.header, h.native, flush)
		})
	}
}

func benchmarkPublish(b *testing.B, nc *nats.Conn, ours broker.Publisher, header broker.Header, native nats.Header, flush func(*testing.B)) {
	b.Helper()
	body := make([]byte, bodySize)
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

// Publish to handler, the publisher at most window messages ahead. The
// publisher is nats.go itself both times, so the difference is the receiver's.
func BenchmarkPublishToHandler(b *testing.B) {
	for _, h := range headerCases {
		b.Run(h.name, func(b *testing.B) {
			s := startServer(b)
			nc := dial(b, s)
			m := &nats.Msg{Subject: "orders", Header: h.native, Data: make([]byte, bodySize)}
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
		})
	}
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
		b.Run(h.name, func(b *testing.B) {
			s := startServer(b)
			echo(b, s)
			nc, ours := dial(b, s), newBroker(b, s, nil)
			body := make([]byte, bodySize)
			ctx := soon(b)
			raw := func(b *testing.B) {
				for b.Loop() {
					var err error
					if h.native == nil {
						_, err = nc.RequestWithContext(ctx, "echo", body)
					} else {
						_, err = nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "echo", Header: h.native, Data: body})
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			candidmq := func(b *testing.B) {
				for b.Loop() {
					if _, err := ours.Request(ctx, broker.Message{Subject: "echo", Header: h.header, Body: body}); err != nil {
						b.Fatal(err)
					}
				}
			}
			compare(b, raw, candidmq)
		})
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
