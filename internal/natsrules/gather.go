package natsrules

import (
	"errors"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// GatherRoom is how many answers may wait for the loop over a Gather. Further
// answers are dropped, which ends the loop with an error.
const GatherRoom = 4096

// Gathering holds the options of a Gather.
type Gathering struct {
	Replies int           // 0: not said
	Silence time.Duration // 0: not said
}

// Room returns how many answers may wait: one more than are taken.
func (g Gathering) Room() int {
	if g.Replies > 0 {
		return min(GatherRoom, g.Replies+1)
	}
	return GatherRoom
}

// ParseGather parses the options of a Gather.
func ParseGather(opts []broker.GatherOption) (g Gathering, err error) {
	var errs []error
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Replies:
			g.Replies = int(o)
			if o < 1 {
				errs = append(errs, &broker.FieldError{Field: "Replies", Value: fmt.Sprint(int(o)), Limit: "at least 1"})
			}
		case broker.Silence:
			g.Silence = time.Duration(o)
			if o <= 0 {
				errs = append(errs, &broker.FieldError{Field: "Silence", Value: g.Silence.String(), Limit: "above 0"})
			}
		default:
			errs = append(errs, &broker.UnsupportedError{
				Backend: Backend, What: fmt.Sprintf("option %T", opt), Why: "it has no meaning for Gather",
			})
		}
	}
	return g, errors.Join(errs...)
}
