package stream

import (
	"slices"
	"time"
)

// dedup remembers ids, for a window from the first publish of each. The zero
// dedup remembers none.
type dedup struct {
	byID  map[string]uint64
	byAge []remembered
	first int // in byAge
}

type remembered struct {
	id string
	at time.Time
}

// known returns false for "", which is never remembered.
func (d *dedup) known(id string) (seq uint64, ok bool) {
	seq, ok = d.byID[id]
	return seq, ok
}

func (d *dedup) remember(id string, seq uint64, now time.Time) {
	if d.byID == nil {
		d.byID = map[string]uint64{}
	}
	d.byID[id] = seq
	d.byAge = append(d.byAge, remembered{id, now})
}

// forget drops ids that were remembered at end or before.
func (d *dedup) forget(end time.Time) {
	for d.first < len(d.byAge) && !d.byAge[d.first].at.After(end) {
		delete(d.byID, d.byAge[d.first].id)
		d.byAge[d.first] = remembered{}
		d.first++
	}
	if d.first > len(d.byAge)/2 {
		d.byAge = slices.Delete(d.byAge, 0, d.first)
		d.first = 0
	}
}
