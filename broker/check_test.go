package broker_test

import (
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// checked is a destination, how it does and how it is used.
type checked struct {
	S broker.Semantics
	H broker.Health
	U broker.Usage
}

func (c *checked) Describe(context.Context, string) (broker.Semantics, error) { return c.S, nil }
func (c *checked) Health(context.Context, string) (broker.Health, error)      { return c.H, nil }

// sound is a work queue in good order and a caller that uses it well: there is
// nothing to say.
func sound() *checked {
	const day = 24 * time.Hour
	var c checked
	c.S = broker.Semantics{
		Destination: "orders",
		Durability:  broker.Known(broker.DurabilityDisk, "storage"),
		Replicas:    broker.Known(3, "num_replicas"),
		Retention:   broker.Known(4*day, "retention"),
		WhenFull:    broker.Known(broker.FullRejects, "discard"),
		AtRest:      broker.Known(broker.AtRestSSEKMS, "kms"),
		InTransit:   broker.Known("TLS 1.3", "connection"),
		Publish: broker.Publishing{
			Offered:       broker.Known(true, "contract"),
			StoredBy:      broker.Known("ORDERS", "stream list"),
			WithoutReader: broker.Known(true, "limits"),
			Readers:       broker.Known(1, "trace"),
			IDRequired:    broker.Known(true, "attribute"),
			DedupWindow:   broker.Known(5*time.Minute, "window"),
			RequestReply:  broker.Known(false, "contract"),
		},
		Receive: broker.Receiving{
			Offered:      broker.Known(true, "contract"),
			Guarantee:    broker.Known(broker.GuaranteeAtLeastOnce, "ack_policy"),
			Distribution: broker.Known(broker.DistributionCompeting, "contract"),
			Lease:        broker.Known(30*time.Second, "ack_wait"),
			MaxLease:     broker.Known(12*time.Hour, "quota"),
			MaxAttempts:  broker.Known(5, "max_deliver"),
			Exhausted:    broker.Known(broker.ExhaustedDeadLettered, "redrive"),
			DeadLetter:   broker.Known("orders-dlq", "redrive"),
			InFlight:     broker.Known(1000, "max_ack_pending"),
			Slow:         broker.Known(broker.SlowWaits, "contract"),
			Wait:         broker.Known(20*time.Second, "default"),
		},
	}
	c.H = broker.Health{
		Ready:               broker.Known[int64](7, "count"),
		InFlight:            broker.Known[int64](1, "count"),
		Delayed:             broker.Known[int64](0, "count"),
		OldestAge:           broker.Known(time.Minute, "age"),
		Dropped:             broker.Known[int64](0, "subscriptions"),
		Unchanged:           broker.Known(time.Hour, "modified"),
		DeadLetterExists:    broker.Known(true, "lookup"),
		DeadLetterReady:     broker.Known[int64](0, "dlq count"),
		DeadLetterOldest:    broker.None[time.Duration]("dlq age"),
		DeadLetterRetention: broker.Known(14*day, "dlq retention"),
		DeadLetterKeepsAge:  broker.Known(true, "standard queue"),
	}
	c.U = broker.Usage{
		Publishes: true, Receives: true,
		WorstHandler: 10 * time.Second, Concurrency: 4,
		Idempotent: true, DeadLetterAlarm: true, SetsID: true,
		PublishRetryFor: time.Minute, RequestTimeout: time.Second, MaxOutage: day,
	}
	return &c
}

// subject makes it a core NATS subject that is used as one.
func subject(c *checked) {
	c.S.Durability = broker.None[broker.Durability]("core NATS")
	c.S.Replicas = broker.None[int]("core NATS")
	c.S.Retention = broker.None[time.Duration]("core NATS")
	c.S.WhenFull = broker.None[broker.Full]("core NATS")
	c.S.AtRest = broker.None[broker.AtRest]("core NATS")
	c.S.Publish.StoredBy = broker.None[string]("stream list")
	c.S.Publish.WithoutReader = broker.Known(false, "core NATS")
	c.S.Publish.RequestReply = broker.Known(true, "core NATS")
	c.S.Publish.IDRequired = broker.Known(false, "core NATS")
	c.S.Publish.DedupWindow = broker.None[time.Duration]("core NATS")
	c.S.Receive.Guarantee = broker.Known(broker.GuaranteeAtMostOnce, "core NATS")
	c.S.Receive.Lease = broker.None[time.Duration]("core NATS")
	c.S.Receive.MaxLease = broker.None[time.Duration]("core NATS")
	c.S.Receive.MaxAttempts = broker.Known(1, "core NATS")
	c.S.Receive.Exhausted = broker.None[broker.Exhausted]("core NATS")
	c.S.Receive.DeadLetter = broker.None[string]("core NATS")
	c.S.Receive.Slow = broker.Known(broker.SlowDrops, "core NATS")
	c.S.Receive.Wait = broker.None[time.Duration]("core NATS")
	c.H.DeadLetterExists = broker.None[bool]("core NATS")
	c.U = broker.Usage{Publishes: true, Receives: true, LossOK: true}
}

// requester makes it a subject on which requests are made.
func requester(c *checked) {
	subject(c)
	c.U = broker.Usage{Requests: true, RequestTimeout: time.Second}
}

// check returns what is found, as "severity code".
func check(t *testing.T, d broker.Describer, u broker.Usage) (broker.Findings, []string) {
	t.Helper()
	found, err := broker.Check(t.Context(), d, "orders", u)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	var brief []string
	for _, f := range found {
		brief = append(brief, f.Severity.String()+" "+f.Code)
		if f.Destination != "orders" || f.Cause == "" || f.Remedy == "" || strings.Contains(f.Cause+f.Remedy, "%!") {
			t.Errorf("incomplete: %#v", f)
		}
	}
	return found, brief
}

func TestCheckFindsNothingWhereAllIsWell(t *testing.T) {
	for name, change := range map[string]func(*checked){
		"a work queue":       func(*checked) {},
		"a lossy subject":    subject,
		"requests on one":    requester,
		"a responder on one": func(c *checked) { requester(c); c.U = broker.Usage{Responds: true} },
	} {
		t.Run(name, func(t *testing.T) {
			c := sound()
			change(c)
			if found, _ := check(t, c, c.U); len(found) > 0 {
				t.Errorf("got\n%s", found)
			}
		})
	}
}

// Each destination differs from a sound one in what its case says, and exactly
// the named findings are made; those without are neighbours that must pass.
func TestCheck(t *testing.T) {
	covered := map[string]map[string]bool{} // code → severities seen
	for _, c := range slices.Concat(receiveCases, deadLetterCases, publishCases, storageCases) {
		t.Run(c.name, func(t *testing.T) {
			d := sound()
			c.change(d)
			found, got := check(t, d, d.U)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q\n%s", got, c.want, found)
			}
		})
		for _, w := range c.want {
			severity, code, _ := strings.Cut(w, " ")
			if covered[code] == nil {
				covered[code] = map[string]bool{}
			}
			covered[code][severity] = true
		}
	}
	for code, severity := range broker.CheckRules() {
		if !covered[code][severity.String()] {
			t.Errorf("no case for %s as %s", code, severity)
		}
	}
}

