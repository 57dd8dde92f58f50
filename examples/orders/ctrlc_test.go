//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// process is the program in a process of its own.
type process struct {
	*exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *bufio.Reader
	read           strings.Builder // of stdout, by await
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.Env = append(os.Environ(), runAsOrders+"=1")
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout, p.stderr = stdin, bufio.NewReader(stdout), bufio.NewReader(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// await reads stdout up to a line that begins with prefix.
func (p *process) await(t *testing.T, prefix string) {
	t.Helper()
	for {
		line, err := p.stdout.ReadString('\n')
		p.read.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return
		}
		if err != nil {
			t.Fatalf("no line %q: %v\n%s", prefix, err, p.read.String())
		}
	}
}

// interrupt presses Ctrl-C, and returns when the program has noticed.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	p.stop(t, os.Interrupt)
}

// stop sends the first signal, and returns when the program has noticed.
func (p *process) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	p.signal(t, sig)
	line, err := p.stderr.ReadString('\n')
	if line != interruptNotice+"\n" {
		t.Fatalf("stderr %q, error %v; want %q", line, err, interruptNotice)
	}
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// finish reads the rest and returns how the process ended. Nothing more may
// come on stderr.
func (p *process) finish(t *testing.T) (stdout string, state *os.ProcessState) {
	t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	told, err := io.ReadAll(p.stderr)
	if err != nil || len(told) > 0 {
		t.Errorf("stderr %q, error %v; want nothing", told, err)
	}
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.read.String() + string(rest), p.ProcessState
}

// Ctrl-C, or an orchestrator's signal, while orders are processed.
func TestCtrlC(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			p := startProcess(t, "-work", "100ms") // 30 s for the FIFO queue
			p.await(t, "3. ")
			p.stop(t, sig)
			stdout, state := p.finish(t)
			checkInterrupted(t, state.ExitCode(), stdout)
		})
	}
}

// Ctrl-C while the program waits for input.
func TestCtrlCReading(t *testing.T) {
	p := startProcess(t, "-in", "-")
	defer func() { _ = p.stdin.Close() }() // only once the process has ended
	// More than a pipe holds: Write returns once the program reads.
	if _, err := io.WriteString(p.stdin, someOrders+strings.Repeat("\n", 1<<17)); err != nil {
		t.Fatal(err)
	}
	p.interrupt(t)
	stdout, state := p.finish(t)
	checkInterrupted(t, state.ExitCode(), stdout)
	if !strings.Contains(stdout, "2 orders read") {
		t.Errorf("stdout:\n%s", stdout)
	}
}

// A second Ctrl-C does not wait for anything, such as a server that does not
// answer.
func TestSecondCtrlC(t *testing.T) {
	withoutAWS(t)
	sending, release := make(chan struct{}, 2*len(workQueues)), make(chan struct{})
	endpoint := sqstest.NewServer(&sqstest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Amz-Target") == "AmazonSQS.SendMessage" {
				sending <- struct{}{}
				<-release
			}
			next.ServeHTTP(w, r)
		})
	}})
	defer endpoint.Close()
	defer close(release)
	p := startProcess(t, "-broker", "sqs://test?endpoint="+url.QueryEscape(endpoint.URL()))
	<-sending
	p.interrupt(t)
	p.signal(t, os.Interrupt)
	_, state := p.finish(t)
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended by %v, want the signal", state)
	}
}
