package broker

import "iter"

// hand holds the deliveries in hand, in order of receipt. Guarded by the
// consumer's mu.
type hand struct{ first, last *run }

func (h *hand) add(r *run) {
	r.before = h.last
	if h.last == nil {
		h.first = r
	} else {
		h.last.after = r
	}
	h.last = r
}

func (h *hand) remove(r *run) {
	if r.before == nil {
		h.first = r.after
	} else {
		r.before.after = r.after
	}
	if r.after == nil {
		h.last = r.before
	} else {
		r.after.before = r.before
	}
	r.before, r.after = nil, nil
}

func (h *hand) all() iter.Seq[*run] {
	return func(yield func(*run) bool) {
		for r := h.first; r != nil; r = r.after {
			if !yield(r) {
				return
			}
		}
	}
}
