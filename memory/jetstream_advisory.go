package memory

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/candidmq/candidmq/internal/stream"
)

// advisoryPrefix begins the subject on which the server reports that a
// message's attempts are used up.
const advisoryPrefix = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."

// exceeded is its report (nats-server's JSConsumerDeliveryExceededAdvisory).
type exceeded struct {
	Type       string    `json:"type"`
	ID         string    `json:"id"`
	Time       time.Time `json:"timestamp"`
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	StreamSeq  uint64    `json:"stream_seq"`
	Deliveries int       `json:"deliveries"`
}

// advisory is that of a message's last delivery, which a stream may capture.
func advisory(of, consumer string, last stream.Receipt) *stream.Send {
	m := &stream.Send{Subject: advisoryPrefix + of + "." + consumer}
	if last.Attempt > 0 { // else it is only asked who would get it
		m.Body, _ = json.Marshal(exceeded{ // nothing in it can fail
			Type: "io.nats.jetstream.advisory.v1.max_deliver", ID: rand.Text(), Time: time.Now().UTC(),
			Stream: of, Consumer: consumer, StreamSeq: last.Seq, Deliveries: last.Attempt,
		})
	}
	return m
}
