// Package natscli proves that natsbroker and the nats command-line tool, which
// is not ours, understand each other.
//
// The tool is installed from its module, at the version below, which takes half
// a minute the first time; NATS_CLI names a binary to use in its place.
package natscli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

const module = "github.com/nats-io/natscli/nats@v0.5.1"

func TestMain(m *testing.M) { goleak.VerifyTestMain(main{containers.Main{M: m}}) }

// main removes the tool at the end.
type main struct{ containers.Main }

func (m main) Run() int {
	code := m.Main.Run()
	if tool.dir == "" {
		return code
	}
	if err := os.RemoveAll(tool.dir); err != nil {
		fmt.Fprintln(os.Stderr, "natscli:", err)
		return max(code, 1)
	}
	return code
}

// tool is the binary, installed once.
var tool struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func install() {
	if tool.path = os.Getenv("NATS_CLI"); tool.path != "" {
		return
	}
	if tool.dir, tool.err = os.MkdirTemp("", "natscli"); tool.err != nil {
		return
	}
	cmd := exec.Command("go", "install", module)
	// Not this module's requirements, but the tool's own.
	cmd.Env = append(os.Environ(), "GOBIN="+tool.dir, "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		tool.err = fmt.Errorf("go install %s: %w\n%s", module, err, out)
	}
	tool.path = filepath.Join(tool.dir, "nats")
}

// patience bounds what a test waits for. It is reached by failures only.
const patience = time.Minute

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// cli is the tool, talking to one server.
type cli struct {
	url    string
	config string // empty: no contexts of the machine's user
}

// start skips the test where there is no Docker, or no tool.
func start(t *testing.T) *cli {
	t.Helper()
	c := &cli{url: containers.NATS(t, "-js"), config: t.TempDir()}
	tool.once.Do(install)
	switch {
	case tool.err == nil:
	case os.Getenv("INTEGRATION") == "require":
		t.Fatal(tool.err)
	default:
		t.Skipf("there is no nats tool; NATS_CLI may name one: %v", tool.err)
	}
	return c
}

func (c *cli) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, tool.path, append([]string{"--server", c.url}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+c.config, "NATS_URL=", "NATS_CONTEXT=")
	return cmd
}

// run returns what the tool prints, headers of replies and hints included.
func (c *cli) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.command(soon(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nats %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// background runs the tool until it ends by itself, or the test does.
func (c *cli) background(t *testing.T, args ...string) (output func() string, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all bytes.Buffer
	cmd := c.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &all, &all
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its output tells
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() string { <-ended; return all.String() }, ended
}

func (c *cli) core(t *testing.T) *natsbroker.Broker {
	t.Helper()
	b, err := natsbroker.Connect(soon(t), c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	return b
}

func (c *cli) jetStream(t *testing.T) *natsbroker.JetStream {
	t.Helper()
	j, err := natsbroker.ConnectJetStream(soon(t), c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, j)
	return j
}

func closeAtEnd(t *testing.T, b broker.Broker) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// until tries again while nobody listens yet.
func until[T any](t *testing.T, try func() (T, error)) T {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		v, err := try()
		if err == nil {
			return v
		}
		if !errors.Is(err, broker.ErrNoResponders) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// has fails the test for each text that the tool did not print.
func has(t *testing.T, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("the tool does not print %q, but:\n%s", text, output)
		}
	}
}
