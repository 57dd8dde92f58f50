package brokertest

import (
	"maps"
	"slices"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// Unobserved returns the facts that no case can observe, by name, each with the
// reason. They are [Cited], and where possible compared with observed facts.
func Unobserved() map[string]string { return maps.Clone(unobserved) }

var unobserved = map[string]string{
	"durability":           "a server would have to die; compared with what is kept",
	"replicas":             "a node of a cluster would have to die; compared with what is kept",
	"whenFull":             "no destination of the harness is ever full; compared with what is kept",
	"atRest":               "encryption is not visible from outside; echoed where it can be set",
	"inTransit":            "it is a property of the connection that the harness made",
	"publish.rateScope":    "no server that the suite runs on limits a rate; compared with the order, echoed where it can be set",
	"publish.schedule":     "no role schedules yet",
	"publish.maxBatch":     "PublishBatch splits, so that a native call is not visible; a batch of any length is seen to be sent",
	"publish.maxBatchSize": "as publish.maxBatch; a batch of any size is seen to be sent",
}

// checkCoverage reports a fact that neither a case nor unobserved covers, and
// names of facts that do not exist.
func checkCoverage(t *testing.T) {
	covered := map[string]int{}
	for _, c := range Cases() {
		for _, f := range c.Fields {
			covered[f]++
		}
	}
	names := map[string]bool{}
	for _, f := range facts(broker.Semantics{}) {
		names[f.name] = true
		if covered[f.name] == 0 && unobserved[f.name] == "" {
			t.Errorf("no case proves %s", f.name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(covered)), slices.Collect(maps.Keys(unobserved))) {
		if !names[name] {
			t.Errorf("there is no fact %s", name)
		}
	}
	t.Logf("%d facts, %d of them cited only: %q", len(names), len(unobserved), slices.Sorted(maps.Keys(unobserved)))
}
