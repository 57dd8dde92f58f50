package queue

import "time"

// DedupScope is the scope in which a DedupID must be unique.
type DedupScope uint8

const (
	// DedupPerQueue means that the same id in another group is also a
	// duplicate.
	DedupPerQueue DedupScope = iota
	// DedupPerGroup means that it is not.
	DedupPerGroup
)

type dedupKey struct {
	perGroup  bool
	group, id string // group is empty unless perGroup
}

type remembered struct {
	key  dedupKey
	sent Sent
}

// dedup remembers the ids of a queue's dedup window, including those of deleted
// messages.
type dedup struct {
	byKey map[dedupKey]Sent
	// byAge holds the same, oldest first; those before first are forgotten.
	byAge []remembered
	first int
}

func newDedup() dedup { return dedup{byKey: make(map[dedupKey]Sent)} }

// dedupKey returns the key under which s is remembered; ok is false if it is
// not.
func (c *Config) dedupKey(s *Send) (key dedupKey, ok bool) {
	if c.DedupWindow <= 0 || s.DedupID == "" {
		return key, false
	}
	key.id = s.DedupID
	if c.DedupScope == DedupPerGroup {
		key.perGroup, key.group = true, s.Group
	}
	return key, true
}

// known finds the message sent under key. An id keeps the scope under which it
// was sent: one that counted for the queue continues to count for all its
// groups.
func (d *dedup) known(key dedupKey) (first Sent, ok bool) {
	first, ok = d.byKey[key]
	if !ok && key.perGroup {
		first, ok = d.byKey[dedupKey{id: key.id}]
	}
	return first, ok
}

func (d *dedup) remember(key dedupKey, sent Sent) {
	d.byKey[key] = sent
	d.byAge = append(d.byAge, remembered{key, sent})
}

// forget drops ids sent at t or before.
func (d *dedup) forget(t time.Time) {
	for d.first < len(d.byAge) && !d.byAge[d.first].sent.Time.After(t) {
		delete(d.byKey, d.byAge[d.first].key)
		d.byAge[d.first] = remembered{}
		d.first++
	}
	// Moving the rest once half of it is forgotten costs O(1) per id.
	if d.first > len(d.byAge)/2 {
		n := copy(d.byAge, d.byAge[d.first:])
		clear(d.byAge[n:])
		d.byAge, d.first = d.byAge[:n], 0
	}
}
