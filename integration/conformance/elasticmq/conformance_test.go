// Package elasticmq runs the conformance suite on elasticmq in a container.
package elasticmq

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/conformance"
	"github.com/candidmq/candidmq/integration/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestConformance(t *testing.T) {
	conformance.RunSQS(t, conformance.Server{
		Name:     "elasticmq",
		Endpoint: containers.ElasticMQ(t),
		Absent: map[string][]string{
			"standard": {"retention", "atRest", "publish.maxMessage", "publish.maxHeaderSize"},
			"fifo":     {"retention", "atRest", "publish.maxMessage", "publish.maxHeaderSize", "publish.dedupScope", "publish.rateScope"},
		},
	})
}
