package coalesce

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mail posts letters from a goroutine each, in this order, and returns what Do
// returned for each.
func (p *post) mail(t *testing.T, letters ...*letter) []error {
	t.Helper()
	errs := make([]error, len(letters))
	var all sync.WaitGroup
	for i, l := range letters {
		all.Go(func() { errs[i] = p.Do(t.Context(), l) })
		synctest.Wait()
	}
	all.Wait()
	return errs
}

var (
	again  = Result{Again: 3 * time.Second}
	failed = Result{Failed: true}
)

// What is to be called for again waits, and what has its key waits for it; the
// rest goes on. Behind a failure nothing goes that waited.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		name    string
		letters []*letter
		want    []string
		behind  []string
	}{
		{
			"alone", []*letter{{text: "a", fates: []Result{again, again}}, {text: "b"}},
			[]string{"0s a", "1s b", "4s a", "8s a"}, nil,
		},
		{
			"alone, with a key", []*letter{{text: "k:1", fates: []Result{again}}, {text: "k:2"}, {text: "l:1"}},
			[]string{"0s k:1", "1s l:1", "4s k:1", "5s k:2"}, nil,
		},
		{
			"in a shared call",
			[]*letter{{text: "x"}, {text: "a", fates: []Result{again}}, {text: "b"}},
			[]string{"0s x", "1s a b", "5s a"}, nil,
		},
		{
			"several of a key",
			[]*letter{{text: "x"}, {text: "k:1", fates: []Result{{Again: time.Second}}}, {text: "k:2", fates: []Result{again}}, {text: "k:3"}},
			[]string{"0s x", "1s k:1 k:2 k:3", "5s k:1", "6s k:2"}, nil,
		},
		{
			"a failure alone", []*letter{{text: "k:1", fates: []Result{failed}}, {text: "k:2"}, {text: "l:1"}, {text: "k:3"}},
			[]string{"0s k:1", "1s l:1"}, []string{"k:2", "k:3"},
		},
		{
			"a failure after another try",
			[]*letter{{text: "k:1", fates: []Result{again, failed}}, {text: "k:2"}, {text: "l:1"}},
			[]string{"0s k:1", "1s l:1", "4s k:1"}, []string{"k:2"},
		},
		{
			"a failure without a key", []*letter{{text: "a", fates: []Result{failed}}, {text: "b"}},
			[]string{"0s a", "1s b"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPost(ten)
				for i, err := range p.mail(t, c.letters...) {
					text := c.letters[i].text
					if want := slices.Contains(c.behind, text); errors.Is(err, ErrBehind) != want || err != nil && !want {
						t.Errorf("%s: got %v", text, err)
					}
				}
				if !slices.Equal(p.log, c.want) {
					t.Errorf("got %q, want %q", p.log, c.want)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who comes after a failure is not behind it, and neither is who waits behind a
// caller that gave up.
func TestNotBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		if errs := p.mail(t, &letter{text: "k:1", fates: []Result{failed}}); errs[0] != nil {
			t.Error(errs)
		}
		if errs := p.mail(t, &letter{text: "k:2"}); errs[0] != nil {
			t.Error(errs)
		}
		var all sync.WaitGroup
		giveUp := func(text string, after time.Duration) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				if err := p.Do(ctx, &letter{text: text, fates: []Result{failed}}); errors.Is(err, ErrBehind) {
					t.Errorf("%s: %v", text, err)
				}
			})
			synctest.Wait()
		}
		giveUp("k:3", time.Second/2) // alone in its call
		p.send(t.Context(), t, &all, "k:4")
		all.Wait()
		p.send(t.Context(), t, &all, "x")
		giveUp("k:5", 1500*time.Millisecond) // in a shared one
		time.Sleep(1100 * time.Millisecond)
		p.send(t.Context(), t, &all, "k:6")
		all.Wait()
		want := []string{"0s k:1", "1s k:2", "2s k:3", "2.5s k:4", "3.5s x", "4.5s k:5", "5s k:6"}
		if !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
	})
}

// A caller may give up between two calls, and Close ends what waits for another.
func TestRestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := p.Do(ctx, &letter{text: "k:1", fates: []Result{again}})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrAbandoned) {
			t.Errorf("got %v", err)
		}
		if errs := p.mail(t, &letter{text: "k:2"}); errs[0] != nil {
			t.Error(errs)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := p.Do(t.Context(), &letter{text: "k:3", fates: []Result{again}}); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
		time.Sleep(2 * time.Second)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		all.Wait()
		if want := []string{"0s k:1", "4s k:2", "5s k:3"}; !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
	})
}

// Nobody waits longer than Patience for a call that hangs, also where others wait
// that may not go yet, or have waited for less.
func TestPatienceBesideOthers(t *testing.T) {
	for _, c := range []struct {
		name   string
		others []*letter
		came   time.Duration
		want   string
	}{
		{
			"one rests", []*letter{{text: "a", fates: []Result{{Again: 10 * time.Second}}}, {text: "hang"}},
			2 * time.Second, "3.2s b",
		},
		{
			"one has just rested", []*letter{{text: "a", fates: []Result{{Again: 10 * time.Second}}}, {text: "hang"}},
			10500 * time.Millisecond, "11.7s a b",
		},
		{"one's key is busy", []*letter{{text: "hang:1"}, {text: "hang:2"}}, 700 * time.Millisecond, "1.9s b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPost(Limits{Count: 10, InFlight: 4, Patience: 1200 * time.Millisecond})
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for _, l := range c.others {
					all.Go(func() { _ = p.Do(ctx, l) })
					synctest.Wait()
				}
				time.Sleep(c.came)
				p.send(t.Context(), t, &all, "b")
				time.Sleep(time.Minute)
				cancel()
				all.Wait()
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if !slices.Contains(p.log, c.want) {
					t.Errorf("got %q, want %q", p.log, c.want)
				}
			})
		})
	}
}
