package broker_test

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// checkCase is a sound destination with a change, and what is found then.
type checkCase struct {
	name   string
	change func(*checked)
	want   []string
}

func found(codes ...string) []string { return codes }

func known[T comparable](v T) broker.Fact[T] { return broker.Known(v, "test") }
func none[T comparable]() broker.Fact[T]     { return broker.None[T]("test") }
func noLimit[T comparable]() broker.Fact[T]  { return broker.Unlimited[T]("test") }
func dark[T comparable]() broker.Fact[T]     { return broker.Unknown[T]("denied") }

var receiveCases = []checkCase{
	{"not offered to receivers", func(c *checked) { c.S.Receive.Offered = known(false) }, found("error not-offered")},
	{"not offered to receivers, none", func(c *checked) { c.S.Receive.Offered = none[bool]() }, found("error not-offered")},
	{"perhaps offered", func(c *checked) { c.S.Receive.Offered = dark[bool]() }, found("warning not-offered")},
	{"not offered, not used", func(c *checked) { c.S.Receive.Offered = known(false); c.U.Receives = false }, nil},

	{"lease ends with the handler", func(c *checked) { c.U.NoHeartbeat = true; c.U.WorstHandler = 30 * time.Second }, found("error lease-too-short")},
	{"lease outlasts the handler", func(c *checked) { c.U.NoHeartbeat = true; c.U.WorstHandler = 30*time.Second - 1 }, nil},
	{"lease renewed", func(c *checked) { c.U.WorstHandler = time.Hour }, nil},
	{"lease renewed to the end", func(c *checked) { c.U.WorstHandler = 12 * time.Hour }, found("error lease-too-short")},
	{"lease renewed without end", func(c *checked) { c.U.WorstHandler = 12 * time.Hour; c.S.Receive.MaxLease = noLimit[time.Duration]() }, nil},
	{"lease unknown", func(c *checked) { c.U.NoHeartbeat = true; c.S.Receive.Lease = dark[time.Duration]() }, found("warning lease-too-short", "info lease-too-long")},
	{"renewal unknown", func(c *checked) { c.S.Receive.MaxLease = dark[time.Duration]() }, found("warning lease-too-short")},
	{"handler unknown", func(c *checked) { c.U.NoHeartbeat = true; c.U.WorstHandler = 0 }, found("warning lease-too-short")},
	{"handler unknown, lease renewed", func(c *checked) { c.U.WorstHandler = 0 }, nil},
	{"lease too short, not used", func(c *checked) {
		c.U.NoHeartbeat, c.U.WorstHandler, c.U.Receives = true, time.Hour, false
	}, nil},

	{"lease too long", func(c *checked) { c.S.Receive.Lease = known(101 * time.Second) }, found("warning lease-too-long")},
	{"lease long enough", func(c *checked) { c.S.Receive.Lease = known(100 * time.Second) }, nil},
	{"lease long and short", func(c *checked) { c.S.Receive.Lease = known(time.Minute); c.U.WorstHandler = time.Millisecond }, nil},
	{"lease too long, not used", func(c *checked) { c.S.Receive.Lease = known(time.Hour); c.U.Receives = false }, nil},
	{"lease endless", func(c *checked) { c.S.Receive.Lease = noLimit[time.Duration]() }, found("warning lease-too-long")},

	{"not idempotent", func(c *checked) { c.U.Idempotent = false }, found("error not-idempotent")},
	{"not idempotent, not used", func(c *checked) { c.U.Idempotent = false; c.U.Receives = false }, nil},
	{"not idempotent at most once", func(c *checked) { subject(c); c.U.Idempotent = false }, nil},
	{"guarantee unknown", func(c *checked) {
		c.S.Receive.Guarantee = dark[broker.Guarantee]()
		c.U.Idempotent = false
	}, found("warning not-idempotent", "warning lossy")},

	{"lossy", func(c *checked) { subject(c); c.U = broker.Usage{Receives: true} }, found("error lossy")},
	{"lossy, and a responder", func(c *checked) { subject(c); c.U = broker.Usage{Responds: true} }, nil},
	{"perhaps lossy, and harmless", func(c *checked) { c.S.Receive.Guarantee = dark[broker.Guarantee](); c.U.LossOK = true }, nil},
	{"ack none", func(c *checked) {
		c.S.Receive.Guarantee = known(broker.GuaranteeAtMostOnce)
	}, found("error ack-none")},
	{"ack none, and harmless", func(c *checked) {
		c.S.Receive.Guarantee = known(broker.GuaranteeAtMostOnce)
		c.U.LossOK = true
	}, nil},
	{"ack none, not used", func(c *checked) {
		c.S.Receive.Guarantee = known(broker.GuaranteeAtMostOnce)
		c.U.Receives = false
	}, nil},

	{"tried for ever", func(c *checked) { c.S.Receive.MaxAttempts = noLimit[int]() }, found("error unlimited-deliver")},
	{"tried for ever, and would strand", func(c *checked) {
		c.S.Receive.MaxAttempts = noLimit[int]()
		c.S.Receive.DeadLetter = none[string]()
		c.S.Receive.Exhausted = known(broker.ExhaustedStranded)
	}, found("error unlimited-deliver")},
	{"attempts unknown", func(c *checked) { c.S.Receive.MaxAttempts = dark[int]() }, found("warning unlimited-deliver")},
	{"tried for ever, not used", func(c *checked) { c.S.Receive.MaxAttempts = noLimit[int](); c.U.Receives = false }, nil},
	{"1 attempt", func(c *checked) { c.S.Receive.MaxAttempts = known(1) }, found("warning attempts-odd")},
	{"2 attempts", func(c *checked) { c.S.Receive.MaxAttempts = known(2) }, nil},
	{"100 attempts", func(c *checked) { c.S.Receive.MaxAttempts = known(100) }, nil},
	{"101 attempts", func(c *checked) { c.S.Receive.MaxAttempts = known(101) }, found("warning attempts-odd")},
	{"1 attempt, not used", func(c *checked) { c.S.Receive.MaxAttempts = known(1); c.U.Receives = false }, nil},

	{"short poll", func(c *checked) { c.U.Wait = new(broker.Wait(0)) }, found("warning short-poll")},
	{"long poll", func(c *checked) { c.U.Wait = new(broker.Wait(time.Second)); c.S.Receive.Wait = known[time.Duration](0) }, nil},
	{"short poll by default", func(c *checked) { c.S.Receive.Wait = known[time.Duration](0) }, found("info short-poll")},
	{"no wait by default", func(c *checked) { c.S.Receive.Wait = none[time.Duration]() }, found("info short-poll")},
	{"wait unknown", func(c *checked) { c.S.Receive.Wait = dark[time.Duration]() }, found("info short-poll")},
	{"short poll, not used", func(c *checked) { c.U.Wait = new(broker.Wait(0)); c.U.Receives = false }, nil},

	{"fewer in flight than handlers", func(c *checked) { c.S.Receive.InFlight = known(3) }, found("warning serialised")},
	{"as many in flight as handlers", func(c *checked) { c.S.Receive.InFlight = known(4) }, nil},
	{"in flight unknown", func(c *checked) { c.S.Receive.InFlight = dark[int]() }, found("info serialised")},
	{"in flight unknown, one handler", func(c *checked) { c.S.Receive.InFlight = dark[int](); c.U.Concurrency = 0 }, nil},
	{"no limit in flight", func(c *checked) { c.S.Receive.InFlight = noLimit[int]() }, nil},
	{"in flight, not used", func(c *checked) { c.S.Receive.InFlight = known(3); c.U.Receives = false }, nil},

	{"dropped", func(c *checked) { subject(c); c.H.Dropped = known[int64](1) }, found("error slow-consumer")},
	{"dropped by a responder", func(c *checked) {
		requester(c)
		c.U = broker.Usage{Responds: true}
		c.H.Dropped = known[int64](1)
	}, found("error slow-consumer")},
	{"dropped unknown", func(c *checked) { subject(c); c.H.Dropped = dark[int64]() }, found("warning slow-consumer")},
	{"dropped unknown, where all wait", func(c *checked) { c.H.Dropped = dark[int64]() }, nil},
	{"dropped, where it may", func(c *checked) { c.S.Receive.Slow = dark[broker.Slow](); c.H.Dropped = known[int64](1) }, found("error slow-consumer")},
	{"dropped, not used", func(c *checked) { subject(c); c.H.Dropped = known[int64](1); c.U.Receives = false }, nil},

	{"backlog old", func(c *checked) { c.H.OldestAge = known(48 * time.Hour) }, found("error backlog-old")},
	{"backlog not old", func(c *checked) { c.H.OldestAge = known(48*time.Hour - 1) }, nil},
	{"backlog older than told", func(c *checked) { c.U.MaxAge = time.Minute }, found("error backlog-old")},
	{"backlog younger than told", func(c *checked) { c.U.MaxAge = time.Minute + 1 }, nil},
	{"backlog told of, retention unknown", func(c *checked) {
		c.U.MaxAge, c.U.MaxOutage = time.Minute, 0
		c.S.Retention = dark[time.Duration]()
		c.H.DeadLetterKeepsAge = known(false)
	}, found("error backlog-old")},
	{"backlog's age unknown", func(c *checked) { c.H.OldestAge = dark[time.Duration]() }, found("warning backlog-old")},
	{"backlog's age unknown, one in flight", func(c *checked) {
		c.H.OldestAge = dark[time.Duration]()
		c.H.Ready = known[int64](0)
	}, found("warning backlog-old")},
	{"no backlog", func(c *checked) {
		c.H.OldestAge = dark[time.Duration]()
		c.H.Ready, c.H.InFlight = known[int64](0), known[int64](0)
	}, nil},
	{"no backlog, by age", func(c *checked) { c.H.OldestAge = none[time.Duration](); c.H.Ready = dark[int64]() }, nil},
	{"no age is too old", func(c *checked) {
		c.H.OldestAge = dark[time.Duration]()
		c.S.Retention = noLimit[time.Duration]()
		c.H.DeadLetterKeepsAge = known(false)
	}, nil},
	{"backlog old, not used", func(c *checked) { c.H.OldestAge = known(48 * time.Hour); c.U.Receives = false }, nil},
}

