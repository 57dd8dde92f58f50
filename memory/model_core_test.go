package memory_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
)

// coreModel is the contract of core NATS as a judge. A plain subscription's
// deliveries follow from when messages arrived and how many may wait; who of a
// queue group gets a message does not.
type coreModel struct {
	worst      bool // subscriptions may have lower limits than they were given
	subs       []*modelSub
	responders []responder
	groups     map[string][]int // the messages for each
}

type responder struct {
	subject string
	sub     *broker.Subscription
}

type modelSub struct {
	pattern, group string
	limit          int // 0: far more than a history sends
	live           bool
	sub            *broker.Subscription
	arrivals       []arrival // at a plain one
	may            []int     // what a member of a group may get
	got            []int     // what the handler saw
}

type arrival struct {
	n  int
	at time.Time
}

func (c *coreModel) answers(service string) bool {
	return slices.ContainsFunc(c.responders, func(r responder) bool { return r.subject == service })
}

func (c *coreModel) published(n int, native string) {
	seen := map[string]bool{}
	for _, s := range c.subs {
		switch {
		case !s.live || !subject.Match(s.pattern, native):
		case s.group == "":
			s.arrivals = append(s.arrivals, arrival{n, time.Now()})
		default:
			s.may = append(s.may, n)
			seen[s.group] = true
		}
	}
	for group := range seen {
		if c.groups == nil {
			c.groups = map[string][]int{}
		}
		c.groups[group] = append(c.groups[group], n)
	}
}

// check is for the end, when all is handled.
func (c *coreModel) check() error {
	for i, s := range c.subs {
		if err := c.checkSub(s); err != nil {
			return fmt.Errorf("subscription %d of %s, group %q: %w", i, s.pattern, s.group, err)
		}
	}
	for group, ns := range c.groups {
		if err := c.checkGroup(group, ns); err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
	}
	return nil
}

func (c *coreModel) checkSub(s *modelSub) error {
	counts := s.sub.Counts()
	if counts.Failed > 0 || int(counts.Succeeded) != len(s.got) || counts.InFlight != 0 {
		return fmt.Errorf("counted %+v for %v", counts, s.got)
	}
	if s.group != "" {
		if !slices.IsSorted(s.got) {
			return fmt.Errorf("got %v out of order", s.got)
		}
		return nil
	}
	if int(counts.Dropped) != len(s.arrivals)-len(s.got) {
		return fmt.Errorf("got %v, %d dropped, of %d", s.got, counts.Dropped, len(s.arrivals))
	}
	for _, limit := range c.limits(s) {
		if slices.Equal(s.got, fit(s.arrivals, limit)) {
			return nil
		}
	}
	return fmt.Errorf("got %v, want %v", s.got, fit(s.arrivals, c.limits(s)[0]))
}

// limits are those that a subscription may have.
func (c *coreModel) limits(s *modelSub) (all []int) {
	limit := s.limit
	if limit == 0 {
		limit = 1 << 30
	}
	if !c.worst {
		return []int{limit}
	}
	for n := range min(limit, 8) {
		all = append(all, n+1)
	}
	return all
}

// fit is what is handled, one after the other, if at most limit may wait or be
// handled at once.
func fit(arrivals []arrival, limit int) (handled []int) {
	var ends []time.Time
	for _, a := range arrivals {
		begin, there := a.at, 0
		for _, end := range ends {
			if end.After(a.at) {
				there++
				begin = end
			}
		}
		if there < limit {
			handled = append(handled, a.n)
			ends = append(ends, begin.Add(handling))
		}
	}
	return handled
}

// checkGroup sees that each message went to one member, and that only a member
// that could have been picked has it, or has dropped it.
func (c *coreModel) checkGroup(group string, ns []int) error {
	var all []int
	dropped, limited := 0, c.worst
	for _, s := range c.subs {
		if s.group != group {
			continue
		}
		for _, n := range s.got {
			if !slices.Contains(s.may, n) {
				return fmt.Errorf("%d was not for %s", n, s.pattern)
			}
		}
		all = append(all, s.got...)
		dropped += int(s.sub.Counts().Dropped)
		limited = limited || s.limit > 0
	}
	slices.Sort(all)
	if different := slices.Compact(slices.Clone(all)); len(different) != len(all) {
		return fmt.Errorf("got %v: more than one member has it", all)
	}
	if len(all)+dropped != len(ns) || dropped > 0 && !limited {
		return fmt.Errorf("got %v, %d dropped, of %v", all, dropped, ns)
	}
	return nil
}
