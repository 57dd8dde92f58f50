package sqsbroker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// Two messages of one key fail at the end of a call, and are to be sent again
// after pauses of their own: what follows waits for the longer one.
func TestNothingOvertakesTheLongerPause(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		want := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
		for n := range 20 { // the pauses are chance
			name := fmt.Sprint("orders-", n, ".fifo")
			r.create(t, name)
			b, err := New(newFailAPI(r.client, false, map[string]int{"i": 1, "j": 1}), nil)
			if err != nil {
				t.Fatal(err)
			}
			ms := letters(12)
			for i := range ms {
				ms[i].Subject, ms[i].Key, ms[i].DedupID = name, "k", string(ms[i].Body)
			}
			if _, err := b.PublishBatch(t.Context(), ms); err != nil {
				t.Fatal(broker.ItemError(err, 10))
			}
			if got := bodies(r.take(t, name, 10)); !slices.Equal(got, want) {
				t.Fatalf("got %v", got)
			}
		}
	})
}