func TestCheckDocumentationListsEveryCode(t *testing.T) {
	source, err := os.ReadFile("check.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z-]+) +(error|warning|info) `).FindAllStringSubmatch(string(source), -1) {
		listed[m[1]] = m[2]
	}
	rules := broker.CheckRules()
	for code, severity := range rules {
		if listed[code] != severity.String() {
			t.Errorf("%s is listed as %q, want %s", code, listed[code], severity)
		}
	}
	if len(listed) != len(rules) {
		t.Errorf("%d codes are listed, want %d", len(listed), len(rules))
	}
}

// Nothing is known of this destination: no rule that needs a fact may pass, and
// none may speak of an error.
func TestCheckOfUnknown(t *testing.T) {
	uses := map[string]broker.Usage{
		"nothing said": {},
		"everything": {
			Publishes: true, Receives: true, Requests: true, Responds: true, NoHeartbeat: true, WorstHandler: time.Second,
			Concurrency: 2, PublishRetryFor: time.Second, RequestTimeout: time.Second, MaxOutage: time.Second, MaxAge: time.Second,
		},
	}
	want := map[string][]string{
		"nothing said": {
			"not-offered", "not-idempotent", "lossy", "unlimited-deliver", "slow-consumer", "backlog-old", "no-dead-letter",
			"not-offered", "persistence-cliff", "fifo-no-id", "drops-unprocessed",
			"short-poll", "volatile", "single-replica", "plaintext", "unencrypted",
		},
		"everything": {
			"not-offered", "lease-too-short", "not-idempotent", "lossy", "unlimited-deliver", "slow-consumer", "backlog-old", "no-dead-letter",
			"not-offered", "persistence-cliff", "fifo-no-id", "request-on-stream", "drops-unprocessed", "drops-unprocessed",
			"lease-too-long", "short-poll", "serialised", "retry-past-window", "no-responder", "volatile", "single-replica", "plaintext", "unencrypted",
		},
	}
	for name, u := range uses {
		t.Run(name, func(t *testing.T) {
			found, _ := check(t, describer{}, u)
			var got []string
			for _, f := range found {
				got = append(got, f.Code)
				if f.Severity != max(broker.CheckRules()[f.Code], 1)-1 || !strings.Contains(f.Cause, "unknown: ") {
					t.Errorf("must be unknown and one step milder: %s", f)
				}
			}
			if !slices.Equal(got, want[name]) {
				t.Errorf("got  %q\nwant %q", got, want[name])
			}
		})
	}
}

