package natsbroker_test

import (
	"strings"
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

// Without headers a server cannot be traced: what no stream lists is unknown.
func TestDescribeWithoutATrace(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) { o.NoHeaderSupport = true })
	r := rigOn(t, s, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	for kind, b := range map[string]broker.Describer{"core": newBroker(t, s, nil), "JetStream": r} {
		stored, other := describe(t, b, "orders.new").Publish, describe(t, b, "other").Publish
		if stored.StoredBy.V != "ORDERS" || !stored.WithoutReader.V || stored.RequestReply.V {
			t.Errorf("%s: stored by %s, without reader %s, request-reply %s", kind, stored.StoredBy, stored.WithoutReader, stored.RequestReply)
		}
		if by := other.StoredBy; by.State != broker.StateUnknown || !strings.Contains(by.From, "cannot be traced") {
			t.Errorf("%s: stored by %s, from %q", kind, by, by.From)
		}
		if other.WithoutReader.State != broker.StateUnknown || stored.Readers.State != broker.StateUnknown || other.Readers.State != broker.StateUnknown {
			t.Errorf("%s: without reader %s, readers %s and %s", kind, other.WithoutReader, stored.Readers, other.Readers)
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

// Subscriptions are counted as they are now, a queue group as one.
func TestDescribeCountsReaders(t *testing.T) {
	s := startServer(t, withJetStream(t))
	r := rigOn(t, s, nil)
	b := newBroker(t, s, nil)
	for i, options := range [][]broker.SubscribeOption{nil, {broker.Group("g")}, {broker.Group("g")}, {broker.Group("h")}, nil} {
		sub := subscribe(t, b, "orders.*", discard, options...)
		if want, got := []int{1, 2, 2, 3, 3}[i], describe(t, b, "orders.new").Publish.Readers; got != broker.Known(want, got.From) {
			t.Errorf("after subscription %d: got %+v, want %d", i, got, want)
		}
		if i == 3 {
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f := describe(t, b, "nobody").Publish.Readers; f.State != broker.StateKnown || f.V != 0 {
		t.Errorf("of nobody: got %+v", f)
	}
	// A stream's consumers read what it keeps for them only.
	r.stream(jetstream.StreamConfig{Name: "INTEREST", Subjects: []string{"interest.*"}, Retention: jetstream.InterestPolicy})
	if f := describe(t, b, "interest.a").Publish.Readers; f.State != broker.StateKnown || f.V != 0 {
		t.Errorf("without a consumer: got %+v", f)
	}
	r.consumer("INTEREST", jetstream.ConsumerConfig{Durable: "c", FilterSubject: "interest.a"})
	r.consumer("INTEREST", jetstream.ConsumerConfig{Durable: "d", FilterSubject: "interest.d"})
	for subject, want := range map[string]int{"interest.a": 2, "interest.b": 0} { // all consumers, or none
		if f := describe(t, r, subject).Publish.Readers; f.State != broker.StateKnown || f.V != want {
			t.Errorf("%s on JetStream: got %+v, want %d", subject, f, want)
		}
	}
	subscribe(t, b, "interest.>", discard)
	for subject, want := range map[string]int{"interest.a": 3, "interest.b": 1} {
		if f := describe(t, b, subject).Publish.Readers; f.State != broker.StateKnown || f.V != want {
			t.Errorf("%s: got %+v, want %d", subject, f, want)
		}
	}
}

// What nobody reads or answers now is certain, where the server can be traced.
func TestCheckFindsThatNobodyListens(t *testing.T) {
	s := startServer(t, withJetStream(t))
	b := newBroker(t, s, nil)
	r := rigOn(t, s, nil)
	r.stream(jetstream.StreamConfig{Name: "INTEREST", Subjects: []string{"interest.*"}, Retention: jetstream.InterestPolicy})
	severity := func(subject, code string, u broker.Usage) string {
		t.Helper()
		found, err := broker.Check(soon(t), b, subject, u)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Code == code {
				return f.Severity.String()
			}
		}
		return "nothing"
	}
	asks, publishes := broker.Usage{Requests: true}, broker.Usage{Publishes: true}
	if got := severity("ask", "no-responder", asks); got != "warning" {
		t.Errorf("nobody answers: %s", got)
	}
	responders(t, b, 1)
	if got := severity("ask", "no-responder", asks); got != "nothing" {
		t.Errorf("somebody answers: %s", got)
	}
	if got := severity("interest.a", "unread-discarded", publishes); got != "error" {
		t.Errorf("nobody reads: %s", got)
	}
	r.consumer("INTEREST", jetstream.ConsumerConfig{Durable: "c"})
	if got := severity("interest.a", "unread-discarded", publishes); got != "nothing" {
		t.Errorf("somebody reads: %s", got)
	}
}
