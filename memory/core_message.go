package memory

import (
	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// prepare checks m, makes its addresses native and drops what is to be ignored.
func (b *CoreNATS) prepare(m *broker.Message) error {
	m.Subject = b.address(m.Subject)
	if m.ReplyTo != "" {
		m.ReplyTo = b.address(m.ReplyTo)
	}
	return b.check(m)
}

// check is prepare for native addresses.
func (b *CoreNATS) check(m *broker.Message) error {
	if err := natsrules.Check(m, m.Subject, b.ignore); err != nil {
		return err
	}
	return natsrules.CheckSize(m, b.maxPayload)
}

// pendingSize is how nats.go counts a message against pending limits.
func pendingSize(m *broker.Message) int {
	return int(natsrules.Size(m)) + len(m.Subject) + len(m.ReplyTo)
}
