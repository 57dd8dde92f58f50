package sqsbroker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// facts are the values of a table that String prints.
func facts(s broker.Semantics) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(s.String()) {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(line, "  ") {
			found[words[0]] = words[1]
		}
	}
	return found
}

func wantFacts(t *testing.T, s broker.Semantics, pairs ...string) {
	t.Helper()
	got := facts(s)
	for i := 0; i < len(pairs); i += 2 {
		if got[pairs[i]] != pairs[i+1] {
			t.Errorf("%s %s: got %s, want %s", s.Destination, pairs[i], got[pairs[i]], pairs[i+1])
		}
	}
}

func (r *rig) describe(t *testing.T, queue string) broker.Semantics {
	t.Helper()
	s, err := r.Describe(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDescribeStandard(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "VisibilityTimeout", "45", "MaximumMessageSize", "2048", "DelaySeconds", "3",
			"MessageRetentionPeriod", "600", "RedrivePolicy", redriveTo("dead", "4"), "SqsManagedSseEnabled", "false")
		r.called()
		s := r.describe(t, "jobs")
		if c := r.called(); c["GetQueueUrl"] != 2 || c["GetQueueAttributes"] != 1 || len(c) != 2 {
			t.Errorf("calls: %v", c)
		}
		if s.Backend != "sqs" || s.Kind != "standard queue" || s.Destination != "jobs" {
			t.Errorf("got %s, %s, %s", s.Backend, s.Kind, s.Destination)
		}
		wantFacts(t, s, "receive.lease", "45s", "publish.maxMessage", "2048", "publish.queueDelay", "3s",
			"retention", "10m", "receive.maxAttempts", "4", "receive.deadLetter", arnOf("dead"),
			"receive.exhausted", "dead-lettered", "atRest", "none", "inTransit", "none",
			"publish.dedupWindow", "none", "publish.rateScope", "unlimited", "receive.ordering", "best-effort", "publish.storedBy", "jobs",
			"receive.maxLease", "12h", "publish.maxDelay", "15m")

		// A second client changes what Describe must follow, at once.
		r.set(t, "jobs", "VisibilityTimeout", "46", "RedrivePolicy", redriveTo("dead", `"5"`), "SqsManagedSseEnabled", "true")
		sleep(time.Minute)
		wantFacts(t, r.describe(t, "jobs"), "receive.lease", "46s", "receive.maxAttempts", "5", "atRest", "sse-sqs")
		r.set(t, "jobs", "RedrivePolicy", "", "KmsMasterKeyId", "alias/key")
		sleep(time.Minute)
		wantFacts(t, r.describe(t, "jobs"), "receive.maxAttempts", "unlimited", "receive.deadLetter", "none",
			"receive.exhausted", "none", "atRest", "sse-kms")
	})
}

func TestDescribeFIFO(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo", "ContentBasedDeduplication", "true", "DeduplicationScope", "messageGroup", "FifoThroughputLimit", "perMessageGroupId")
		wantFacts(t, r.describe(t, "orders.fifo"), "publish.dedupBy", "id-or-content", "publish.idRequired", "no",
			"publish.dedupScope", "key", "publish.rateScope", "key",
			"publish.dedupWindow", "5m", "receive.ordering", "per-key", "receive.strict", "yes", "publish.keyRequired", "yes",
			"publish.maxDelay", "none")
		r.set(t, "orders.fifo", "ContentBasedDeduplication", "false", "DeduplicationScope", "queue", "FifoThroughputLimit", "perQueue")
		sleep(time.Minute)
		wantFacts(t, r.describe(t, "orders.fifo"), "publish.dedupBy", "id", "publish.idRequired", "yes",
			"publish.dedupScope", "destination", "publish.rateScope", "destination")

		// Ids that are unique for each group do not make a queue fast.
		r.set(t, "orders.fifo", "DeduplicationScope", "messageGroup")
		sleep(time.Minute)
		wantFacts(t, r.describe(t, "orders.fifo"), "publish.dedupScope", "key", "publish.rateScope", "destination")
	})
}

// What is absent, denied or not understood is unknown, with the reason, and
// never "none".
func TestDescribeUnknown(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for _, q := range []string{"jobs", "orders.fifo"} {
			r.create(t, q)
			r.fail("GetQueueAttributes", 400, "AccessDeniedException")
			s := r.describe(t, q)
			wantFacts(t, s, "receive.lease", "unknown", "receive.deadLetter", "unknown", "publish.maxMessage", "unknown",
				"receive.maxLease", "12h", "atRest", "unknown")
			if !strings.Contains(s.Receive.Lease.From, "AccessDenied") {
				t.Errorf("reason: %s", s.Receive.Lease.From)
			}
			for f := range strings.Lines(s.String()) {
				if words := strings.Fields(f); len(words) == 2 && words[1] == "unknown" {
					t.Errorf("without a reason: %s", f)
				}
			}
			r.setFault(nil)
		}
		b, err := New(describeAPI{r.client, map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":7}`}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Describe(t.Context(), "orders.fifo")
		if err != nil {
			t.Fatal(err)
		}
		b, err = New(describeAPI{r.client, map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"a b","maxReceiveCount":2}`}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		strange, err := b.Describe(t.Context(), "orders.fifo")
		if err != nil || !strings.Contains(strange.Receive.DeadLetter.From, "not looked up") {
			t.Errorf("got %v, %v", strange.Receive.DeadLetter, err)
		}
		wantFacts(t, got, "receive.lease", "unknown", "receive.deadLetter", "unknown", "receive.maxAttempts", "unknown",
			"publish.dedupScope", "unknown", "publish.rateScope", "unknown", "publish.dedupBy", "unknown", "inTransit", "unknown", "atRest", "unknown", "retention", "unknown")
	})
}

func TestDescribeDeadLetterThatIsGone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "4"))
		if _, err := r.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: aws.String(r.server.QueueURL("dead"))}); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute + time.Second)
		s := r.describe(t, "jobs")
		wantFacts(t, s, "receive.deadLetter", "none")
		if !strings.Contains(s.Receive.DeadLetter.From, "does not exist") {
			t.Errorf("reason: %s", s.Receive.DeadLetter.From)
		}
		r.fail("GetQueueUrl", 400, "AccessDeniedException")
		wantFacts(t, r.describe(t, "jobs"), "receive.deadLetter", arnOf("dead"))
	})
}

func TestDescribeNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for _, q := range []string{"none", r.server.QueueURL("none")} {
			_, err := r.Describe(t.Context(), q)
			wantError(t, q, err, broker.ErrNotFound)
		}
		_, err := r.Describe(t.Context(), "orders.*")
		wantError(t, "a wildcard", err, broker.ErrInvalid)
		r.fail("GetQueueUrl", 400, "AccessDeniedException")
		wantFacts(t, r.describe(t, "none"), "receive.lease", "unknown")
	})
}

// describeAPI has attributes of its own.
type describeAPI struct {
	API
	attributes map[string]string
}

func (a describeAPI) GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	return &sqs.GetQueueAttributesOutput{Attributes: a.attributes}, nil
}
