package natsbroker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestJetStreamOrderedEndsWithItsStream(t *testing.T) {
	for _, another := range []bool{false, true} {
		t.Run(fmt.Sprint("another is ", another), func(t *testing.T) {
			r := newRig(t, nil)
			orders := jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}
			r.stream(orders)
			r.numbered(0, 5)
			got, goOn := make(chan *broker.Delivery, 10), make(chan struct{})
			sub := subscribe(t, r, "orders.>", func(_ context.Context, d *broker.Delivery) error {
				got <- d
				if string(d.Body) == "4" {
					<-goOn
				}
				return nil
			}, broker.Ordered{}, broker.FromFirst())
			wantNumbered(t, got, 0, 5)
			if err := r.js.DeleteStream(soon(t), "ORDERS"); err != nil {
				t.Fatal(err)
			}
			if another {
				r.stream(orders)
				r.numbered(100, 110)
			}
			close(goOn)
			receive(t, sub.Done(), "the subscription's end")
			wantErr(t, sub.Err(), broker.ErrClosed, broker.ErrNotFound)
			wantNone(t, got)
		})
	}
}

// A stream that has lost its end gives its numbers to other messages, which are
// not taken for those that were read.
func TestJetStreamOrderedEndsWithTheEndOfItsStream(t *testing.T) {
	t.Parallel() // it takes seconds
	var dir string
	store := withJetStream(t)
	s := startServer(t, store, func(o *server.Options) { dir = o.StoreDir })
	r := rigOn(t, s, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	j, err := natsbroker.NewJetStream(dial(t, s, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close(soon(t)) }()
	h, got := inbox(1000)
	sub := subscribe(t, j, "orders.>", h, broker.Ordered{}, broker.FromFirst())
	r.numbered(0, 100)
	wantNumbered(t, got, 0, 100)
	port := s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	halveBlocks(t, dir)
	again := rigOn(t, startServer(t, store, func(o *server.Options) { o.Port = port }), nil)
	again.numbered(100, 110)
	select {
	case <-sub.Done():
	case <-time.After(3 * patience):
		t.Fatal("the subscription goes on")
	}
	wantErr(t, sub.Err(), broker.ErrClosed, broker.ErrNotFound)
	wantText(t, sub.Err(), "lost")
	wantNone(t, got)
}

// halveBlocks cuts the files with messages, as a crash of the machine may.
func halveBlocks(t *testing.T, dir string) {
	t.Helper()
	cut := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case strings.HasSuffix(path, "index.db"): // it would know better
			return os.Remove(path)
		case !strings.HasSuffix(path, ".blk"):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		cut++
		return os.Truncate(path, info.Size()/2)
	})
	if err != nil || cut == 0 {
		t.Fatalf("%d files cut, %v", cut, err)
	}
}
