package broker

import (
	"log/slog"
	"strings"
	"time"
)

// Message is a message to publish. It is passed by value; a broker never
// modifies it and never retains Body or Header after the call returns, so the
// caller may reuse both at once.
//
// Only Subject is required. A backend honours the optional fields that its
// destination supports and refuses the others before anything is sent, with an
// error matching [errors.ErrUnsupported]; none is silently ignored.
type Message struct {
	// Subject is the destination: the backend's native address (a NATS
	// subject, an SQS queue name, URL or ARN), or a name from the table in the
	// backend's options.
	Subject string
	// Body is the payload. Whether it may be empty depends on the destination:
	// NATS accepts an empty body, SQS does not.
	Body []byte
	// Header holds one value per key. See [Header.Check] for what every backend
	// refuses.
	Header Header
	// ReplyTo is the subject for replies. [Requester] sets it.
	ReplyTo string
	// Key requests ordering: messages with equal keys are processed one at a
	// time, in the order in which they were published (an SQS message group).
	Key string
	// Tenant requests fairness without ordering: one busy tenant does not
	// starve the others (SQS fair queues).
	Tenant string
	// DedupID identifies the message within the destination's deduplication
	// window. A destination without one (SQS Standard) refuses it; a backend's
	// Options.Ignore lets the same code publish to both.
	DedupID string
	// Delay keeps the message invisible for a while after publishing.
	Delay time.Duration
	// TTL lets the destination discard the message once it is older than this.
	TTL time.Duration
}

// LogValue makes a Message safe to log: it shows the subject, ids and the size,
// never the body or a header value.
func (m Message) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("subject", m.Subject), slog.Int("size", len(m.Body))}
	if m.Key != "" {
		attrs = append(attrs, slog.String("key", m.Key))
	}
	if m.DedupID != "" {
		attrs = append(attrs, slog.String("dedup_id", m.DedupID))
	}
	return slog.GroupValue(attrs...)
}

// Fields is a set of optional [Message] fields. A backend declares the fields
// that it honours and refuses a message that sets any other; see
// [Message.Fields].
type Fields uint8

// The optional fields of a Message.
const (
	FieldReplyTo Fields = 1 << iota
	FieldKey
	FieldTenant
	FieldDedupID
	FieldDelay
	FieldTTL
)

var fieldNames = [...]string{"ReplyTo", "Key", "Tenant", "DedupID", "Delay", "TTL"}

// Fields returns the set of optional fields that m sets. Header and Body are
// not optional fields: every backend carries both.
func (m *Message) Fields() Fields {
	var f Fields
	if m.ReplyTo != "" {
		f |= FieldReplyTo
	}
	if m.Key != "" {
		f |= FieldKey
	}
	if m.Tenant != "" {
		f |= FieldTenant
	}
	if m.DedupID != "" {
		f |= FieldDedupID
	}
	if m.Delay != 0 {
		f |= FieldDelay
	}
	if m.TTL != 0 {
		f |= FieldTTL
	}
	return f
}

// Clear clears the given optional fields of m.
func (m *Message) Clear(f Fields) {
	if f&FieldReplyTo != 0 {
		m.ReplyTo = ""
	}
	if f&FieldKey != 0 {
		m.Key = ""
	}
	if f&FieldTenant != 0 {
		m.Tenant = ""
	}
	if f&FieldDedupID != 0 {
		m.DedupID = ""
	}
	if f&FieldDelay != 0 {
		m.Delay = 0
	}
	if f&FieldTTL != 0 {
		m.TTL = 0
	}
}

// String returns the names of the fields, as in "Key|Delay".
func (f Fields) String() string {
	var names []string
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}
