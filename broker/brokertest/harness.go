package brokertest

import (
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Role is a set of the roles that a backend may have beyond broker.Broker.
type Role uint8

// Values of Role.
const (
	RoleRequester Role = 1 << iota
	RoleResponder
	RoleReceiver
	RoleFlusher
	RolePinger
)

// Harness gives the suite access to a backend, for one kind of destination. Its
// functions are called from one goroutine at a time, in the bubble if Virtual;
// failures are reported to the testing.TB that they receive.
type Harness struct {
	// Name names the backend and kind, such as "memory-sqs-fifo".
	Name string

	// Open creates a broker for one case, which closes it. The function must
	// end the underlying connection or client itself, with Cleanup.
	Open func(tb testing.TB) broker.Broker

	// Worst creates, like Open, a broker that simulates the worst of its
	// contract: it reorders, repeats and drops as far as allowed. Optional.
	Worst func(tb testing.TB) broker.Broker

	// Destination creates a new, empty destination that b reaches, and returns
	// its name. It returns false if it cannot create one as wanted; the case is
	// then skipped.
	Destination func(tb testing.TB, b broker.Broker, want Config) (name string, ok bool)

	// Roles are the roles that the backend declares. A declared role that is
	// missing fails, and so does an existing role that is not declared.
	Roles Role

	// Virtual: every case runs in a testing/synctest bubble.
	Virtual bool

	// Lease is the shortest lease that Destination can create and that is
	// practical to wait for; 0: 30 s in virtual time, 1 s in real time.
	Lease time.Duration

	// Slack is how much later than promised a lease or delay may end, or a
	// message arrive; 0: 1.2 s.
	Slack time.Duration

	// Poll is the longest wait of a Receive; 0: 20 s in virtual time, 1 s in
	// real time.
	Poll time.Duration

	// Patience bounds the waits of a case. Only failures reach it; 0: 10
	// minutes in virtual time, 10 s in real time.
	Patience time.Duration

	// InFlight is how many messages a case may lease at once to see a limit; 0:
	// 2,000.
	InFlight int

	// Wildcards: a subscription may name the subjects below a destination, as
	// in "orders.*" and "orders.>". Without it such a pattern must be refused.
	Wildcards bool

	// Missing is the name of a destination that does not exist; "" where every
	// name exists.
	Missing string

	// Unknown are the facts that this backend cannot know, by name, such as
	// "publish.readers", each with the reason.
	Unknown map[string]string

	// Foreign publishes messages in other formats through a second, native
	// client (headers with several values, attributes of other types), and
	// returns what must be delivered of them. Optional.
	Foreign func(tb testing.TB, b broker.Broker, destination string) []broker.Message

	// Settings are attributes that can be changed to see Describe follow.
	Settings []Setting

	// Skip lists cases that the server under test fails, by name, each with the
	// document that says which behaviour is right. They are printed, not run.
	Skip map[string]string
}

// Config describes the destination that a case wants. Zero fields are left to
// the harness.
type Config struct {
	Lease       time.Duration
	MaxAttempts int  // with a dead-letter destination, in which they end
	DeadLetter  bool // with a dead-letter destination, whatever the attempts
	QueueDelay  time.Duration
	Retention   time.Duration
	MaxMessage  int64
	ByContent   bool // deduplicates by content where there is no id
	DedupByKey  bool // a deduplication id is unique for each key
}

// Setting is an attribute of a destination that a second client can change
// while it is in use.
type Setting struct {
	// Fact is the name of the fact that shows it, such as "receive.lease".
	Fact string
	// Values are two or more words that the fact has, as its String gives them.
	Values []string
	// Set changes the attribute so that the fact has Values[i].
	Set func(tb testing.TB, b broker.Broker, destination string, i int)
}

func (h *Harness) setDefaults() {
	if h.Virtual {
		setDefault(&h.Lease, 30*time.Second)
		setDefault(&h.Poll, 20*time.Second)
		setDefault(&h.Patience, 10*time.Minute)
	}
	setDefault(&h.Lease, time.Second)
	setDefault(&h.Poll, time.Second)
	setDefault(&h.Patience, 10*time.Second)
	setDefault(&h.InFlight, 2000)
	setDefault(&h.Slack, 1200*time.Millisecond)
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (r Role) has(all Role) bool { return r&all == all }
