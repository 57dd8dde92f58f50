package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the program and returns its endpoint, what it printed, and a
// function that ends it.
func start(t *testing.T, args ...string) (endpoint, printed string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), w)
		_ = w.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewScanner(r)
	for !strings.HasPrefix(lines.Text(), "queues") {
		if !lines.Scan() {
			t.Fatalf("ended early: %v", lines.Err())
		}
		printed += lines.Text() + "\n"
		if url, ok := strings.CutPrefix(lines.Text(), "SQS endpoint"); ok {
			endpoint = strings.TrimSpace(url)
		}
	}
	return endpoint, printed, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func TestProgram(t *testing.T) {
	endpoint, printed, stop := start(t, "-queue", "jobs", "-queue", "orders.fifo", "-virtual", "-region", "eu-north-1")
	defer stop()
	for _, want := range []string{"eu-north-1", "jobs orders.fifo", "StartMessageMoveTask", "AWS JSON 1.0"} {
		if !strings.Contains(printed, want) {
			t.Errorf("printed without %q: %s", want, printed)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport}
	c := sqs.New(sqs.Options{
		BaseEndpoint: &endpoint, Region: "eu-north-1", HTTPClient: web,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	url := aws.String(endpoint + "/123456789012/jobs")
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0, 1} { // received, invisible, visible again
		if i == 2 {
			if got := advanceBy(t, web, endpoint, "30s"); got != http.StatusOK {
				t.Fatalf("advance: status %d", got)
			}
		}
		got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
		if err != nil || len(got.Messages) != want {
			t.Fatalf("receive %d: got %v, %v, want %d messages", i, got, err, want)
		}
	}
	for _, bad := range []string{"", "soon", "-1s"} {
		if got := advanceBy(t, web, endpoint, bad); got != http.StatusBadRequest {
			t.Errorf("advance by %q: status %d", bad, got)
		}
	}
}

func advanceBy(t *testing.T, web *http.Client, endpoint, by string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/_sqstest/advance?by="+by, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"argument"}, {"-queue", "a b"}, {"-addr", "nowhere:x"}, {"-worst-case", "-1"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
