package memory

import (
	"math/rand/v2"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// worstPending is the largest pending limit, in messages, of a subscription
// when CoreNATS simulates the worst case.
const worstPending = 8

// chance is the source of randomness of CoreNATS: seeded when it simulates the
// worst case, otherwise not. The zero chance is not seeded.
type chance struct {
	mu     sync.Mutex
	seeded *rand.Rand // nil: the worst case is not simulated
}

func (c *chance) seed(seed uint64) {
	if seed != 0 {
		c.seeded = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // repeatable on purpose
	}
}

// below is a number below n.
func (c *chance) below(n int) int {
	if c.seeded == nil {
		return rand.IntN(n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seeded.IntN(n)
}

// pending returns the limits of a new subscription in place of l: lower ones
// when the worst case is simulated.
func (c *chance) pending(l broker.PendingLimits) broker.PendingLimits {
	if c.seeded != nil {
		l.Messages = min(l.Messages, 1+c.below(worstPending))
	}
	return l
}
