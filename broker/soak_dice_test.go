package broker_test

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// A run replays from its seed because nothing in it hangs on the order in which
// goroutines that are awake at one moment come to run:
//
//   - What happens is thrown by dice of its own, from the seed, the message, the
//     attempt and the number of the call, and never from dice that are shared.
//   - No two things happen at one moment. Whatever waits wakes at a moment of
//     its own: the nanoseconds since the start, modulo span, are its place, and
//     each message, each receive has another one. The runtime's hooks set apart
//     what the runtime wakes at once, as the handlers whose messages one call
//     has deleted.
//   - The jitter of the runtime itself comes from dice, too.
const (
	span         = 1 << 16
	publishPlace = span - 1
	mainPlace    = span - 2
	idPlaces     = span - 2 - 3*callPlaces // then come those of calls, by their kind
	callPlaces   = 1 << 10
)

// kind is a kind of calls that are not about one message.
type kind int

const (
	receives kind = iota
	hooks
	beats
	pauses // have no place
	kinds
)

// call counts a call and returns its number and its place.
func (s *soak) call(k kind) (number, place int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[k]++
	return s.calls[k], idPlaces + int(k)*callPlaces + s.calls[k]%callPlaces
}

func idPlace(number int) int { return number % idPlaces }

// dice are thrown for one thing that happens.
type dice struct{ state uint64 }

// dice of the same seed, name and numbers fall the same.
func (s *soak) dice(name string, numbers ...int) *dice {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	d := &dice{h.Sum64() ^ s.seed}
	for _, n := range numbers {
		d.state = d.next() ^ uint64(n) //nolint:gosec // any bits will do
	}
	return d
}

// next is SplitMix64.
func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *dice) float() float64              { return float64(d.next()>>11) / (1 << 53) }
func (d *dice) chance(percent float64) bool { return d.float()*100 < percent }
func (d *dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.float() * float64(most))
}

// chance is the runtime's jitter.
func (s *soak) chance(d *broker.Delivery) float64 {
	if d == nil {
		n, _ := s.call(pauses)
		return s.dice("pause", n).float()
	}
	return s.throw("jitter", d).float()
}

// throw gives the next dice for a delivery.
func (s *soak) throw(name string, d *broker.Delivery) *dice {
	h := d.Handle.(*soakHandle)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.throws++
	return s.dice(name, h.number, d.Attempt, h.throws)
}

// wake is the first moment of a place that is at least d away.
func wake(d time.Duration, place int) time.Duration {
	at := time.Now().Add(d).UnixNano()
	ahead := (int64(place) - at) % span
	if ahead < 0 {
		ahead += span
	}
	return d + time.Duration(ahead)
}

// rest sleeps for d and then until a moment of the place.
func (*soak) rest(d time.Duration, place int) { time.Sleep(wake(d, place)) }

// restOr is rest, unless ctx ends before; then it wakes at the place, too.
func (s *soak) restOr(ctx context.Context, d time.Duration, place int) error {
	timer := time.NewTimer(wake(d, place))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		s.rest(1, place)
		return ctx.Err()
	}
}

// setApart gives what the runtime goes on with after a hook a moment of its own.
func (s *soak) setApart(d *broker.Delivery) {
	if d == nil {
		_, place := s.call(hooks)
		s.rest(1, place)
		return
	}
	s.rest(1, idPlace(d.Handle.(*soakHandle).number))
}

// number of a message.
func number(id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		panic(err)
	}
	return n
}
