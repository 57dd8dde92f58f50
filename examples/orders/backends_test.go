package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func TestNATS(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	got := runOrders(t.Context(), "", "-broker", s.ClientURL())
	if got.code != exitOK || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q; want 0 and nothing", got.code, got.stderr)
	}
	checkGolden(t, "golden-nats.txt", got.stdout)
}

func TestJetStream(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	got := runOrders(t.Context(), "", "-broker", "jetstream"+strings.TrimPrefix(s.ClientURL(), "nats"))
	if got.code != exitOK || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q; want 0 and nothing", got.code, got.stderr)
	}
	checkGolden(t, "golden-jetstream.txt", got.stdout)
	if info, err := s.Jsz(nil); err != nil || info.Streams != 0 {
		t.Errorf("%+v, error %v; want no streams left", info, err)
	}
}

func TestSQS(t *testing.T) {
	withoutAWS(t)
	endpoint := sqstest.NewServer(nil)
	defer endpoint.Close()
	query := url.Values{"endpoint": {endpoint.URL()}, "region": {"eu-central-1"}}
	got := runOrders(t.Context(), "", "-broker", "sqs://test?"+query.Encode())
	if got.code != exitOK || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q; want 0 and nothing", got.code, got.stderr)
	}
	checkGolden(t, "golden-sqs.txt", got.stdout)

	left, err := endpoint.Client().ListQueues(t.Context(), nil)
	if err != nil || len(left.QueueUrls) > 0 {
		t.Errorf("queues %v, error %v; want none left", left.QueueUrls, err)
	}
}

// withoutAWS keeps the machine's own AWS settings out of a test.
func withoutAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}
