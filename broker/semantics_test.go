package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// sample has a fact of every kind and state.
func sample() broker.Semantics {
	s := broker.Semantics{Destination: "orders", Backend: "sqs", Kind: "standard queue"}
	s.Durability = broker.Known(broker.DurabilityManaged, "AWS")
	s.Replicas = broker.Unknown[int]("not told")
	s.Retention = broker.Known(96*time.Hour, "MessageRetentionPeriod")
	s.WhenFull = broker.None[broker.Full]("no limit")
	s.Publish.Confirm = broker.Known(broker.ConfirmStored, "SendMessage")
	s.Publish.WithoutReader = broker.Known(true, "SendMessage")
	s.Publish.MaxMessage = broker.Known[int64](1<<20, "MaximumMessageSize")
	s.Publish.DedupWindow = broker.None[time.Duration]("standard queue")
	s.Receive.Guarantee = broker.Known(broker.GuaranteeAtLeastOnce, "Developer Guide")
	s.Receive.Lease = broker.Known(30*time.Second, "VisibilityTimeout")
	s.Receive.MaxLease = broker.Known(12*time.Hour, "quotas")
	s.Receive.MaxAttempts = broker.Unlimited[int]("RedrivePolicy")
	s.Receive.DeadLetter = broker.None[string]("RedrivePolicy")
	return s
}