var deadLetterCases = []checkCase{
	{"no dead letter", func(c *checked) { c.S.Receive.DeadLetter = none[string]() }, found("error no-dead-letter")},
	{"no redrive policy", func(c *checked) {
		c.S.Receive.DeadLetter = none[string]()
		c.S.Receive.MaxAttempts = noLimit[int]()
		c.S.Receive.Exhausted = none[broker.Exhausted]()
		c.H.DeadLetterExists = none[bool]()
	}, found("error no-dead-letter")},
	{"dead letter unknown", func(c *checked) { c.S.Receive.DeadLetter = dark[string]() }, found("warning no-dead-letter")},
	{"dead letter unknown, tried for ever", func(c *checked) {
		c.S.Receive.DeadLetter = dark[string]()
		c.S.Receive.MaxAttempts = noLimit[int]()
	}, found("error unlimited-deliver", "warning no-dead-letter")},
	{"no dead letter, not used", func(c *checked) { c.S.Receive.DeadLetter = none[string](); c.U.Receives = false }, nil},

	{"stranded", func(c *checked) {
		c.S.Receive.Exhausted = known(broker.ExhaustedStranded)
		c.S.Receive.DeadLetter = none[string]()
	}, found("error stranded")},
	{"stranded, and told", func(c *checked) { c.S.Receive.Exhausted = known(broker.ExhaustedStranded) }, nil},
	{"perhaps told", func(c *checked) {
		c.S.Receive.Exhausted = known(broker.ExhaustedStranded)
		c.S.Receive.DeadLetter = dark[string]()
	}, found("warning stranded")},
	{"stranded, not used", func(c *checked) {
		c.S.Receive.Exhausted = known(broker.ExhaustedStranded)
		c.S.Receive.DeadLetter = none[string]()
		c.U.Receives = false
	}, nil},

	{"dead letter missing", func(c *checked) { c.H.DeadLetterExists = known(false) }, found("error dlq-missing")},
	{"dead letter missing, described as none", func(c *checked) {
		c.H.DeadLetterExists = known(false)
		c.S.Receive.DeadLetter = none[string]()
		c.S.Receive.MaxAttempts = noLimit[int]()
	}, found("error dlq-missing")},
	{"dead letter missing, not used", func(c *checked) { c.H.DeadLetterExists = known(false); c.U.Receives = false }, nil},

	{"dead letters gone with the source", func(c *checked) { c.H.DeadLetterRetention = known(96 * time.Hour) }, found("error dlq-retention")},
	{"dead letters outlast the source", func(c *checked) { c.H.DeadLetterRetention = known(96*time.Hour + 1) }, nil},
	{"dead letters with an age of their own", func(c *checked) {
		c.H.DeadLetterRetention = known(time.Hour)
		c.H.DeadLetterKeepsAge = known(false)
	}, nil},
	{"dead letters for ever", func(c *checked) { c.H.DeadLetterRetention = noLimit[time.Duration]() }, nil},
	{"source for ever", func(c *checked) { c.S.Retention = noLimit[time.Duration]() }, found("error dlq-retention")},
	{"dead letters' retention unknown", func(c *checked) { c.H.DeadLetterRetention = dark[time.Duration]() }, found("warning dlq-retention")},
	{"dead letters' age unknown", func(c *checked) { c.H.DeadLetterKeepsAge = dark[bool]() }, found("warning dlq-retention")},
	{"source's retention unknown", func(c *checked) {
		c.S.Retention = dark[time.Duration]()
		c.U.MaxOutage, c.U.MaxAge = 0, time.Hour
	}, found("warning dlq-retention")},
	{"dead letters' retention, not used", func(c *checked) {
		c.H.DeadLetterRetention = known(time.Hour)
		c.U.Receives = false
	}, nil},

	{"dead letters", func(c *checked) { c.H.DeadLetterReady = known[int64](1) }, found("error dlq-not-empty")},
	{"dead letters unknown", func(c *checked) { c.H.DeadLetterReady = dark[int64]() }, found("warning dlq-not-empty")},
	{"dead letters, not used", func(c *checked) { c.H.DeadLetterReady = known[int64](1); c.U.Receives = false }, nil},

	{"dead letters old", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = known(7 * 24 * time.Hour)
	}, found("error dlq-not-empty", "error dlq-old")},
	{"dead letters young", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = known(7*24*time.Hour - 1)
	}, found("error dlq-not-empty")},
	{"dead letters of unknown age", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = dark[time.Duration]()
	}, found("error dlq-not-empty", "warning dlq-old")},
	{"dead letters that never disappear", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = dark[time.Duration]()
		c.H.DeadLetterRetention = noLimit[time.Duration]()
	}, found("error dlq-not-empty")},
	{"dead letters that disappear nobody knows when", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = known(time.Second)
		c.H.DeadLetterRetention = dark[time.Duration]()
	}, found("error dlq-not-empty", "warning dlq-retention", "warning dlq-old")},
	{"dead letters old, not used", func(c *checked) {
		c.H.DeadLetterReady = known[int64](1)
		c.H.DeadLetterOldest = known(7 * 24 * time.Hour)
		c.U.Receives = false
	}, nil},
	{"no dead letters, of unknown age", func(c *checked) { c.H.DeadLetterOldest = dark[time.Duration]() }, nil},

	{"alarm not visible", func(c *checked) { c.U.DeadLetterAlarm = false }, found("info no-alarm-visible")},
	{"alarm not visible, not used", func(c *checked) { c.U.DeadLetterAlarm = false; c.U.Receives = false }, nil},
}
