package memory

import (
	"context"
	"errors"
	"testing"
)

// What is begun while the parts of a broker are looked at may have passed from
// one not looked at yet to one that was.
func TestWaitLooksAgainAtWhatWasBegunMeanwhile(t *testing.T) {
	a := &activity{}
	looks := 0
	err := a.wait(t.Context(), func() bool {
		if looks++; looks == 1 {
			a.begun.Add(1)
		}
		return true
	})
	if err != nil || looks != 2 {
		t.Errorf("got %v after %d looks, want 2", err, looks)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	err := (&activity{}).wait(ctx, func() bool {
		cancel(over)
		return false
	})
	if !errors.Is(err, over) {
		t.Errorf("got %v, want %v", err, over)
	}
}
