package sqstest_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// TestRulesElsewhere runs the same rules against another endpoint, an emulator
// of somebody else's, and prints where it differs; rules that take more than a
// few seconds are left out. All queues of that endpoint are deleted.
//
//	SQSTEST_ENDPOINT=http://127.0.0.1:9324 SQSTEST_REGION=elasticmq SQSTEST_ACCOUNT=000000000000 \
//		go test -run TestRulesElsewhere -v ./sqsbroker/sqstest
func TestRulesElsewhere(t *testing.T) {
	endpoint := os.Getenv("SQSTEST_ENDPOINT")
	if endpoint == "" {
		t.Skip("set SQSTEST_ENDPOINT to run the rules against another endpoint")
	}
	e := env{
		endpoint: endpoint, region: cmp.Or(os.Getenv("SQSTEST_REGION"), "us-east-1"),
		account: cmp.Or(os.Getenv("SQSTEST_ACCOUNT"), "123456789012"),
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	e.web = &http.Client{Transport: transport}
	e.c = sqs.New(sqs.Options{
		BaseEndpoint: &e.endpoint, Region: e.region, HTTPClient: e.web, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	e.t = t
	e.deleteQueues() // before anything is said of an endpoint that does not answer
	var table strings.Builder
	counts := make(map[string]int)
	for _, c := range chapters() {
		for _, r := range c.rules {
			result := "agrees"
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				one := e
				one.t = t
				defer func() {
					if p := recover(); p != nil { // a message that must be there was not
						t.Errorf("panic: %v", p)
					}
					switch {
					case t.Skipped():
						result = "left out"
					case t.Failed():
						result = "DIFFERS"
						fmt.Fprintf(&table, "%s: %s [%s]\n", c.name, r.says, r.source)
					}
				}()
				one.deleteQueues()
				r.test(t, &one)
			})
			counts[result]++
		}
	}
	t.Logf("%s: %d rules agree, %d differ, %d were left out; it differs in:\n%s",
		endpoint, counts["agrees"], counts["DIFFERS"], counts["left out"], table.String())
}

func (e *env) deleteQueues() {
	e.t.Helper()
	all, err := e.c.ListQueues(e.t.Context(), &sqs.ListQueuesInput{})
	e.ok("ListQueues", err)
	for _, url := range all.QueueUrls {
		_, err := e.c.DeleteQueue(e.t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url})
		e.ok("DeleteQueue", err)
	}
}
