package sqsbroker

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// A URL of another region is not the queue of its name in the client's: the
// host is not called, so SQS could not tell.
func TestURLOfAnotherRegion(t *testing.T) {
	const path = "/123456789012/jobs"
	for _, c := range []struct {
		client, url, endpoint string
		refused               bool
	}{
		{"us-east-1", "https://sqs.us-east-1.amazonaws.com", "", false},
		{"us-east-1", "https://sqs.eu-west-1.amazonaws.com", "", true},
		{"us-east-1", "https://SQS.eu-west-1.amazonaws.com:443", "", true},
		{"us-east-1", "https://us-east-1.queue.amazonaws.com", "", false},
		{"us-east-1", "https://eu-west-1.queue.amazonaws.com", "", true},
		{"us-east-1", "https://sqs-fips.us-west-2.amazonaws.com", "", true},
		{"us-east-1", "https://sqs.us-west-2.api.aws", "", true},
		{"cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn", "", false},
		{"cn-north-1", "https://sqs.cn-northwest-1.amazonaws.com.cn", "", true},
		// What does not tell its region, or a client that has its own endpoint.
		{"us-east-1", "https://queue.amazonaws.com", "", false},
		{"us-east-1", "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", "", false},
		{"us-east-1", "http://localhost:9324", "", false},
		{"us-east-1", "https://sqs.eu-west-1.amazonaws.com", "http://localhost:9324", false},
		{"", "https://sqs.eu-west-1.amazonaws.com", "", false},
	} {
		o := sqs.Options{Region: c.client}
		if c.endpoint != "" {
			o.BaseEndpoint = aws.String(c.endpoint)
		}
		b, err := New(sqs.New(o), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, named := b.find(c.url + path)
		_, table := New(sqs.New(o), &Options{Queues: map[string]string{"jobs": c.url + path}})
		for _, err := range []error{named, table} {
			field, _ := errors.AsType[*broker.FieldError](err)
			if (field != nil) != c.refused || err != nil && !c.refused {
				t.Errorf("%s from %q, endpoint %q: got %v, want refused %v", c.url, c.client, c.endpoint, err, c.refused)
			}
		}
	}
}
