package natsbroker

// Unconfirmed is what no round trip has confirmed yet.
func (b *Broker) Unconfirmed() uint64 { return b.ledger.unconfirmed() }
