package sqsbroker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestHealth(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 2, "", "a")
		r.publish(t, "a", "", "x", "y", "z")
		r.take(t, "a", 1)
		sleep(10 * time.Second)
		r.called()
		h, err := r.Health(t.Context(), "a")
		if err != nil || h.Ready.V != 2 || h.InFlight.V != 1 || h.Delayed.V != 0 || h.Ready.State != broker.StateKnown ||
			!h.DeadLetterExists.V || h.DeadLetterReady.V != 2 || h.DeadLetterRetention.V != 96*time.Hour || !h.DeadLetterKeepsAge.V ||
			h.OldestAge.State != broker.StateUnknown || h.Unchanged.V < 10*time.Second {
			t.Errorf("got %+v, %v", h, err)
		}
		if c := r.called(); c["ReceiveMessage"] != 0 || c["GetQueueAttributes"] != 2 {
			t.Errorf("got %v", c)
		}
		h, err = r.Health(t.Context(), "dead")
		if err != nil || h.DeadLetterExists.State != broker.StateNone || h.Ready.V != 2 {
			t.Errorf("got %+v, %v", h, err)
		}
		_, err = r.Health(t.Context(), "none")
		wantError(t, "no queue", err, broker.ErrNotFound)
		r.fail("GetQueueAttributes", 400, "AccessDeniedException")
		h, err = r.Health(t.Context(), "a")
		if err != nil || h.Ready.State != broker.StateUnknown || h.Ready.From == "" || h.DeadLetterReady.State != broker.StateUnknown {
			t.Errorf("denied: got %+v, %v", h, err)
		}
		r.setFault(nil)
		found, err := broker.Check(t.Context(), r, "a", broker.Usage{})
		if err != nil || !slices.ContainsFunc(found, func(f broker.Finding) bool { return strings.Contains(fmt.Sprint(f), "dead") }) {
			t.Errorf("Check: got %v, %v", found, err)
		}
	})
}
