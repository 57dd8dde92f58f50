package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

// runAsOrders makes the test binary be the program, for the tests that need a
// process of their own.
const runAsOrders = "RUN_AS_ORDERS"

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if os.Getenv(runAsOrders) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// result is what one run did.
type result struct {
	code           int
	stdout, stderr string
}

func runOrders(ctx context.Context, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// checkGolden compares with a file in testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the output differs from %s (go test -update writes it anew):\n%s", path, got)
	}
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := runOrders(t.Context(), "")
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("exit code %d, stderr %q; want 0 and nothing", got.code, got.stderr)
		}
		checkGolden(t, "golden-memory.txt", got.stdout)
	})
}

const someOrders = `{"id":"1","customer":"c","item":"enamel-mug","quantity":1}

{"id":"2","customer":"c","item":"enamel-mug","quantity":1,"fails":"once"}
`

func TestExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.ndjson")
	if err := os.WriteFile(file, []byte(someOrders), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		stdin  string
		code   int
		stdout string // a part of it
		stderr string
	}{
		{"stdin", []string{"-in", "-"}, someOrders, exitOK, "2 orders read", ""},
		{"file", []string{"-in", file, "-strict"}, "", exitOK, "2 orders read", ""},
		{"no file", []string{"-in", file + ".gone"}, "", exitFailed, "", "no such file"},
		{"nothing", []string{"-in", "-", "-strict"}, "", exitOK, "\n0 orders unaccounted for", ""},
		{"malformed", []string{"-in", "-"}, someOrders + "{", exitOK, "line 4 is malformed: not an order in JSON: unexpected end", ""},
		{"strict", []string{"-in", "-", "-strict"}, "\n[]\n" + someOrders, exitFailed, "line 2 is malformed: not an order in JSON", ""},
		{"help", []string{"-h"}, "", exitOK, "", "sqs://PREFIX"},
		{"flag", []string{"-wat"}, "", exitUsage, "", "-wat"},
		{"argument", []string{"file"}, "", exitUsage, "", `invalid argument "file": want flags only`},
		{"work", []string{"-work", "-1s"}, "", exitUsage, "", `invalid -work "-1s"`},
		{"scheme", []string{"-broker", "kafka://h"}, "", exitUsage, "", `invalid -broker scheme "kafka": want one of jetstream, memory, nats, sqs`},
		{"parameter", []string{"-broker", "sqs://?endpiont=x"}, "", exitUsage, "", `invalid -broker parameter "endpiont"`},
		{"jetstream without a host", []string{"-broker", "jetstream:"}, "", exitUsage, "", "jetstream://HOST:PORT"},
		{"unreachable", []string{"-in", file, "-broker", "nats://127.0.0.1:1"}, "", exitFailed, "2 orders read", "nats connect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runOrders(t.Context(), test.stdin, test.args...)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d", got.code, test.code)
			}
			if !strings.Contains(got.stdout, test.stdout) {
				t.Errorf("stdout without %q:\n%s", test.stdout, got.stdout)
			}
			if !strings.Contains(got.stderr, test.stderr) || test.stderr == "" && got.stderr != "" {
				t.Errorf("stderr %q, want %q in it", got.stderr, test.stderr)
			}
		})
	}
}

// An order that no queue takes is told and counted, and the others go on.
func TestTooLargeForQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := `{"id":"big","customer":"c","item":"enamel-mug","quantity":1,"note":"` + strings.Repeat("x", 1<<20-200) + "\"}\n"
		tooBig := strings.Replace(big, `"note":"`, `"note":"`+strings.Repeat("y", 400), 1)
		got := runOrders(t.Context(), someOrders+big, "-in", "-")
		if got.code != exitOK || !strings.Contains(got.stdout, "orders: 3 orders processed") {
			t.Errorf("an order of %d bytes: exit code %d\n%s%s", len(big), got.code, got.stdout, got.stderr)
		}
		got = runOrders(t.Context(), someOrders+tooBig, "-in", "-")
		if !strings.Contains(got.stderr, "orders.fifo: order big not published") {
			t.Errorf("an order of %d bytes: stderr %q", len(tooBig), got.stderr)
		}
		if !strings.Contains(got.stdout, "orders: 2 orders processed") {
			t.Errorf("the other orders were not processed:\n%s", got.stdout)
		}
	})
}
