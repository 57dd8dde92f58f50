package memory

import "github.com/candidmq/candidmq/broker"

// keepRoom is the capacity, in messages, that an empty backlog keeps.
const keepRoom = 4096

// backlog is a queue of messages: push appends to in, pop takes from out, and
// an empty out takes over in.
type backlog struct {
	in, out []*broker.Delivery
	next    int // in out
}

func (b *backlog) len() int { return len(b.in) + len(b.out) - b.next }

func (b *backlog) push(d *broker.Delivery) { b.in = append(b.in, d) }

// pop returns nil when there is none.
func (b *backlog) pop() *broker.Delivery {
	if b.next == len(b.out) {
		if len(b.in) == 0 {
			b.shrink()
			return nil
		}
		b.out, b.in, b.next = b.in, b.out[:0], 0
	}
	d := b.out[b.next]
	b.out[b.next] = nil // for the garbage collector
	b.next++
	return d
}

func (b *backlog) shrink() {
	if cap(b.in)+cap(b.out) > keepRoom {
		*b = backlog{}
	}
}

func (b *backlog) clear() { *b = backlog{} }
