package containers_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/containers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(containers.Main{M: m})
}

func TestNATSAnswers(t *testing.T) {
	nc := connect(t, containers.NATS(t))
	if _, err := nc.RTT(); err != nil {
		t.Fatal("round trip:", err)
	}
}

func TestNATSTakesArguments(t *testing.T) {
	nc := connect(t, containers.NATS(t, "-js"))
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AccountInfo(); err != nil {
		t.Error("started with -js, JetStream answers:", err)
	}
}

func TestServersAreShared(t *testing.T) {
	const callers = 4
	urls := make(chan string, callers)
	t.Run("callers", func(t *testing.T) {
		for range callers {
			t.Run("parallel", func(t *testing.T) {
				t.Parallel()
				urls <- containers.NATS(t, "-m", "8222")
			})
		}
	})
	close(urls)
	first := containers.NATS(t, "-m", "8222")
	for url := range urls {
		if url != first {
			t.Errorf("equal arguments gave two servers, %s and %s", first, url)
		}
	}
	if other := containers.NATS(t, "-js"); other == first {
		t.Errorf("other arguments gave the same server %s", other)
	}
}

func TestElasticMQAnswers(t *testing.T) { queueAppears(t, containers.ElasticMQ(t)) }

func TestMotoAnswers(t *testing.T) { queueAppears(t, containers.Moto(t)) }

// A server that cannot be had skips the test, which says how to get it, and
// fails it where integration is required. Seen in further runs of this binary
// that ask for an image from a registry that is not there, so the test is worth
// the same with Docker and without.
func TestUnavailable(t *testing.T) {
	const hint = "docs.docker.com"
	tests := []struct {
		integration string
		passes      bool
		says        []string
	}{
		{"", true, []string{"--- SKIP", hint}},
		{"require", false, []string{"--- FAIL", "INTEGRATION=require"}},
		{"maybe", false, []string{"--- FAIL", `INTEGRATION="maybe"`}},
	}
	for _, tt := range tests {
		t.Run("INTEGRATION="+tt.integration, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNATSAnswers$", "-test.v")
			cmd.Env = append(os.Environ(), "INTEGRATION="+tt.integration, "NATS_IMAGE=localhost:1/absent:0")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := err == nil; got != tt.passes {
				t.Errorf("passed = %v, want %v", got, tt.passes)
			}
			for _, want := range tt.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("output lacks %q", want)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
		})
	}
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatalf("connect %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// queueAppears creates a queue through the real client and finds it listed.
func queueAppears(t *testing.T, endpoint string) {
	t.Helper()
	const name = "answers"
	httpClient := awshttp.NewBuildableClient().WithTimeout(30 * time.Second)
	t.Cleanup(httpClient.GetTransport().CloseIdleConnections)
	client := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   httpClient,
	})
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name)}); err != nil {
		t.Fatalf("create queue at %s: %v", endpoint, err)
	}
	list, err := client.ListQueues(t.Context(), new(sqs.ListQueuesInput))
	if err != nil {
		t.Fatal("list queues:", err)
	}
	named := func(url string) bool { return strings.HasSuffix(url, "/"+name) }
	if !slices.ContainsFunc(list.QueueUrls, named) {
		t.Errorf("queues %v lack %q", list.QueueUrls, name)
	}
}
