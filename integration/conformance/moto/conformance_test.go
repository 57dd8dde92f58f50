// Package moto runs the conformance suite on moto in a container.
package moto

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/conformance"
	"github.com/candidmq/candidmq/integration/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestConformance(t *testing.T) {
	conformance.RunSQS(t, conformance.Server{
		Name:     "moto",
		Endpoint: containers.Moto(t),
		Differs:  differs,
	})
}

// raced is said of cases that have several calls under way for one queue.
var raced = conformance.Difference{
	Document: "SQS keeps what it has stored, and hides what was received for its visibility timeout " +
		"(Developer Guide, sqs-visibility-timeout; API DeleteMessage, ChangeMessageVisibility)",
	Sometimes: "moto's sqs/models.py reads and replaces its list of messages without a lock; in a dozen runs " +
		"concurrency/receivers got one message twice, lifecycle/nothing-after-drain got 4 of 5, and redelivery/heartbeat " +
		"could not renew a lease of 1 s five times and one of 3 s once",
}

// differs is what moto does otherwise than AWS documents.
var differs = map[string]map[string]conformance.Difference{
	"standard": {"concurrency": raced, "lifecycle": raced, "redelivery": raced, "subscribe": raced},
	"fifo": {
		"concurrency": raced, "lifecycle": raced, "redelivery": raced, "subscribe": raced,
		"ordering/failure-holds-its-key": {
			Document: "no message of a group is received while an earlier one is in flight (API ReceiveMessage); " +
				"a long poll of moto goes by the groups that were in flight when it began",
		},
		"ordering/sequence-rises": {
			Document:  "SQS's sequence numbers rise within a group (API SendMessage, SequenceNumber)",
			Sometimes: "moto's are random, and may happen to rise",
		},
		"dedup/after-delete": {
			Document: "SQS keeps an id for five minutes (Developer Guide, FIFO-queues-exactly-once-processing); " +
				"moto forgets it when its message is deleted",
		},
		"dedup/scope": {
			Document: "the scope messageGroup holds for one group (API CreateQueue, DeduplicationScope); " +
				"moto reports it and does not apply it",
		},
	},
}
