package sqsrules

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// The optional fields that each kind of queue honours.
const (
	StandardFields = broker.FieldTenant | broker.FieldDelay
	FIFOFields     = broker.FieldKey | broker.FieldDedupID
)

func checkFields(m *broker.Message, q Queue) error {
	fields := m.Fields()
	if fields == 0 && !q.FIFO {
		return nil
	}
	if m.Delay < 0 {
		return fieldError("Delay", m.Delay.String(), "at least 0")
	}
	if m.TTL < 0 {
		return fieldError("TTL", m.TTL.String(), "at least 0")
	}
	honoured := StandardFields
	if q.FIFO {
		honoured = FIFOFields
	}
	if refused := fields &^ honoured; refused != 0 {
		return refusal(m, refused, q.FIFO)
	}
	if q.FIFO {
		return checkFIFO(m, q)
	}
	return checkStandard(m)
}

func checkStandard(m *broker.Message) error {
	if m.Delay > MaxDelay {
		return &broker.UnsupportedError{
			Backend: Backend, What: "Delay of " + m.Delay.String(),
			Why:     "the most is " + MaxDelay.String() + " (API SendMessage, DelaySeconds)",
			Instead: "publish it later, from a store or a scheduler of your own",
		}
	}
	if m.Tenant == "" {
		return nil
	}
	return checkID("Tenant", m.Tenant)
}

func checkFIFO(m *broker.Message, q Queue) error {
	if m.Key == "" {
		return fieldError("Key", "", "a key on a FIFO queue: it is the MessageGroupId (API SendMessage)")
	}
	if err := checkID("Key", m.Key); err != nil {
		return err
	}
	if m.DedupID != "" {
		return checkID("DedupID", m.DedupID)
	}
	if !q.ContentDedup {
		return fieldError("DedupID", "", "an id on a FIFO queue without ContentBasedDeduplication (API SendMessage)")
	}
	return nil
}

// checkID checks the syntax that group and deduplication ids share: 1 to 128
// of printable ASCII without the space (API SendMessage).
func checkID(field, id string) error {
	ok := id != "" && len(id) <= maxID
	for i := 0; ok && i < len(id); i++ {
		ok = '!' <= id[i] && id[i] <= '~'
	}
	if !ok {
		return fieldError(field, id, "1 to 128 letters, digits and punctuation of ASCII, no space (API SendMessage)")
	}
	return nil
}

// refusal says why the first of the refused fields cannot be honoured.
func refusal(m *broker.Message, refused broker.Fields, fifo bool) error {
	e := &broker.UnsupportedError{Backend: Backend}
	switch {
	case refused&broker.FieldKey != 0:
		e.What, e.Why = "Key on a Standard queue", "it keeps no order"
		e.Instead = "a FIFO queue, or Tenant for fairness without order"
	case refused&broker.FieldTenant != 0:
		e.What, e.Why = "Tenant on a FIFO queue", "fair queues are Standard queues (DG sqs-fair-queues)"
		e.Instead = "Key, or a Standard queue"
	case refused&broker.FieldDedupID != 0:
		e.What, e.Why = "DedupID on a Standard queue", "it does not deduplicate (API SendMessage)"
		e.Instead = "a FIFO queue, or an idempotent handler"
	case refused&broker.FieldDelay != 0 && fifo:
		e.What = "Delay of " + m.Delay.Round(time.Millisecond).String() + " on a FIFO queue"
		e.Why = "a message there cannot have a delay of its own (API SendMessage, DelaySeconds)"
		e.Instead = "the queue's delay, or a Standard queue"
	case refused&broker.FieldTTL != 0:
		e.What, e.Why = "TTL", "messages have no time to live of their own"
		e.Instead = "the queue's retention, or a header that the handler checks"
	default:
		e.What, e.Why = "ReplyTo", "SQS has no request-reply"
		e.Instead = "core NATS, or a header with the name of a queue for answers"
	}
	return e
}
