// Package moto runs the conformance suite on moto in a container.
package moto

import (
	"maps"
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

// races are the cases in which moto lost a race in some runs and not in others.
// Its sqs/models.py reads and replaces its list of messages without a lock, so
// that one of several calls under way for a queue may undo what another did.
func races() map[string]conformance.Difference {
	return map[string]conformance.Difference{
		"concurrency/receivers": {
			Document:  "SQS hides a message that was received for its visibility timeout (Developer Guide, sqs-visibility-timeout)",
			Sometimes: "of two receives at a time both got one message",
		},
		"lifecycle/nothing-after-drain": {
			Document:  "SQS keeps what it has stored until it is deleted (API SendMessage, DeleteMessage)",
			Sometimes: "4 of 5 messages were there",
		},
		"redelivery/heartbeat": {
			Document:  "SQS sets the visibility timeout of a message in flight (API ChangeMessageVisibility)",
			Sometimes: "a lease could not be renewed, since the message was not in the list for a moment",
		},
	}
}

// with adds differences to races.
func with(more map[string]conformance.Difference) map[string]conformance.Difference {
	all := races()
	maps.Copy(all, more)
	return all
}

// differs is what moto does otherwise than AWS documents.
var differs = map[string]map[string]conformance.Difference{
	"standard": races(),
	"fifo": with(map[string]conformance.Difference{
		"ordering/failure-holds-its-key": {
			Document: "no message of a group is received while an earlier one is in flight (API ReceiveMessage)",
			Sometimes: "a long poll of moto goes by the groups that were in flight when it began; whether one is under way " +
				"at the failure is chance",
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
	}),
}
