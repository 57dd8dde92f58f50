// Package roles proves the compile-time half of the SDK's honesty: each
// backend has the roles whose promise it keeps, and code that asks for another
// one does not compile.
package roles

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var allRoles = []string{
	"Publisher", "Subscriber", "Describer", "Broker", "Requester", "Responder", "Gatherer", "Receiver", "Flusher", "Pinger",
	"HealthReporter",
}

// has lists the roles of each backend; those that it does not list must not
// compile.
var has = map[string][]string{
	"*natsbroker.Broker":    coreNATS,
	"*memory.CoreNATS":      coreNATS,
	"*natsbroker.JetStream": jetStream,
	"*memory.JetStream":     jetStream,
	"*sqsbroker.Broker":     append([]string{"Receiver"}, every...),
	"*memory.SQS":           append([]string{"Receiver"}, every...),
}

var (
	every     = []string{"Publisher", "Subscriber", "Describer", "Broker", "Pinger", "HealthReporter"}
	coreNATS  = append([]string{"Requester", "Responder", "Gatherer", "Flusher"}, every...)
	jetStream = append([]string{"Receiver", "Flusher"}, every...)
)

func TestBackendsHaveExactlyTheirRoles(t *testing.T) {
	var lines []string // assignments of a backend to a role
	want := map[int]bool{}
	for backend, roles := range has {
		for _, role := range allRoles {
			want[len(lines)] = slices.Contains(roles, role)
			lines = append(lines, fmt.Sprintf("var _ broker.%s = (%s)(nil)", role, backend))
		}
	}
	refused := compile(t, lines)
	for i, line := range lines {
		if message := refused[i]; want[i] != (message == "") {
			t.Errorf("%s\n\tcompiles: %v, want %v %s", line, message == "", want[i], message)
		}
	}
}

// What a user writes by mistake, and what the compiler says.
func TestMistakesDoNotCompile(t *testing.T) {
	lines := []string{
		`func _(b *sqsbroker.Broker) { ask := func(broker.Requester) {}; ask(b) }`,
		`func _(b *natsbroker.Broker) { work := func(broker.Receiver) {}; work(b) }`,
		`func _(b *memory.JetStream) { ask := func(broker.Requester) {}; ask(b) }`,
		`var _ broker.SubscribeOption = broker.Wait(1)`,
		`var _ broker.ReceiveOption = broker.Group("g")`,
	}
	says := []string{"missing method Request", "missing method Delete", "missing method Request", "missing method SubscribeOption", "missing method ReceiveOption"}
	refused := compile(t, lines)
	for i, line := range lines {
		if !strings.Contains(refused[i], says[i]) {
			t.Errorf("%s\n\tthe compiler says %q, want %q", line, refused[i], says[i])
		}
	}
}

// compile compiles the lines in one file and returns the compiler's complaint
// about each that it refuses.
func compile(t *testing.T, lines []string) map[int]string {
	t.Helper()
	head := []string{
		"package main", "import (",
		`"github.com/candidmq/candidmq/broker"`,
		`"github.com/candidmq/candidmq/memory"`,
		`"github.com/candidmq/candidmq/natsbroker"`,
		`"github.com/candidmq/candidmq/sqsbroker"`,
		")",
		"var _ *memory.SQS; var _ *natsbroker.Broker; var _ *sqsbroker.Broker",
		"func main() {}",
	}
	file := filepath.Join(t.TempDir(), "main.go")
	text := strings.Join(append(slices.Clone(head), lines...), "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-o", os.DevNull, file).CombinedOutput()
	if err == nil {
		return nil
	}
	complaint := regexp.MustCompile(`(?m)main\.go:(\d+):\d+: (.*(?:\n\t.*)*)`)
	refused := map[int]string{}
	for _, m := range complaint.FindAllStringSubmatch(string(out), -1) {
		line, err := strconv.Atoi(m[1])
		if err != nil || line <= len(head) {
			t.Fatalf("the file itself does not compile:\n%s", out)
		}
		refused[line-len(head)-1] = m[2]
	}
	if len(refused) == 0 {
		t.Fatalf("go build failed for another reason: %v\n%s", err, out)
	}
	return refused
}
