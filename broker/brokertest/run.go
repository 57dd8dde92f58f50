package brokertest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// Result is what became of one case on one backend.
type Result struct {
	Case string
	// Proof is how far the case went; "" if it was not run or failed.
	Proof Proof
	// Skipped is why it was not run, "" if it was.
	Skipped string
	Failed  bool
}

// Run runs all cases on a backend, each as a subtest named by its group and its
// own name, and returns what became of them; a case that the flag -run left out
// is not among the results. It reports a fact of Describe that no case covers.
func Run(t *testing.T, h Harness) []Result {
	t.Helper()
	t.Run("coverage", checkCoverage)
	var results []Result
	all := Cases()
	for len(all) > 0 {
		group := all[0].Group()
		n := 0
		for n < len(all) && all[n].Group() == group {
			n++
		}
		members := all[:n]
		t.Run(group, func(t *testing.T) {
			for _, c := range members {
				results = append(results, runSubtest(t, c, h)...)
			}
		})
		all = all[n:]
	}
	return results
}

// runSubtest returns no result if the subtest did not run.
func runSubtest(t *testing.T, c Case, h Harness) (results []Result) {
	t.Helper()
	t.Run(strings.TrimPrefix(c.Name, c.Group()+"/"), func(t *testing.T) {
		r := Result{Case: c.Name}
		defer func() {
			r.Failed = t.Failed()
			if !r.Failed && r.Skipped == "" {
				r.Proof = c.ProofOn(h)
			}
			results = append(results, r)
		}()
		if h.Virtual {
			synctest.Test(t, func(t *testing.T) { c.runOn(t, h, &r) })
		} else {
			c.runOn(t, h, &r)
		}
		if r.Skipped != "" {
			t.SkipNow() // the bubble's own skip does not reach t
		}
	})
	return results
}

// runOn runs the case and writes to r why it was skipped, if it was.
func (c Case) runOn(tb testing.TB, h Harness, r *Result) {
	tb.Helper()
	h.setDefaults()
	e := &env{TB: tb, h: &h, c: &c, result: r}
	switch {
	case h.Skip[c.Name] != "":
		e.Skipf("%s", h.Skip[c.Name])
	case !h.Roles.has(c.needs):
		e.Skipf("the backend has no such role")
	case c.virtual && !h.Virtual:
		e.Skipf("it waits for longer than real time allows")
	case c.worst && h.Worst == nil:
		e.Skipf("the backend has no mode in which it plays the worst of its contract")
	}
	open := h.Open
	if c.worst {
		open = h.Worst
	}
	e.b = open(tb)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), h.Patience)
		defer cancel()
		_ = e.b.Close(ctx) // what Close must do, the group lifecycle checks
	})
	c.run(e)
}
