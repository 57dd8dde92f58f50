// Package sqssuite makes the queues that the conformance suite (package
// brokertest) asks for, on any SQS endpoint. It is for tests.
package sqssuite

import (
	"cmp"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
)

// Queues makes the queues of one kind. Its methods may be called concurrently if
// its functions may.
type Queues struct {
	FIFO bool
	// Create makes a queue with the attributes of CreateQueue.
	Create func(tb testing.TB, name string, attributes map[string]string)
	// ARN is the ARN of a queue that was made.
	ARN func(tb testing.TB, name string) string
}

// numbered keeps names from being used twice, whatever the endpoint.
var numbered atomic.Int32

// Harness has what the suite has to know of every SQS endpoint; Open is left to
// the caller.
func (q *Queues) Harness(name string) brokertest.Harness {
	return brokertest.Harness{
		Name:        name,
		Destination: q.destination,
		Roles:       brokertest.RoleReceiver | brokertest.RolePinger,
		Missing:     "missing" + q.suffix(),
		Unknown: map[string]string{
			"replicas":        "AWS does not tell",
			"publish.readers": "SQS does not tell who polls",
		},
	}
}

func (q *Queues) suffix() string {
	if q.FIFO {
		return ".fifo"
	}
	return ""
}

func (q *Queues) destination(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
	tb.Helper()
	if !q.FIFO && (want.ByContent || want.DedupByKey) {
		return "", false
	}
	attrs := map[string]string{}
	set := func(name string, given bool, value string) {
		if given {
			attrs[name] = value
		}
	}
	set("VisibilityTimeout", want.Lease != 0, Seconds(want.Lease))
	set("DelaySeconds", want.QueueDelay != 0, Seconds(want.QueueDelay))
	set("MessageRetentionPeriod", want.Retention != 0, Seconds(want.Retention))
	set("MaximumMessageSize", want.MaxMessage != 0, strconv.FormatInt(want.MaxMessage, 10))
	set("ContentBasedDeduplication", want.ByContent, "true")
	set("DeduplicationScope", want.DedupByKey, "messageGroup")
	set("FifoThroughputLimit", want.DedupByKey, "perMessageGroupId")
	if want.MaxAttempts > 0 || want.DeadLetter {
		attrs["RedrivePolicy"] = q.Redrive(tb, cmp.Or(want.MaxAttempts, 10))
	}
	return q.make(tb, attrs), true
}

// Seconds is a time as SQS's attributes have it.
func Seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// Redrive is a RedrivePolicy with a new dead-letter queue.
func (q *Queues) Redrive(tb testing.TB, receives int) string {
	tb.Helper()
	target := q.make(tb, map[string]string{})
	return fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, q.ARN(tb, target), receives)
}

// make makes a queue and returns its name.
func (q *Queues) make(tb testing.TB, attrs map[string]string) string {
	tb.Helper()
	name := fmt.Sprint("conformance-", numbered.Add(1), q.suffix())
	if q.FIFO {
		attrs["FifoQueue"] = "true"
	}
	q.Create(tb, name, attrs)
	return name
}
