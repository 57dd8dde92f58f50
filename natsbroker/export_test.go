package natsbroker

import "context"

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
