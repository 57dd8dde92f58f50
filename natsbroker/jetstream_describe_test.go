package natsbroker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func describe(tb testing.TB, d broker.Describer, destination string) broker.Semantics {
	tb.Helper()
	s, err := d.Describe(soon(tb), destination)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestJetStreamDescribesASubject(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{
		Name: "FULL", Subjects: []string{"full.>"}, MaxMsgs: 10, Discard: jetstream.DiscardNew, MaxMsgSize: 100,
		MaxAge: time.Hour, Duplicates: time.Minute, AllowMsgTTL: true, Storage: jetstream.MemoryStorage,
	})
	s := describe(t, r, "full.a")
	for name, ok := range map[string]bool{
		"stored by":      s.Publish.StoredBy.V == "FULL",
		"confirm":        s.Publish.Confirm.V == broker.ConfirmStored,
		"without reader": s.Publish.WithoutReader.V,
		"durability":     s.Durability.V == broker.DurabilityMemory,
		"retention":      s.Retention.V == time.Hour,
		"when full":      s.WhenFull.V == broker.FullRejects,
		"dedup":          s.Publish.DedupWindow.V == time.Minute && s.Publish.DedupScope.V == broker.ScopeStream,
		"ttl":            s.Publish.MessageTTL.State == broker.StateUnlimited,
		"delay":          s.Publish.MaxDelay.State == broker.StateNone,
		"size":           s.Publish.MaxMessage.V == 100,
		"request-reply":  s.Publish.RequestReply.State == broker.StateKnown && !s.Publish.RequestReply.V,
		"lease":          s.Receive.Lease.State == broker.StateUnknown,
	} {
		if !ok {
			t.Errorf("%s is wrong in\n%s", name, s)
		}
	}
	_, err := r.Describe(soon(t), "nobody.listens")
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Describe(soon(t), "full.*")
	wantErr(t, err, broker.ErrInvalid)
	_, err = r.Describe(soon(t), "FULL/none")
	wantErr(t, err, broker.ErrNotFound)
}

func TestJetStreamDescribesInterestAndStranding(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		s.Retention = jetstream.InterestPolicy
		c.MaxDeliver, c.MaxAckPending, c.AckWait = 3, 1, time.Minute
	})
	if s := describe(t, r, "orders.new"); s.Publish.WithoutReader.State != broker.StateKnown || s.Publish.WithoutReader.V {
		t.Errorf("got\n%s", s)
	}
	s := describe(t, r, "ORDERS/c")
	if s.Receive.Exhausted.V != broker.ExhaustedStranded || s.Receive.DeadLetter.State != broker.StateNone ||
		s.Receive.MaxAttempts.V != 3 || !s.Receive.Strict.V || s.Receive.Lease.V != time.Minute {
		t.Errorf("got\n%s", s)
	}
	r.stream(jetstream.StreamConfig{Name: "NOTICES", Subjects: []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"}})
	if s := describe(t, r, "ORDERS/c"); s.Receive.DeadLetter.V != "NOTICES" {
		t.Errorf("got\n%s", s)
	}
}

// An account mapping makes the streams' own configuration wrong both ways.
func TestJetStreamDescribeSeesMappings(t *testing.T) {
	s := startServer(t, withJetStream(t))
	account := s.GlobalAccount()
	if err := account.AddMapping("outside", "orders.inside"); err != nil {
		t.Fatal(err)
	}
	if err := account.AddMapping("orders.away", "elsewhere"); err != nil {
		t.Fatal(err)
	}
	r := rigOn(t, s, nil)
	r.orders()
	if got := describe(t, r, "outside"); got.Publish.StoredBy.V != "ORDERS" {
		t.Errorf("what is mapped into a stream: got\n%s", got)
	}
	if got := describe(t, r, "orders.away"); got.Publish.StoredBy.State != broker.StateUnknown {
		t.Errorf("what is mapped away from a stream: got\n%s", got)
	}
	info := r.info("ORDERS/c")
	if info.NumPending != 0 {
		t.Errorf("describing stored %d messages", info.NumPending)
	}
}

// What an import brings elsewhere is seen by a trace, and its end is not: it is
// unknown, and found by the checklist.
func TestJetStreamDescribeSeesImports(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) {
		owner, guest := server.NewAccount("OWNER"), server.NewAccount("GUEST")
		o.Accounts = []*server.Account{owner, guest}
		o.Users = []*server.User{{Username: "owner", Password: "p", Account: owner}, {Username: "guest", Password: "p", Account: guest}}
	})
	owner, guest := account(t, s, "OWNER"), account(t, s, "GUEST")
	if err := owner.AddServiceExport("orders.new", nil); err != nil {
		t.Fatal(err)
	}
	if err := guest.AddServiceImport(owner, "orders.new", "orders.new"); err != nil {
		t.Fatal(err)
	}
	there := rigOn(t, s, nil, nats.UserInfo("owner", "p"))
	there.orders()
	here := rigOn(t, s, nil, nats.UserInfo("guest", "p"))
	here.stream(jetstream.StreamConfig{Name: "OWN", Subjects: []string{"own"}})
	if got := describe(t, here, "orders.new"); got.Publish.StoredBy.State != broker.StateUnknown || got.Publish.StoredBy.From == "" {
		t.Errorf("what an import takes elsewhere: got\n%s", got)
	}
	if err := broker.Require(soon(t), here, "orders.new", broker.NeedStored()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("what is unknown passed: %v", err)
	}
	for subject, want := range map[string]string{"orders.new": "warning", "own": ""} {
		found, err := broker.Check(soon(t), here, subject, broker.Usage{Publishes: true, Idempotent: true})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range found {
			if f.Code == "persistence-cliff" {
				got = f.Severity.String()
			}
		}
		if got != want {
			t.Errorf("%s: the cliff is %q, want %q, in %s", subject, got, want, found)
		}
	}
	if got := describe(t, there, "orders.new"); got.Publish.StoredBy.V != "ORDERS" {
		t.Errorf("in the account of the stream: got\n%s", got)
	}
	if n := there.info("ORDERS/c").NumPending; n != 0 {
		t.Errorf("describing stored %d messages", n)
	}
}

