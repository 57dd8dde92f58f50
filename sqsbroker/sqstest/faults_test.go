package sqstest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Each fault is seen by a client that does not retry, is counted, and is gone
// when the plan is empty.
func TestFaults(t *testing.T) {
	for fault, c := range map[sqstest.Fault]struct {
		plan   sqstest.FaultPlan
		code   string // of the error; "-" for an error without one; "" for none
		stored int    // messages in the queue after one send
		took   time.Duration
	}{
		sqstest.FaultThrottle:     {sqstest.FaultPlan{Throttle: 1}, "ThrottlingException", 0, 0},
		sqstest.FaultServerError:  {sqstest.FaultPlan{ServerError: 1}, "InternalFailure", 0, 0},
		sqstest.FaultRefusal:      {sqstest.FaultPlan{Refuse: 1, Refusal: kmsErrors["KmsDisabled"]}, "KMS.DisabledException", 0, 0},
		sqstest.FaultDropRequest:  {sqstest.FaultPlan{DropRequest: 1}, "-", 0, 0},
		sqstest.FaultDropResponse: {sqstest.FaultPlan{DropResponse: 1}, "-", 1, 0},
		sqstest.FaultLatency:      {sqstest.FaultPlan{Latency: 3 * time.Second}, "", 1, 3 * time.Second},
	} {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults, client, url := faulty(t)
				c.plan.Only = []string{"SendMessage"}
				faults.Set(c.plan)
				began := time.Now()
				_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
				var api smithy.APIError
				switch {
				case c.code == "" && err != nil, c.code != "" && err == nil,
					errors.As(err, &api) && api.ErrorCode() != c.code, api == nil && c.code != "" && c.code != "-":
					t.Errorf("got %v, want code %q", err, c.code)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if got := depth(t, client, url); got != c.stored {
					t.Errorf("%d messages are stored, want %d", got, c.stored)
				}
				if faults.Hits()[fault] != 1 {
					t.Errorf("hits: %v", faults.Hits())
				}
				faults.Set(sqstest.FaultPlan{})
				if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")}); err != nil {
					t.Errorf("with the faults off: %v", err)
				}
			})
		})
	}
}

// kmsErrors are those of encrypted queues, by their names (AWS's model of SQS).
var kmsErrors = map[string]sqstest.Error{
	"KmsAccessDenied":    {Name: "KmsAccessDenied", Code: "KMS.AccessDeniedException", Status: 400},
	"KmsDisabled":        {Name: "KmsDisabled", Code: "KMS.DisabledException", Status: 400},
	"KmsInvalidKeyUsage": {Name: "KmsInvalidKeyUsage", Code: "KMS.InvalidKeyUsageException", Status: 400},
	"KmsInvalidState":    {Name: "KmsInvalidState", Code: "KMS.InvalidStateException", Status: 400},
	"KmsNotFound":        {Name: "KmsNotFound", Code: "KMS.NotFoundException", Status: 400},
	"KmsOptInRequired":   {Name: "KmsOptInRequired", Code: "KMS.OptInRequired", Status: 403},
	"KmsThrottled":       {Name: "KmsThrottled", Code: "KMS.ThrottlingException", Status: 400},
}

// A refusal has the Go type of its name, and the code of the query protocol, as
// the AWS client makes them of the real service's answers.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults, client, url := faulty(t)
		got := map[string]error{}
		for name, refusal := range kmsErrors {
			faults.Set(sqstest.FaultPlan{Refuse: 1, Refusal: refusal})
			_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != refusal.Code {
				t.Errorf("%s: got %v, want the code %s", name, err, refusal.Code)
			}
			got[name] = err
		}
		is[*types.KmsAccessDenied](t, got["KmsAccessDenied"])
		is[*types.KmsDisabled](t, got["KmsDisabled"])
		is[*types.KmsInvalidKeyUsage](t, got["KmsInvalidKeyUsage"])
		is[*types.KmsInvalidState](t, got["KmsInvalidState"])
		is[*types.KmsNotFound](t, got["KmsNotFound"])
		is[*types.KmsOptInRequired](t, got["KmsOptInRequired"])
		is[*types.KmsThrottled](t, got["KmsThrottled"])
	})
}

func TestFaultsOfEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults, client, url := faulty(t)
		faults.Set(sqstest.FaultPlan{Entry: 0.5})
		failed, stored := 0, 0
		for range 20 {
			var entries []types.SendMessageBatchRequestEntry
			for i := range 10 {
				entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("x")})
			}
			out, err := client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Failed)+len(out.Successful) != 10 {
				t.Fatalf("%d results for 10 entries", len(out.Failed)+len(out.Successful))
			}
			for _, f := range out.Failed {
				if f.SenderFault {
					t.Error("an injected fault is said to be the sender's")
				}
			}
			failed += len(out.Failed)
			stored += len(out.Successful)
		}
		if failed < 50 || stored < 50 || faults.Hits()[sqstest.FaultEntry] != failed {
			t.Errorf("%d failed, %d stored, hits %v", failed, stored, faults.Hits())
		}
		if got := depth(t, client, url); got != stored {
			t.Errorf("%d messages are stored, want %d", got, stored)
		}
	})
}

// faulty is a memory server with a queue, and no faults yet.
func faulty(t *testing.T) (*sqstest.Faults, *sqs.Client, string) {
	t.Helper()
	faults := sqstest.NewFaults(1, sqstest.FaultPlan{})
	srv := sqstest.NewMemoryServer(&sqstest.Options{Wrap: faults.Wrap})
	t.Cleanup(srv.Close)
	client := srv.Client(func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} })
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		t.Fatal(err)
	}
	return faults, client, *made.QueueUrl
}

func depth(t *testing.T, client *sqs.Client, url string) int {
	t.Helper()
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscan(out.Attributes["ApproximateNumberOfMessages"], &n); err != nil {
		t.Fatal(err)
	}
	return n
}
