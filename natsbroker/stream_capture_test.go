package natsbroker_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

func TestDescribeFindsThePersistenceCliff(t *testing.T) {
	s := startServer(t, withJetStream(t))
	r := rigOn(t, s, nil)
	r.stream(jetstream.StreamConfig{Name: "LIMITS", Subjects: []string{"limits.*"}})
	r.stream(jetstream.StreamConfig{Name: "INTEREST", Subjects: []string{"interest.>"}, Retention: jetstream.InterestPolicy})
	r.stream(jetstream.StreamConfig{Name: "SILENT", Subjects: []string{"silent"}, NoAck: true})
	b := newBroker(t, s, nil)
	subscribe(t, b, "limits.deep.down", discard)
	for subject, want := range map[string]struct{ by, kept, asks string }{
		"limits.a":         {"LIMITS", "yes", "no"},
		"limits.deep.down": {"none", "no", "yes"},
		"interest.a.b":     {"INTEREST", "no", "no"},
		"silent":           {"SILENT", "yes", "yes"},
		"nobody":           {"none", "no", "yes"},
	} {
		p := describe(t, b, subject).Publish
		if p.StoredBy.String() != want.by || p.WithoutReader.String() != want.kept || p.RequestReply.String() != want.asks {
			t.Errorf("%s: stored by %s, without reader %s, request-reply %s; want %+v", subject, p.StoredBy, p.WithoutReader, p.RequestReply, want)
		}
		if p.Confirm.V != broker.ConfirmSent {
			t.Errorf("%s: confirmed as %s", subject, p.Confirm)
		}
	}
	for _, name := range []string{"LIMITS", "INTEREST", "SILENT"} {
		stream, err := r.js.Stream(soon(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.LastSeq; n != 0 {
			t.Errorf("describing has stored %d messages in %s", n, name)
		}
	}
}

func TestDescribeWithTheAPIDenied(t *testing.T) {
	s, _ := denied(t)
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	b := newBroker(t, s, nil, nats.UserInfo("few", "p"), quiet)
	p := describe(t, b, "orders.new").Publish
	if p.StoredBy.V != "ORDERS" || p.WithoutReader.State != broker.StateUnknown || p.RequestReply.State != broker.StateUnknown {
		t.Errorf("got %s, %s, %s", p.StoredBy, p.WithoutReader, p.RequestReply)
	}
}

func TestDescribeWithPublishingDenied(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "few", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"orders.>"}},
		}}}
	})
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	b := newBroker(t, s, nil, nats.UserInfo("few", "p"), quiet)
	if f := describe(t, b, "orders.new").Publish.StoredBy; f.State != broker.StateUnknown || f.From == "" {
		t.Errorf("got %+v, want unknown with the reason", f)
	}
}

func TestDescribeWhileTheConnectionIsDown(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.MaxReconnects(-1))
	stopServer(s)
	eventually(t, "the connection is down", func() bool { return !b.Conn().IsConnected() })
	p := describe(t, b, "a").Publish
	if p.StoredBy.State != broker.StateUnknown || p.RequestReply.State != broker.StateUnknown {
		t.Errorf("got %s, %s", p.StoredBy, p.RequestReply)
	}
}