// A Usage that says nothing is taken to use what the destination offers.
func TestCheckAssumesUse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*checked)
		want   []string
	}{
		"both": {func(*checked) {}, []string{"error not-idempotent", "error fifo-no-id", "info no-alarm-visible"}},
		"publishing alone": {
			func(c *checked) { c.S.Receive.Offered = broker.Known(false, "topic") }, []string{"error fifo-no-id"},
		},
		"receiving alone": {
			func(c *checked) { c.S.Publish.Offered = broker.None[bool]("consumer") },
			[]string{"error not-idempotent", "info no-alarm-visible"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := sound()
			c.change(d)
			if found, got := check(t, d, broker.Usage{}); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q\n%s", got, c.want, found)
			}
		})
	}
}

func TestCheckRefusesBadUsageBeforeIO(t *testing.T) {
	asked := false
	d := describeFunc(func() (broker.Semantics, error) { asked = true; return broker.Semantics{}, nil })
	for field, u := range map[string]broker.Usage{
		"Usage.WorstHandler":    {WorstHandler: -1},
		"Usage.Concurrency":     {Concurrency: -1},
		"Usage.PublishRetryFor": {PublishRetryFor: -1},
		"Usage.RequestTimeout":  {RequestTimeout: -1},
		"Usage.MaxOutage":       {MaxOutage: -1},
		"Usage.MaxAge":          {MaxAge: -1},
		"Usage.Wait":            {Wait: new(broker.Wait(-1))},
	} {
		if u.Wait != nil { // nor one whose unit was forgotten
			u := broker.Usage{Wait: new(broker.Wait(20))}
			if _, err := broker.Check(t.Context(), d, "orders", u); !errors.Is(err, broker.ErrInvalid) {
				t.Errorf("a Wait of 20 ns: got %v", err)
			}
		}
		_, err := broker.Check(t.Context(), d, "orders", u)
		bad, ok := errors.AsType[*broker.FieldError](err)
		if !ok || bad.Field != field || !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := broker.Check(t.Context(), nil, "orders", broker.Usage{}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("nil Describer: got %v", err)
	}
	if asked {
		t.Error("Describe was called")
	}
}

type describeFunc func() (broker.Semantics, error)

func (f describeFunc) Describe(context.Context, string) (broker.Semantics, error) { return f() }

// failing has a Health that fails.
type failing struct {
	checked
	err error
}

func (f *failing) Health(context.Context, string) (broker.Health, error) { return f.H, f.err }

func TestCheckErrors(t *testing.T) {
	denied := &broker.Error{Backend: "sqs", Op: "health", Kind: broker.ErrDenied, Err: errors.New("sqs:GetQueueAttributes")}
	absent := &broker.UnsupportedError{Backend: "wrapper", What: "Health"}
	missing := &broker.Error{Backend: "sqs", Op: "describe", Kind: broker.ErrNotFound}

	if _, err := broker.Check(t.Context(), describer{err: missing}, "orders", broker.Usage{}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("Describe's error: got %v", err)
	}
	for _, cause := range []error{io.EOF, missing, context.DeadlineExceeded} {
		d := &failing{checked: *sound(), err: cause}
		if found, err := broker.Check(t.Context(), d, "orders", d.U); !errors.Is(err, cause) || found != nil {
			t.Errorf("Health's error %v: got %v, %v", cause, found, err)
		}
	}
	want := []string{"warning backlog-old", "warning dlq-retention", "warning dlq-not-empty"}
	for _, cause := range []error{denied, absent} {
		d := &failing{checked: *sound(), err: cause}
		found, got := check(t, d, d.U)
		if !slices.Equal(got, want) || !strings.Contains(found.String(), found[0].Code) {
			t.Errorf("%v: got %q, want %q", cause, got, want)
		}
		for _, f := range found {
			if !strings.Contains(f.Cause, cause.Error()) {
				t.Errorf("misses the reason %q: %s", cause, f)
			}
		}
	}
	found, got := check(t, describer{s: sound().S}, sound().U)
	if !slices.Equal(got, want) || !strings.Contains(found[0].Cause, "the backend does not report it") {
		t.Errorf("no Health: got %q, want %q", got, want)
	}
}

// whole is a Broker; only its Describe and what wraps it matter here.
type whole struct {
	broker.Publisher
	broker.Subscriber
	broker.Describer
}

func (whole) Close(context.Context) error { return nil }

type wholeHealthy struct {
	whole
	broker.HealthReporter
}

type wrapper struct {
	whole
	inner broker.Broker
}

func (w wrapper) Unwrap() broker.Broker { return w.inner }

// Health is found behind a wrapper that does not have it, as As finds it.
func TestCheckFindsHealthBehindWrappers(t *testing.T) {
	c := sound()
	c.H.DeadLetterReady = broker.Known[int64](3, "count")
	inner := wholeHealthy{whole{Describer: c}, c}
	for name, d := range map[string]broker.Describer{
		"itself":  inner,
		"wrapped": wrapper{whole{Describer: c}, inner},
	} {
		if _, got := check(t, d, c.U); !slices.Equal(got, []string{"error dlq-not-empty"}) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestUnknownHealthGivesItsReason(t *testing.T) {
	v := reflect.ValueOf(broker.UnknownHealth("orders", "denied"))
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "Destination" {
			continue
		}
		if got := v.Field(i).FieldByName("From").String(); got != "denied" {
			t.Errorf("%s: got %q", name, got)
		}
		if v.Type().Field(i).Tag.Get("json") == "" {
			t.Errorf("%s has no JSON name", name)
		}
	}
}

// inspector has findings of its own, or an error.
type inspector struct {
	found broker.Findings
	err   error
}

func (i inspector) Inspect(_ context.Context, destination string) (broker.Findings, error) {
	for n := range i.found {
		i.found[n].Destination = destination
	}
	return i.found, i.err
}

// What a backend finds by itself takes its place among the rest, the worst first.
func TestCheckAsksTheBackend(t *testing.T) {
	c := sound()
	c.H.DeadLetterReady = broker.Known[int64](3, "count")
	own := inspector{found: broker.Findings{
		{Code: "slow-write", Severity: broker.SeverityWarning, Cause: "no deadline", Remedy: "set one"},
		{Code: "torn-cable", Severity: broker.SeverityError, Cause: "a spade", Remedy: "splice it"},
	}}
	type backend struct {
		whole
		broker.HealthReporter
		broker.Inspector
	}
	inner := backend{whole{Describer: c}, c, own}
	want := []string{"error dlq-not-empty", "error torn-cable", "warning slow-write"}
	for name, d := range map[string]broker.Describer{
		"itself":  inner,
		"wrapped": wrapper{whole{Describer: c}, inner},
	} {
		found, got := check(t, d, c.U)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		for _, f := range found {
			if f.Destination != found[0].Destination {
				t.Errorf("%s: of %q, want %q", name, f.Destination, found[0].Destination)
			}
		}
	}
	failure := errors.New("no such subject")
	inner.Inspector = inspector{err: failure}
	if _, err := broker.Check(t.Context(), inner, "orders", c.U); !errors.Is(err, failure) {
		t.Errorf("got %v, want Inspect's error", err)
	}
}
