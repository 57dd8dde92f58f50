package stream

// pending is a queue of messages. Messages that have since left their stream
// are skipped, and swept out before they outnumber the rest.
type pending struct {
	all   []*msg
	first int
	sweep int // length at which the queue is swept
}

const leastSweep = 64

func (p *pending) push(m *msg) {
	if len(p.all) >= max(p.sweep, leastSweep) {
		p.clean()
	}
	p.all = append(p.all, m)
}

// clean keeps the messages still to be delivered.
func (p *pending) clean() {
	kept := p.all[:0]
	for _, m := range p.all[p.first:] {
		if !m.gone {
			kept = append(kept, m)
		}
	}
	clear(p.all[len(kept):])
	p.all, p.first = kept, 0
	p.sweep = 2 * len(kept)
}

// head returns the next message, or nil.
func (p *pending) head() *msg {
	for p.first < len(p.all) {
		if m := p.all[p.first]; !m.gone {
			return m
		}
		p.all[p.first] = nil
		p.first++
	}
	p.all, p.first = p.all[:0], 0
	return nil
}

// pop removes and returns the next message, or nil.
func (p *pending) pop() *msg {
	m := p.head()
	if m != nil {
		p.all[p.first] = nil
		p.first++
	}
	return m
}

// each calls f for all messages, in order.
func (p *pending) each(f func(m *msg)) {
	for _, m := range p.all[p.first:] {
		if !m.gone {
			f(m)
		}
	}
}
