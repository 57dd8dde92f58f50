package broker_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestBackoffDelay(t *testing.T) {
	b := broker.Backoff{Min: time.Second, Max: 10 * time.Second}
	var low, high []time.Duration
	for attempt := range 8 {
		low = append(low, b.Delay(attempt, 0))
		high = append(high, b.Delay(attempt, 1))
	}
	wantLow := slices.Repeat([]time.Duration{time.Second}, 8)
	wantHigh := []time.Duration{
		2 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		10 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second,
	}
	if !slices.Equal(low, wantLow) || !slices.Equal(high, wantHigh) {
		t.Errorf("low %v\nhigh %v", low, high)
	}
	for _, c := range []struct {
		b    broker.Backoff
		want time.Duration // of the first attempt, at most
	}{
		{broker.Backoff{}, 2 * time.Second}, {broker.Backoff{Min: 2 * time.Second}, 4 * time.Second},
		{broker.Backoff{Min: 3 * time.Second, Max: 3 * time.Second}, 3 * time.Second},
		{broker.Backoff{Max: 100 * time.Millisecond}, 100 * time.Millisecond}, {broker.Backoff{Min: time.Hour}, time.Hour},
	} {
		if got := c.b.Delay(1, 1); got != c.want {
			t.Errorf("%+v: %v, want %v", c.b, got, c.want)
		}
	}
	if got := (broker.Backoff{}).Delay(1<<40, 1); got != broker.DefaultBackoff.Max {
		t.Errorf("the zero Backoff: %v", got)
	}
	for _, b := range []broker.Backoff{{Min: time.Second, Max: math.MaxInt64}, {Min: 3, Max: math.MaxInt64}} {
		for attempt := range 200 {
			if d, least := b.Delay(attempt, 0.5), b.Delay(attempt-1, 0.5); d < least {
				t.Fatalf("%+v: %v after attempt %d, %v before", b, d, attempt, least)
			}
		}
		if got := b.Delay(200, 0.5); got < math.MaxInt64/2 {
			t.Errorf("%+v: %v, want half of the most at least", b, got)
		}
	}
}
