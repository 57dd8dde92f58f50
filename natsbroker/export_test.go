package natsbroker

import (
	"context"
	"net"

	"github.com/nats-io/nats.go"
)

// BindLate is a dial that ends when the dialer is released already.
func BindLate(ctx context.Context, conn net.Conn) {
	d := newDialer(ctx, &nats.Options{})
	d.release()
	d.bind(ctx, conn)
}

// Unconfirmed is what no round trip has confirmed yet.
func (b *Broker) Unconfirmed() uint64 { return b.ledger.unconfirmed() }

// AwaitReceived confirms what send has sent.
func (b *Broker) AwaitReceived(ctx context.Context, send func()) error {
	before := b.ledger.mark()
	send()
	return b.awaitReceived(ctx, before)
}

// WaitingForTrips are the callers that wait for a shared round trip to begin.
func (b *Broker) WaitingForTrips() int {
	b.trips.mu.Lock()
	defer b.trips.mu.Unlock()
	if b.trips.next == nil {
		return 0
	}
	return b.trips.next.callers
}
