package sqsbroker

import (
	"strconv"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/sqssuite"
	"github.com/candidmq/candidmq/internal/stories"
)

func TestStories(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		for _, story := range stories.All {
			t.Run("queue"+suffix+" "+story.Name, func(t *testing.T) {
				inBubble(t, nil, func(t *testing.T, r *rig) {
					s := &stories.Stage{Broker: r, FIFO: suffix != "", Lease: 4 * time.Second}
					s.Queue = func(t *testing.T, attempts int) (queue, dead string) {
						t.Helper()
						visibility := sqssuite.Seconds(s.Lease)
						r.create(t, "dead"+suffix, "VisibilityTimeout", visibility)
						r.create(t, "q"+suffix, "VisibilityTimeout", visibility, "RedrivePolicy", redriveTo("dead"+suffix, strconv.Itoa(attempts)))
						return "q" + suffix, "dead" + suffix
					}
					story.Tell(t, s)
				})
			})
		}
	}
}
