// Package boto3 runs the SQS endpoint of this project under the AWS SDK of
// another language.
package boto3

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// version is the one that this test was written with.
const version = "boto3==1.44.5"

func TestBoto3(t *testing.T) {
	python := install(t)
	srv := sqstest.NewServer(nil)
	t.Cleanup(srv.Close)
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "queues.py"), srv.URL()).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "ok "); n < 19 {
		t.Errorf("only %d checks were made", n)
	}
}

// install makes a Python environment with boto3, once for a machine. Without
// Python or its packages the test is skipped, or fails where integration tests
// are required.
func install(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(cache, "candidmq-"+version)
	python := filepath.Join(env, "bin", "python")
	if exec.CommandContext(t.Context(), python, "-c", "import boto3").Run() == nil {
		return python
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", env},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", version},
	} {
		if out, err := command(t.Context(), args).CombinedOutput(); err != nil {
			const how = "needs Python 3 with venv, and boto3 from PyPI"
			if os.Getenv("INTEGRATION") == "require" {
				t.Fatalf("%s: %v: %v\n%s", how, args, err, out)
			}
			t.Skipf("%s: %v: %v", how, args, err)
		}
	}
	return python
}

func command(ctx context.Context, args []string) *exec.Cmd {
	return exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the commands above
}
