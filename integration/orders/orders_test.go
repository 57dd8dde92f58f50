// Package orders runs the quick start on real brokers in containers and
// compares what it prints with the golden files of the example.
package orders

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestOrdersOnNATS(t *testing.T) {
	compare(t, containers.NATS(t), "golden-nats.txt")
}

func TestOrdersOnJetStream(t *testing.T) {
	compare(t, strings.Replace(containers.NATS(t, "-js"), "nats://", "jetstream://", 1), "golden-jetstream.txt")
}

func TestOrdersOnElasticMQ(t *testing.T) {
	compare(t, "sqs://integration?region=us-east-1&endpoint="+containers.ElasticMQ(t), "golden-elasticmq.txt")
}

// compare runs the program as the README says.
func compare(t *testing.T, broker, golden string) {
	t.Helper()
	root := filepath.Join("..", "..")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/orders", "-broker", broker)
	cmd.Dir = root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd, err, stdout.String(), stderr.String())
	}
	want, err := os.ReadFile(filepath.Join(root, "examples", "orders", "testdata", golden))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", stdout.String())
	if got := stdout.Bytes(); !bytes.Equal(got, want) {
		t.Errorf("differs from %s:\n%s", golden, got)
	}
}
