package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/internal/stories"
	"github.com/candidmq/candidmq/memory"
)

func TestStories(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		for _, story := range stories.All {
			t.Run("queue"+suffix+" "+story.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := closing(t, memory.NewSQS(nil))
					s := &stories.Stage{Broker: b, FIFO: suffix != "", Lease: 4 * time.Second}
					s.Queue = func(t *testing.T, attempts int) (queue, dead string) {
						t.Helper()
						must(t, b.CreateQueue("dead"+suffix, memory.QueueOptions{Visibility: s.Lease}))
						must(t, b.CreateQueue("q"+suffix, memory.QueueOptions{
							Visibility: s.Lease, DeadLetter: "dead" + suffix, MaxReceives: attempts,
						}))
						return "q" + suffix, "dead" + suffix
					}
					story.Tell(t, s)
				})
			})
		}
	}
}
