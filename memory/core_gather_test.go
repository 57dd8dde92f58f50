package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// panel is a broker with three responders that answer after 1, 2 and 3 seconds;
// the third with an error.
func panel(t *testing.T) *memory.CoreNATS {
	t.Helper()
	b := memory.NewCoreNATS(nil)
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		_, err := b.Respond(t.Context(), "opinion", func(context.Context, *broker.Delivery) (broker.Message, error) {
			time.Sleep(time.Duration(i+1) * time.Second)
			if i == 2 {
				return broker.Message{}, &broker.ReplyError{Code: "503", Description: "busy"}
			}
			return broker.Message{Body: fmt.Append(nil, i)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		opts []broker.GatherOption
		wait time.Duration // of the context; 0: none
		want []string
		took time.Duration
	}{
		"to the default deadline": {nil, 0, []string{"0", "1", "503"}, broker.DefaultRequestTimeout},
		"by count":                {[]broker.GatherOption{broker.Replies(2)}, 0, []string{"0", "1"}, 2 * time.Second},
		"by silence":              {[]broker.GatherOption{broker.Silence(500 * time.Millisecond)}, 0, []string{"0"}, 1500 * time.Millisecond},
		"to a deadline":           {nil, 2500 * time.Millisecond, []string{"0", "1"}, 2500 * time.Millisecond},
		"too few":                 {[]broker.GatherOption{broker.Replies(4)}, 0, []string{"0", "1", "503", "late"}, broker.DefaultRequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := panel(t)
				ctx := t.Context()
				if c.wait > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.wait)
					defer cancel()
				}
				began := time.Now()
				var got []string
				for d, err := range b.Gather(ctx, broker.Message{Subject: "opinion"}, c.opts...) {
					var answered *broker.ReplyError
					switch {
					case errors.As(err, &answered):
						got = append(got, answered.Code)
					case errors.Is(err, context.DeadlineExceeded) && errors.Is(err, broker.ErrOutcomeUnknown):
						got = append(got, "late")
					case err != nil:
						t.Error(err)
					default:
						got = append(got, string(d.Body))
					}
				}
				if took := time.Since(began); !slices.Equal(got, c.want) || took != c.took {
					t.Errorf("got %q after %v, want %q after %v", got, took, c.want, c.took)
				}
				time.Sleep(10 * time.Second) // let the late responders return
			})
		})
	}
}

func TestGatherEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := panel(t)
		one := func(ctx context.Context, m broker.Message, opts ...broker.GatherOption) error {
			var last error
			for _, err := range b.Gather(ctx, m, opts...) {
				last = err
			}
			return last
		}
		if err := one(t.Context(), broker.Message{Subject: "nobody"}); !errors.Is(err, broker.ErrNoResponders) {
			t.Errorf("nobody listens: %v", err)
		}
		if err := one(t.Context(), broker.Message{Subject: "opinion", ReplyTo: "x"}, broker.Replies(0), broker.Silence(-1)); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("bad input: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		if err := one(ctx, broker.Message{Subject: "opinion"}); !errors.Is(err, context.Canceled) || !errors.Is(err, broker.ErrOutcomeUnknown) {
			t.Errorf("cancelled: %v", err)
		}
		for _, err := range b.Gather(t.Context(), broker.Message{Subject: "opinion"}) {
			if err != nil {
				t.Error(err)
			}
			break // ends the question
		}
		b.FailNext(memory.OpGather, 1, broker.ErrDenied)
		if err := one(t.Context(), broker.Message{Subject: "opinion"}); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("FailNext: %v", err)
		}
		time.Sleep(10 * time.Second)
	})
}

// Answers that come faster than the loop takes them are not lost in silence.
func TestGatherTellsDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewCoreNATS(nil)
		defer func() { _ = b.Close(context.Background()) }()
		_, err := b.Subscribe(t.Context(), "flood", func(ctx context.Context, d *broker.Delivery) error {
			for range 5000 {
				if _, err := b.Publish(ctx, broker.Message{Subject: d.ReplyTo}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for _, err := range b.Gather(t.Context(), broker.Message{Subject: "flood"}) {
			synctest.Wait()
			last = err
		}
		if !errors.Is(last, broker.ErrDropped) {
			t.Errorf("the last word is %v, want ErrDropped", last)
		}
	})
}
