package sqsbroker

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// quickEndpoint answers at once and keeps the request.
type quickEndpoint struct{ request *http.Request }

func (e *quickEndpoint) Do(req *http.Request) (*http.Response, error) {
	e.request = req
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(`{"QueueUrl":"http://sqs/1/jobs"}`)), Request: req,
	}, nil
}

// A transport that looks, after the answer, whether more of a request's body
// follows, is told that none does.
func TestBodiesEndQuietly(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // takes a client of the AWS SDK's own
	endpoint := &quickEndpoint{}
	b, err := Connect(t.Context(), nil,
		config.WithRegion("us-east-1"), config.WithHTTPClient(endpoint), config.WithBaseEndpoint("http://sqs"),
		config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.EnsureQueue(t.Context(), "jobs", QueueOptions{}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, endpoint.request.Body); n != 0 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
