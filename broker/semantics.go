package broker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
)

// State says what is known about a [Fact].
type State uint8

// Values of State. Unknown is never the same as none.
const (
	StateUnknown   State = iota // it could not be read; From says why
	StateNone                   // there is none
	StateKnown                  // V is the value
	StateUnlimited              // there is no limit
)

var stateNames = [...]string{"unknown", "none", "known", "unlimited"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Fact is one property of a destination that is known, or not, with its source.
type Fact[T comparable] struct {
	V     T      // the value if State is StateKnown, else T's zero value
	State State  // the zero Fact is unknown
	From  string // the attribute read, the document that fixes a constant, or why it is unknown
}

// Known returns the fact v, read from the named source.
func Known[T comparable](v T, from string) Fact[T] {
	return Fact[T]{V: v, State: StateKnown, From: from}
}

// None returns a fact that says there is none.
func None[T comparable](from string) Fact[T] { return Fact[T]{State: StateNone, From: from} }

// Unlimited returns a fact that says there is no limit.
func Unlimited[T comparable](from string) Fact[T] { return Fact[T]{State: StateUnlimited, From: from} }

// Unknown returns a fact that could not be read, with the reason.
func Unknown[T comparable](why string) Fact[T] { return Fact[T]{From: why} }

// String returns the value, or "unknown", "none" or "unlimited".
func (f Fact[T]) String() string {
	if f.State != StateKnown {
		return f.State.String()
	}
	switch v := any(f.V).(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case time.Duration:
		return shortDuration(v)
	}
	return fmt.Sprint(f.V)
}

// shortDuration is d without trailing zero units: 5m for 5m0s, 12h for 12h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON encodes {"value": …, "from": …}, where value is a number, a bool
// or a string (durations are strings like "30s"), or one of the words
// "unknown", "none" and "unlimited".
func (f Fact[T]) MarshalJSON() ([]byte, error) {
	var value any = f.String()
	if f.State == StateKnown {
		switch v := any(f.V).(type) {
		case bool, int, int64:
			value = v
		}
	}
	return json.Marshal(struct {
		Value any    `json:"value"`
		From  string `json:"from,omitempty"`
	}{value, f.From})
}

func (f Fact[T]) equal(g any) bool {
	h, ok := g.(Fact[T])
	return ok && f.V == h.V && f.State == h.State
}

func (f Fact[T]) from() string { return f.From }

// fact is what all Facts have in common.
type fact interface {
	fmt.Stringer
	equal(any) bool
	from() string
}

// Semantics is what a destination guarantees to publishers and to receivers,
// each fact with its source. The two sides differ: two consumers of one stream
// may differ in lease, attempts and order. Later versions may add fields; the
// zero value of each is unknown.
type Semantics struct {
	Destination string `json:"destination"` // as named by the caller
	Backend     string `json:"backend"`     // "nats", "jetstream", "sqs", "memory"
	Kind        string `json:"kind"`        // such as "subject", "standard queue", "fifo queue"

	Durability Fact[Durability]    `json:"durability"` // what stored messages survive
	Replicas   Fact[int]           `json:"replicas"`   // copies of each message
	Retention  Fact[time.Duration] `json:"retention"`  // messages older than this disappear
	WhenFull   Fact[Full]          `json:"whenFull"`   // what happens to the next message of a full destination
	AtRest     Fact[AtRest]        `json:"atRest"`     // encryption of what is stored
	InTransit  Fact[string]        `json:"inTransit"`  // encryption of the connection, such as "TLS 1.3"

	Publish Publishing `json:"publish"`
	Receive Receiving  `json:"receive"`
}

// Publishing is what a destination guarantees to publishers.
type Publishing struct {
	Offered       Fact[bool]          `json:"offered"`       // can be published to at all
	StoredBy      Fact[string]        `json:"storedBy"`      // what stores the messages; none: they are not stored
	Confirm       Fact[Confirm]       `json:"confirm"`       // what a nil error of Publish means
	WithoutReader Fact[bool]          `json:"withoutReader"` // kept even if there is no reader
	Readers       Fact[int]           `json:"readers"`       // currently seen
	Ordering      Fact[Ordering]      `json:"ordering"`
	KeyRequired   Fact[bool]          `json:"keyRequired"` // Message.Key must be set
	IDRequired    Fact[bool]          `json:"idRequired"`  // Message.DedupID must be set
	DedupBy       Fact[DedupBy]       `json:"dedupBy"`
	DedupWindow   Fact[time.Duration] `json:"dedupWindow"`
	DedupScope    Fact[Scope]         `json:"dedupScope"`
	RateScope     Fact[Scope]         `json:"rateScope"`     // what its limit of messages per second applies to; unlimited: it has none
	MaxDelay      Fact[time.Duration] `json:"maxDelay"`      // of Message.Delay
	QueueDelay    Fact[time.Duration] `json:"queueDelay"`    // of messages without a Delay
	MessageTTL    Fact[time.Duration] `json:"messageTTL"`    // of Message.TTL; unlimited: any
	Schedule      Fact[bool]          `json:"schedule"`      // repeated delivery by the server
	MaxMessage    Fact[int64]         `json:"maxMessage"`    // bytes of body and headers
	MaxHeaders    Fact[int]           `json:"maxHeaders"`    // number of headers
	MaxHeaderSize Fact[int64]         `json:"maxHeaderSize"` // bytes of all headers
	MaxBatch      Fact[int]           `json:"maxBatch"`      // messages per native call
	MaxBatchSize  Fact[int64]         `json:"maxBatchSize"`  // bytes per native call
	BatchAtomic   Fact[bool]          `json:"batchAtomic"`   // a native batch is all or nothing
	RequestReply  Fact[bool]          `json:"requestReply"`  // Request works here
}

// Receiving is what a destination guarantees to receivers.
type Receiving struct {
	Offered      Fact[bool]          `json:"offered"` // can be received from at all
	Guarantee    Fact[Guarantee]     `json:"guarantee"`
	Ordering     Fact[Ordering]      `json:"ordering"` // of first deliveries to one receiver
	Strict       Fact[bool]          `json:"strict"`   // that order survives competing receivers and redelivery
	Distribution Fact[Distribution]  `json:"distribution"`
	Redelivery   Fact[Redelivery]    `json:"redelivery"`
	Lease        Fact[time.Duration] `json:"lease"`       // of each delivery, unless renewed
	MaxLease     Fact[time.Duration] `json:"maxLease"`    // in total, renewals included
	MaxAttempts  Fact[int]           `json:"maxAttempts"` // deliveries of one message
	Exhausted    Fact[Exhausted]     `json:"exhausted"`   // what happens to it then
	DeadLetter   Fact[string]        `json:"deadLetter"`  // where it goes
	Replay       Fact[bool]          `json:"replay"`      // messages can be read again
	InFlight     Fact[int]           `json:"inFlight"`    // most messages leased at a time
	Slow         Fact[Slow]          `json:"slow"`        // what happens to a receiver that cannot keep up
	MaxBatch     Fact[int]           `json:"maxBatch"`    // messages per native receive
	Wait         Fact[time.Duration] `json:"wait"`        // of a receive without Wait
}

// Guarantee is how often a message is delivered. There is no exactly-once.
type Guarantee string

// Values of Guarantee.
const (
	GuaranteeAtMostOnce  Guarantee = "at-most-once"  // once, or lost
	GuaranteeAtLeastOnce Guarantee = "at-least-once" // kept until settled, perhaps delivered again
)

// Ordering is the order of first deliveries to one receiver.
type Ordering string

// Values of Ordering.
const (
	OrderingBestEffort   Ordering = "best-effort"   // none guaranteed
	OrderingPerPublisher Ordering = "per-publisher" // as published, for each connection
	OrderingPerKey       Ordering = "per-key"       // as published, for each Message.Key
	OrderingTotal        Ordering = "total"         // as stored
)

// Confirm is what a nil error of Publish means.
type Confirm string

// Values of Confirm.
const (
	ConfirmSent     Confirm = "sent"     // the message left this process
	ConfirmReceived Confirm = "received" // the server has read the message, and does not store it
	ConfirmStored   Confirm = "stored"   // the broker acknowledged the message
)

// Durability is what stored messages survive.
type Durability string

// Values of Durability.
const (
	DurabilityMemory    Durability = "memory"     // lost when the server restarts
	DurabilityDiskAsync Durability = "disk-async" // acknowledged before it is written
	DurabilityDisk      Durability = "disk"       // survives a crash of the process; not proven for power loss
	DurabilityManaged   Durability = "managed"    // the provider's promise
)

// Full is what happens to a message published to a full destination.
type Full string

// Values of Full.
const (
	FullRejects     Full = "rejects"      // publishing fails
	FullDropsOldest Full = "drops-oldest" // the oldest message is discarded, processed or not
)

// DedupBy is how a duplicate is recognised.
type DedupBy string

// Values of DedupBy.
const (
	DedupByID          DedupBy = "id"            // Message.DedupID
	DedupByIDOrContent DedupBy = "id-or-content" // Message.DedupID, else the body's hash
)

// Scope is where a deduplication id must be unique, or what a limit applies to.
type Scope string

// Values of Scope.
const (
	ScopeDestination Scope = "destination" // all messages of the destination
	ScopeStream      Scope = "stream"      // all messages of the stream
	ScopeKey         Scope = "key"         // each Message.Key separately
)

// Distribution is who gets a message.
type Distribution string

// Values of Distribution.
const (
	DistributionFanOut    Distribution = "fan-out"           // every subscription
	DistributionCompeting Distribution = "competing"         // one of them
	DistributionBoth      Distribution = "fan-out+competing" // every group, one of its members
)

// Redelivery is when a message is delivered again.
type Redelivery string

// RedeliveryOnLeaseExpiryOrRelease is the redelivery of every leased backend.
const RedeliveryOnLeaseExpiryOrRelease Redelivery = "on-lease-expiry-or-release"

// Exhausted is what happens to a message whose attempts are used up.
type Exhausted string

// Values of Exhausted.
const (
	ExhaustedDeadLettered Exhausted = "dead-lettered" // moved to the dead-letter destination
	ExhaustedStranded     Exhausted = "stranded"      // stored, never delivered again
)

// Slow is what happens when a receiver cannot keep up.
type Slow string

// Values of Slow.
const (
	SlowWaits Slow = "waits" // messages wait for it
	SlowDrops Slow = "drops" // messages for it are discarded
)

// AtRest is the encryption of stored messages.
type AtRest string

// Values of AtRest.
const (
	AtRestSSESQS AtRest = "sse-sqs" // keys managed by SQS
	AtRestSSEKMS AtRest = "sse-kms" // keys in AWS KMS
)

// Equal reports whether s and t guarantee the same. The sources of facts do not
// matter.
func (s Semantics) Equal(t Semantics) bool {
	if s.Destination != t.Destination || s.Backend != t.Backend || s.Kind != t.Kind {
		return false
	}
	other := map[string]fact{}
	for _, f := range t.facts() {
		other[f.name] = f.fact
	}
	for _, f := range s.facts() {
		if !f.equal(other[f.name]) {
			return false
		}
	}
	return true
}

type namedFact struct {
	name string // path of JSON names, such as "receive.lease"
	fact
}

// facts lists every fact in the order of the fields.
func (s Semantics) facts() []namedFact { return collectFacts(reflect.ValueOf(s), "") }

func collectFacts(v reflect.Value, prefix string) []namedFact {
	var found []namedFact
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("json")
		if f, ok := reflect.TypeAssert[fact](v.Field(i)); ok {
			found = append(found, namedFact{name, f})
			continue
		}
		if v.Field(i).Kind() == reflect.Struct {
			found = append(found, collectFacts(v.Field(i), name+".")...)
		}
	}
	return found
}

// String returns a table of all facts, one per line, each with its source.
func (s Semantics) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s %s)\n", s.Destination, s.Backend, s.Kind)
	for _, f := range s.facts() {
		line := fmt.Sprintf("  %-22s %-26s %s", f.name, f, f.from())
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// LogValue groups the facts by name, without the unknown ones.
func (s Semantics) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("destination", s.Destination),
		slog.String("backend", s.Backend),
		slog.String("kind", s.Kind),
	}
	for _, f := range s.facts() {
		if text := f.String(); text != StateUnknown.String() {
			attrs = append(attrs, slog.String(f.name, text))
		}
	}
	return slog.GroupValue(attrs...)
}
