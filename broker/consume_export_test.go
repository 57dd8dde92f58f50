package broker

import "context"

// ConsumeByChance is Consume with all jitter from chance: for a delivery, or
// for the intake (nil), a number in [0, 1).
func ConsumeByChance(ctx context.Context, chance func(*Delivery) float64, r Receiver, queue string, h Handler, opts ...SubscribeOption) (*Subscription, error) {
	c, err := newConsumer(ctx, r, queue, h, opts)
	if err != nil {
		return nil, err
	}
	c.chance = chance
	c.begins()
	return &c.Subscription, nil
}

// Lanes returns how many keys a subscription remembers.
func Lanes(s *Subscription) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.consumer.lanes)
}
