// Package moto runs the conformance suite on moto in a container.
package moto

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/conformance"
	"github.com/candidmq/candidmq/integration/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

var long = flag.Bool("long", false, "run the suite on moto, which takes three minutes")

func TestConformance(t *testing.T) {
	if !*long {
		t.Skip("moto loses and doubles messages now and then, so that it is no judge: -long runs the suite on it")
	}
	conformance.RunSQS(t, conformance.Server{
		Name:     "moto",
		Endpoint: containers.Moto(t),
		Fails:    fails,
	})
}

const twice = "moto gives one message to two receives at once; SQS hides it for its visibility timeout " +
	"(Developer Guide, sqs-visibility-timeout)"

// fails is what moto does otherwise than AWS documents.
var fails = map[string]map[string]string{
	"standard": {"concurrency/receivers": twice},
	"fifo": {
		"concurrency/receivers": twice,
		"ordering/sequence-rises": "moto's sequence numbers are random; SQS's rise within a group " +
			"(API SendMessage, SequenceNumber)",
		"dedup/after-delete": "moto forgets an id when its message is deleted; SQS keeps it for five minutes " +
			"(Developer Guide, FIFO-queues-exactly-once-processing)",
		"dedup/scope": "moto reports DeduplicationScope=messageGroup and does not apply it " +
			"(API CreateQueue, DeduplicationScope)",
	},
}
