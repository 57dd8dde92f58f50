package natsbroker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// confirmations are the answers to several requests that have one answer each.
// The owner is woken once, when all are there; a hundred wake-ups cost more
// than the rest of a delete of a hundred. Addresses are reused, so the server
// need not find out again who listens there.
type confirmations struct {
	missing int // answers to come, and one while requests are being sent
	want    []wanted
	all     chan struct{}
}

// wanted is the answer to one request.
type wanted struct {
	address
	answer *nats.Msg // nil: none has come
}

// keptAddresses bounds the addresses that are kept for later.
const keptAddresses = 2 * maxPull

func newConfirmations(n int) confirmations {
	return confirmations{missing: 1, want: make([]wanted, n), all: make(chan struct{})}
}

// take implements [taker].
func (c *confirmations) take(index int, msg *nats.Msg) {
	c.want[index].answer = msg
	c.arrived()
}

// arrived notes that one answer less is missing.
func (c *confirmations) arrived() {
	if c.missing--; c.missing == 0 {
		close(c.all)
	}
}

// ask reserves the answer to the request with an index and returns the address
// for it.
func (a *answers) ask(c *confirmations, index int) (replyTo string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return "", err
	}
	w := &c.want[index]
	if n := len(a.free); n > 0 {
		w.address = a.free[n-1]
		a.free = a.free[:n-1]
	} else {
		w.address = a.address()
	}
	a.waiting[w.token] = slot{to: c, index: index}
	c.missing++
	return w.replyTo, nil
}

// unask gives up the answer to a request that was not sent.
func (a *answers) unask(c *confirmations, index int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, c.want[index].token)
	c.want[index] = wanted{}
	c.arrived()
}

// collect waits for all answers. It gives up those that have not come in time,
// and their addresses are not reused.
func (a *answers) collect(ctx context.Context, c *confirmations, late <-chan time.Time) error {
	a.mu.Lock()
	c.arrived() // all requests are sent
	a.mu.Unlock()
	_, err := await(ctx, a, c.all, late)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range c.want {
		switch w := &c.want[i]; {
		case w.token == 0:
		case w.answer == nil:
			delete(a.waiting, w.token)
		case len(a.free) < keptAddresses:
			a.free = append(a.free, w.address)
		}
	}
	return err
}
