package memory_test

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

var histories = flag.Int("histories", 500, "random histories for each contract; a run of its own takes 10,000")

// checkHistories runs random histories, each in a bubble of its own, and fails
// with the smallest one that run finds a fault in. -rapid.seed repeats a run.
func checkHistories[H any](t *testing.T, of *rapid.Generator[H], run func(*testing.T, H) error) {
	t.Helper()
	seed := setUpRapid(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := of.Draw(rt, "history")
		var fault error
		synctest.Test(t, func(t *testing.T) { fault = run(t, h) })
		if fault != nil {
			rt.Fatal(fault)
		}
	})
	t.Logf("%d histories, -rapid.seed=%s", *histories, seed)
}

// setUpRapid sets the number of histories, and a seed unless one was given.
func setUpRapid(t *testing.T) (seed string) {
	t.Helper()
	set := func(name, value string) {
		old := flag.Lookup(name).Value.String()
		must(t, flag.Set(name, value))
		t.Cleanup(func() { must(t, flag.Set(name, old)) })
	}
	seed = flag.Lookup("rapid.seed").Value.String()
	if seed == "0" {
		seed = strconv.FormatUint(1+rand.Uint64N(1<<32), 10)
	}
	set("rapid.seed", seed)
	set("rapid.checks", strconv.Itoa(*histories))
	return seed
}

// finds returns the fault that run finds in the first history that shows one,
// of at most 500, and how many it took.
func finds[H any](t *testing.T, of *rapid.Generator[H], run func(*testing.T, H) error) (after int, fault error) {
	t.Helper()
	for i := range 500 {
		h := of.Example(i)
		synctest.Test(t, func(t *testing.T) { fault = run(t, h) })
		if fault != nil {
			return i + 1, fault
		}
	}
	return 500, nil
}
