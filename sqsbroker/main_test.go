package sqsbroker

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(endpointProcess) != "" {
		serveEndpoint()
		return
	}
	goleak.VerifyTestMain(m)
}