func TestFactString(t *testing.T) {
	for want, got := range map[string]string{
		"unknown":   broker.Fact[bool]{}.String(),
		"none":      broker.None[string]("x").String(),
		"unlimited": broker.Unlimited[int]("x").String(),
		"no":        broker.Known(false, "x").String(),
		"yes":       broker.Known(true, "x").String(),
		"0":         broker.Known(0, "x").String(),
		"12h":       broker.Known(12*time.Hour, "x").String(),
		"5m":        broker.Known(5*time.Minute, "x").String(),
		"1m30s":     broker.Known(90*time.Second, "x").String(),
		"100ms":     broker.Known(100*time.Millisecond, "x").String(),
		"per-key":   broker.Known(broker.OrderingPerKey, "x").String(),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSemanticsPrints(t *testing.T) {
	text := sample().String()
	for _, want := range []string{
		"orders (sqs standard queue)\n", "receive.lease", "30s", "VisibilityTimeout", "replicas", "unknown", "not told",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table misses %q:\n%s", want, text)
		}
	}
	logged := sample().LogValue().String()
	if !strings.Contains(logged, "receive.lease=30s") || strings.Contains(logged, "replicas") {
		t.Errorf("logged %s", logged)
	}
}

func TestSemanticsJSON(t *testing.T) {
	b, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Destination string
		Replicas    struct{ Value, From string }
		Publish     struct {
			MaxMessage    struct{ Value int }
			WithoutReader struct{ Value bool }
		}
		Receive struct {
			Lease, MaxAttempts struct{ Value, From string }
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if got.Destination != "orders" || got.Replicas.Value != "unknown" || got.Replicas.From != "not told" ||
		got.Publish.MaxMessage.Value != 1<<20 || !got.Publish.WithoutReader.Value ||
		got.Receive.Lease.Value != "30s" || got.Receive.Lease.From != "VisibilityTimeout" || got.Receive.MaxAttempts.Value != "unlimited" {
		t.Errorf("%+v from %s", got, b)
	}
}

// Each field of Semantics must have its part in Equal, String and JSON.
func TestSemanticsEqualSeesEveryFact(t *testing.T) {
	if !sample().Equal(sample()) {
		t.Fatal("a value is not equal to itself")
	}
	elsewhere := sample()
	elsewhere.Receive.Lease.From = "another place"
	if !sample().Equal(elsewhere) {
		t.Error("where a fact was read must not matter")
	}
	n := 0
	var visit func(path string, get func(*broker.Semantics) reflect.Value, typ reflect.Type)
	visit = func(path string, get func(*broker.Semantics) reflect.Value, typ reflect.Type) {
		for i := range typ.NumField() {
			field := func(s *broker.Semantics) reflect.Value { return get(s).Field(i) }
			f := typ.Field(i)
			switch {
			case f.Type.Kind() == reflect.String:
				s := sample()
				field(&s).SetString("changed")
				if s.Equal(sample()) {
					t.Errorf("Equal does not see %s", path+f.Name)
				}
			case strings.HasPrefix(f.Type.Name(), "Fact["):
				n++
				s := sample()
				state := field(&s).FieldByName("State")
				state.SetUint((state.Uint() + 1) % 4)
				if s.Equal(sample()) {
					t.Errorf("Equal does not see %s", path+f.Name)
				}
				if f.Tag.Get("json") == "" {
					t.Errorf("%s has no JSON name", path+f.Name)
				}
			case f.Type.Kind() == reflect.Struct:
				visit(path+f.Name+".", field, f.Type)
			}
		}
	}
	visit("", func(s *broker.Semantics) reflect.Value { return reflect.ValueOf(s).Elem() }, reflect.TypeFor[broker.Semantics]())
	if n < 40 {
		t.Errorf("only %d facts were visited", n)
	}
}

func TestRequire(t *testing.T) {
	d := describer{s: sample()}
	met := []broker.Need{
		broker.NeedAtLeastOnce(), broker.NeedStored(), broker.NeedLease(30 * time.Second), broker.NeedMaxLease(time.Hour),
		broker.NeedMaxMessage(1 << 20), broker.NeedNoDrop(), broker.NeedRetention(time.Hour),
		broker.NeedDurable(broker.DurabilityDisk, broker.DurabilityManaged),
	}
	if err := broker.Require(t.Context(), d, "orders", met...); err != nil {
		t.Errorf("needs that are met: %v", err)
	}
	if err := broker.Require(t.Context(), d, "orders"); err != nil {
		t.Errorf("no needs: %v", err)
	}

	err := broker.Require(t.Context(), d, "orders", broker.NeedAtLeastOnce(),
		broker.NeedReplicas(3), broker.NeedDeadLetter(), broker.NeedLease(time.Minute), broker.NeedAttempts(1, 10), broker.NeedFanOut())
	var gaps *broker.RequireError
	if !errors.As(err, &gaps) || !errors.Is(err, errors.ErrUnsupported) || len(gaps.Gaps) != 5 {
		t.Fatalf("got %v, want a RequireError with five gaps", err)
	}
	for _, want := range []string{
		`"orders" does not offer`,
		"needs at least 3 replicas / has unknown / because not told",
		"needs a dead-letter destination / has none / because RedrivePolicy",
		"needs a lease of at least 1m / has 30s / because VisibilityTimeout",
		"needs 1 to 10 attempts / has unlimited / because RedrivePolicy",
		"needs fan-out / has unknown / because it was not read",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("misses %q:\n%v", want, err)
		}
	}
	if err := broker.Require(t.Context(), describer{err: io.EOF}, "orders"); !errors.Is(err, io.EOF) {
		t.Errorf("an error of Describe: %v", err)
	}
}

// What is unknown meets no need, and there is a destination for each need that
// meets it.
func TestNeeds(t *testing.T) {
	yes := broker.Known(true, "test")
	for name, c := range map[string]struct {
		need broker.Need
		give func(*broker.Semantics)
	}{
		"at least once": {broker.NeedAtLeastOnce(), func(s *broker.Semantics) { s.Receive.Guarantee = broker.Known(broker.GuaranteeAtLeastOnce, "") }},
		"stored": {broker.NeedStored(), func(s *broker.Semantics) {
			s.Publish.Confirm = broker.Known(broker.ConfirmStored, "")
			s.Publish.WithoutReader = yes
		}},
		"stored for a reader": {broker.NeedStored(), func(s *broker.Semantics) {
			s.Publish.Confirm = broker.Known(broker.ConfirmStored, "")
			s.Publish.Readers = broker.Known(1, "")
		}},
		"received":     {broker.NeedReceived(), func(s *broker.Semantics) { s.Publish.Confirm = broker.Known(broker.ConfirmReceived, "") }},
		"durable":      {broker.NeedDurable(broker.DurabilityDisk), func(s *broker.Semantics) { s.Durability = broker.Known(broker.DurabilityDisk, "") }},
		"replicas":     {broker.NeedReplicas(3), func(s *broker.Semantics) { s.Replicas = broker.Known(3, "") }},
		"order":        {broker.NeedOrder(), func(s *broker.Semantics) { s.Receive.Ordering = broker.Known(broker.OrderingPerKey, "") }},
		"total order":  {broker.NeedTotalOrder(), func(s *broker.Semantics) { s.Receive.Ordering = broker.Known(broker.OrderingTotal, "") }},
		"strict order": {broker.NeedStrictOrder(), func(s *broker.Semantics) { s.Receive.Strict = yes }},
		"dedup": {broker.NeedDedup(5*time.Minute, broker.ScopeKey), func(s *broker.Semantics) {
			s.Publish.DedupWindow = broker.Known(5*time.Minute, "")
			s.Publish.DedupScope = broker.Known(broker.ScopeDestination, "")
		}},
		"lease":         {broker.NeedLease(time.Second), func(s *broker.Semantics) { s.Receive.Lease = broker.Known(time.Second, "") }},
		"max lease":     {broker.NeedMaxLease(time.Second), func(s *broker.Semantics) { s.Receive.MaxLease = broker.Unlimited[time.Duration]("") }},
		"attempts":      {broker.NeedAttempts(3, 10), func(s *broker.Semantics) { s.Receive.MaxAttempts = broker.Known(10, "") }},
		"dead letter":   {broker.NeedDeadLetter(), func(s *broker.Semantics) { s.Receive.DeadLetter = broker.Known("dlq", "") }},
		"delay":         {broker.NeedDelay(time.Minute), func(s *broker.Semantics) { s.Publish.MaxDelay = broker.Known(time.Minute, "") }},
		"ttl":           {broker.NeedTTL(), func(s *broker.Semantics) { s.Publish.MessageTTL = broker.Unlimited[time.Duration]("") }},
		"schedule":      {broker.NeedSchedule(), func(s *broker.Semantics) { s.Publish.Schedule = yes }},
		"max message":   {broker.NeedMaxMessage(10), func(s *broker.Semantics) { s.Publish.MaxMessage = broker.Known[int64](10, "") }},
		"headers":       {broker.NeedHeaders(10), func(s *broker.Semantics) { s.Publish.MaxHeaders = broker.Known(10, "") }},
		"in flight":     {broker.NeedInFlight(10), func(s *broker.Semantics) { s.Receive.InFlight = broker.Known(10, "") }},
		"retention":     {broker.NeedRetention(time.Hour), func(s *broker.Semantics) { s.Retention = broker.Known(time.Hour, "") }},
		"no drop":       {broker.NeedNoDrop(), func(s *broker.Semantics) { s.WhenFull = broker.Known(broker.FullRejects, "") }},
		"fan-out":       {broker.NeedFanOut(), func(s *broker.Semantics) { s.Receive.Distribution = broker.Known(broker.DistributionBoth, "") }},
		"competing":     {broker.NeedCompeting(), func(s *broker.Semantics) { s.Receive.Distribution = broker.Known(broker.DistributionCompeting, "") }},
		"replay":        {broker.NeedReplay(), func(s *broker.Semantics) { s.Receive.Replay = yes }},
		"request-reply": {broker.NeedRequestReply(), func(s *broker.Semantics) { s.Publish.RequestReply = yes }},
		"encrypted":     {broker.NeedEncrypted(), func(s *broker.Semantics) { s.AtRest = broker.Known(broker.AtRestSSESQS, "") }},
		"tls":           {broker.NeedTLS(), func(s *broker.Semantics) { s.InTransit = broker.Known("TLS 1.3", "") }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := broker.Require(t.Context(), describer{}, "d", c.need); err == nil || !strings.Contains(err.Error(), "unknown") {
				t.Errorf("unknown must not meet %q: %v", c.need, err)
			}
			var s broker.Semantics
			c.give(&s)
			if err := broker.Require(t.Context(), describer{s: s}, "d", c.need); err != nil {
				t.Errorf("must be met: %v", err)
			}
		})
	}
}

// What the server has read is more than sent, and less than stored.
func TestReceivedIsNotStored(t *testing.T) {
	for confirm, want := range map[broker.Confirm][2]bool{ // received, stored
		broker.ConfirmSent:     {false, false},
		broker.ConfirmReceived: {true, false},
		broker.ConfirmStored:   {true, true},
	} {
		d := describing{Publish: broker.Publishing{
			Confirm: broker.Known(confirm, "test"), WithoutReader: broker.Known(true, "test"),
		}}
		for i, need := range []broker.Need{broker.NeedReceived(), broker.NeedStored()} {
			if err := broker.Require(t.Context(), d, "d", need); (err == nil) != want[i] {
				t.Errorf("%s: %v: got %v, want it met: %v", confirm, need, err, want[i])
			}
		}
	}
}

type describing broker.Semantics

func (d describing) Describe(context.Context, string) (broker.Semantics, error) {
	return broker.Semantics(d), nil
}
