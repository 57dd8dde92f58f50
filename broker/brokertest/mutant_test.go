package brokertest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker/brokertest"
)

// mutant is a broken backend, and the case that is meant for it.
type mutant struct {
	name   string
	on     brokertest.Harness
	caught string
	// also are the other cases that cannot but fail: they need what is broken.
	also []string
	// may fail: by chance, or not.
	may []string
}

func mutants() []mutant {
	return slices.Concat(
		publishMutants(), receiveMutants(), fifoMutants(), subscribeMutants(), requestMutants(), lifecycleMutants(),
		roleMutants(), worstMutants(), streamMutants(), moreMutants(),
	)
}

// TestUnmodified runs the suite through the wrappers that break nothing.
func TestUnmodified(t *testing.T) {
	for _, h := range []brokertest.Harness{
		onSubjects(func(*subjects) {}), onQueues("", func(*queues) {}), onQueues(".fifo", func(*queues) {}), onStreams(func(*streams) {}),
	} {
		t.Run(h.Name, func(t *testing.T) { brokertest.Run(t, h) })
	}
}

// TestMutants breaks one thing at a time, and wants exactly the cases that are
// meant for it to fail.
func TestMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			failed := failing(t, m.on)
			for _, name := range m.may {
				delete(failed, name)
			}
			want := slices.Sorted(slices.Values(append(m.also, m.caught)))
			if got := slices.Sorted(maps.Keys(failed)); !slices.Equal(got, want) {
				t.Errorf("caught by %q\nwant      %q", got, want)
				for name, why := range failed {
					if !slices.Contains(want, name) {
						t.Logf("%s: %s", name, strings.Join(why, "\n"))
					}
				}
			}
		})
	}
}

// failing runs all cases and returns how those that fail do.
func failing(t *testing.T, h brokertest.Harness) map[string][]string {
	t.Helper()
	failed := map[string][]string{}
	for _, c := range brokertest.Cases() {
		if why := runCase(t, c, h); len(why) > 0 {
			failed[c.Name] = why
		}
	}
	return failed
}