func account(t *testing.T, s *server.Server, name string) *server.Account {
	t.Helper()
	a, err := s.LookupAccount(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.EnableJetStream(nil, nil); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestJetStreamDescribesWhatADeleteIs(t *testing.T) {
	s := startServer(t, withJetStream(t))
	for _, unconfirmed := range []bool{false, true} {
		r := rigOn(t, s, &natsbroker.JetStreamOptions{Unconfirmed: unconfirmed})
		if !unconfirmed {
			r.orders()
		}
		from := describe(t, r, "ORDERS/c").Receive.Guarantee.From
		if strings.Contains(from, "not confirmed") != unconfirmed {
			t.Errorf("unconfirmed %v: the guarantee is from %q", unconfirmed, from)
		}
	}
}

// withUserWhoMayNot has two users: all, and few who may not publish to some
// subjects.
func withUserWhoMayNot(publish string) func(*server.Options) {
	return func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "p"},
			{Username: "few", Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{publish}},
			}},
		}
	}
}

// quiet keeps nats.go from printing what the server denies.
var quiet = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

// denied is a server with a user that may publish and not use JetStream's API.
func denied(t *testing.T) (*server.Server, *natsbroker.JetStream) {
	t.Helper()
	return deniedFor(t, "$JS.API.>")
}

// deniedFor is denied for some subjects, with a paused consumer c.
func deniedFor(t *testing.T, subjects string) (*server.Server, *natsbroker.JetStream) {
	t.Helper()
	s := startServer(t, withJetStream(t), withUserWhoMayNot(subjects))
	nc := dial(t, s, nats.UserInfo("all", "p"))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(soon(t), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	c := jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, PauseUntil: &until}
	if _, err := js.CreateConsumer(soon(t), "ORDERS", c); err != nil {
		t.Fatal(err)
	}
	j, err := natsbroker.NewJetStream(dial(t, s, nats.UserInfo("few", "p"), quiet), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(soon(t)) })
	return s, j
}

func TestJetStreamDescribeWithTheAPIDenied(t *testing.T) {
	t.Parallel() // it waits for what is not answered
	_, j := denied(t)
	s := describe(t, j, "orders.new")
	if s.Publish.StoredBy.V != "ORDERS" || s.Publish.DedupWindow.State != broker.StateUnknown || s.Durability.State != broker.StateUnknown {
		t.Errorf("got\n%s", s)
	}
	if _, err := j.Publish(soon(t), broker.Message{Subject: "orders.new"}); err != nil {
		t.Errorf("publishing needs no API: %v", err)
	}
	err := broker.Require(soon(t), j, "orders.new", broker.NeedStored())
	if _, ok := errors.AsType[*broker.RequireError](err); !ok {
		t.Errorf("what is unknown passed: %v", err)
	}
}

// What is denied of a consumer is unknown after two seconds, not an error after as
// many as the caller has.
func TestJetStreamDescribesAConsumerWithTheAPIDenied(t *testing.T) {
	t.Parallel() // it waits for what is not answered
	_, j := denied(t)
	began := time.Now()
	s := describe(t, j, "ORDERS/c")
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if s.Kind != "consumer" || s.Receive.Lease.State != broker.StateUnknown || !strings.Contains(s.Receive.Lease.From, "permission") ||
		s.Durability.State != broker.StateUnknown {
		t.Errorf("got\n%s", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // is not used up
	defer cancel()
	s, err := j.Describe(ctx, "ORDERS/c")
	if err != nil || s.Receive.Lease.State != broker.StateUnknown || ctx.Err() != nil {
		t.Errorf("within a second: %v, %v\n%s", err, ctx.Err(), s)
	}
}

// Without a connection nothing is asked, and that is the reason given.
func TestJetStreamDescribeWhileDown(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	stopServer(r.server)
	eventually(t, "the connection is down", func() bool { return !r.Conn().IsConnected() })
	began := time.Now()
	subject, consumer := describe(t, r, "orders.new"), describe(t, r, "ORDERS/c")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	for _, from := range []string{subject.Publish.StoredBy.From, subject.Durability.From, consumer.Receive.Lease.From, consumer.Durability.From} {
		if from != nats.ErrDisconnected.Error() {
			t.Errorf("the reason is %q", from)
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"2.11.0": true, "2.11.0-preview.1": true, "2.15.2": true, "3.0.0": true, "2.10.29": false, "1.99.0": false, "": false, "dev": false,
	} {
		if got := natsbroker.VersionAtLeast(version, 2, 11); got != want {
			t.Errorf("%q: got %v", version, got)
		}
	}
}
