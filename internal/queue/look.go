package queue

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Stats holds the exact current contents of a queue.
type Stats struct {
	Ready    int // on a FIFO queue including those that wait for their group
	InFlight int
	Delayed  int
	Polls    int       // waiting receives
	Oldest   time.Time // when the oldest message was sent; zero without one
}

// Stats counts the messages of a queue, in O(1).
func (e *Engine) Stats(name string) (s Stats, err error) {
	err = e.do(name, func(q *queue, _ time.Time) error {
		s = Stats{
			Ready:    q.counts[Ready],
			InFlight: q.counts[InFlight],
			Delayed:  q.counts[Delayed],
			Polls:    q.polls.Len(),
		}
		if m := q.ages.oldest(); m != nil {
			s.Oldest = m.Sent
		}
		return nil
	})
	return s, err
}

// Peek returns up to limit messages in a state, by Seq, and does not count as a
// receive. It costs O(n log n): it is for tests.
func (e *Engine) Peek(name string, s State, limit int) (found []Message, err error) {
	err = e.do(name, func(q *queue, _ time.Time) error {
		for _, m := range q.bySeq() {
			if m.state == s && len(found) < limit {
				found = append(found, m.Message)
			}
		}
		return nil
	})
	return found, err
}

func (q *queue) bySeq() []*msg {
	return slices.SortedFunc(maps.Values(q.all), func(a, b *msg) int { return cmp.Compare(a.Seq, b.Seq) })
}
