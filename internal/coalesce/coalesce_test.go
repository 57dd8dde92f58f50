package coalesce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letter is an item: its key is its text up to the colon, if there is one.
type letter struct {
	text   string
	size   int
	result string
	fates  []Result // of its calls, in turn; none: it has worked
}

func (l *letter) Result() (now Result) {
	if len(l.fates) > 0 {
		now, l.fates = l.fates[0], l.fates[1:]
	}
	return now
}

func (l *letter) Trait() (string, int) {
	key, _, _ := strings.Cut(l.text, ":")
	if key == l.text {
		key = ""
	}
	return key, l.size
}

// post is a Calls with a log of its calls. A call takes a second; what has the
// key or the text "hang" lasts as long as its context.
type post struct {
	*Calls[*letter]
	mu    sync.Mutex
	log   []string
	now   int // calls at this time
	most  int
	begin time.Time
}

func newPost(limits Limits) *post {
	p := &post{begin: time.Now()}
	p.Calls = New(limits, p.deliver)
	return p
}

func (p *post) deliver(ctx context.Context, letters []*letter) {
	texts := make([]string, len(letters))
	for i, l := range letters {
		texts[i] = l.text
	}
	p.mu.Lock()
	p.log = append(p.log, fmt.Sprintf("%v %s", time.Since(p.begin), strings.Join(texts, " ")))
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	if slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, "hang") }) {
		<-ctx.Done()
	} else {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	for _, l := range letters {
		l.result = "posted " + l.text
		if ctx.Err() != nil {
			l.result = "cut off"
		}
	}
	p.mu.Lock()
	p.now--
	p.mu.Unlock()
}

// send posts letters from a goroutine each, in this order, and returns when all
// of them wait for something.
func (p *post) send(ctx context.Context, t *testing.T, all *sync.WaitGroup, texts ...string) {
	t.Helper()
	for _, text := range texts {
		all.Go(func() {
			l := &letter{text: text, size: len(text)}
			if err := p.Do(ctx, l); err != nil || l.result != "posted "+text {
				t.Errorf("%s: got %q, %v", text, l.result, err)
			}
		})
		synctest.Wait()
	}
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

var ten = Limits{Count: 10, Size: 100, InFlight: 8, Patience: time.Minute}

// Which calls are made, and when.
func TestCalls(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, c := range []struct {
		name   string
		limits Limits
		texts  []string
		want   []string
	}{
		{"one goes at once", ten, []string{"a"}, []string{"0s a"}},
		{"the rest goes together", ten, []string{"a", "b", "c"}, []string{"0s a", "1s b c"}},
		{
			"a full call does not wait", ten, numbered("", 14),
			[]string{"0s 0", "0s 1 2 3 4 5 6 7 8 9 10", "1s 11 12 13"},
		},
		{"bytes fill a call too", ten, []string{"a", long, "b", long}, []string{"0s a", "0s " + long + " b", "1s " + long}},
		{"an item over the size goes alone", ten, []string{"a", long + long, "b"}, []string{"0s a", "0s " + long + long, "1s b"}},
		{
			"calls are bounded", Limits{Count: 2, InFlight: 2, Patience: time.Minute}, numbered("", 7),
			[]string{"0s 0", "0s 1 2", "1s 3 4", "1s 5 6"},
		},
		{
			"a key is in one call at a time", Limits{Count: 2, InFlight: 8, Patience: time.Minute},
			[]string{"k:1", "k:2", "k:3", "l:1", "k:4", "l:2", "m:1"},
			[]string{"0s k:1", "0s l:1 l:2", "1s k:2 k:3", "2s k:4 m:1"},
		},
		{
			"patience", Limits{Count: 10, InFlight: 8, Patience: 300 * time.Millisecond}, []string{"a", "b", "c"},
			[]string{"0s a", "300ms b c"},
		},
		{
			"patience with a key", Limits{Count: 10, InFlight: 8, Patience: 300 * time.Millisecond}, []string{"k:1", "k:2", "a"},
			[]string{"0s k:1", "300ms a", "1s k:2"},
		},
		{
			"patience has a bound", Limits{Count: 10, InFlight: 1, Patience: 300 * time.Millisecond}, []string{"a", "b", "c"},
			[]string{"0s a", "1s b c"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPost(c.limits)
				var all sync.WaitGroup
				p.send(t.Context(), t, &all, c.texts...)
				all.Wait()
				slices.Sort(p.log) // of calls that began at one time
				if slices.Sort(c.want); !slices.Equal(p.log, c.want) {
					t.Errorf("got %q, want %q", p.log, c.want)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Order within a key holds whatever else goes on, and no key is in two calls.
func TestKeysKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(Limits{Count: 3, InFlight: 4, Patience: time.Second / 2})
		var all sync.WaitGroup
		for i := range 40 {
			p.send(t.Context(), t, &all, fmt.Sprintf("k%d:%02d", i%3, i))
		}
		all.Wait()
		var order [3][]string
		for _, call := range p.log {
			for _, text := range strings.Fields(call)[1:] {
				order[text[1]-'0'] = append(order[text[1]-'0'], text)
			}
		}
		for key, texts := range order {
			if !slices.IsSorted(texts) || len(texts) < 13 {
				t.Errorf("key %d: got %v", key, texts)
			}
		}
		if p.most > 3 {
			t.Errorf("%d calls at once for three keys", p.most)
		}
	})
}

func TestWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		var all sync.WaitGroup
		p.send(t.Context(), t, &all, "a")
		leaves := func(text string) (context.CancelFunc, chan error) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Do(ctx, &letter{text: text}) }()
			synctest.Wait()
			return cancel, ended
		}
		cancelWaiting, waiting := leaves("waiting")
		cancelSent, sent := leaves("sent")
		p.send(t.Context(), t, &all, "b")

		cancelWaiting()
		if err := <-waiting; !errors.Is(err, context.Canceled) || errors.Is(err, ErrAbandoned) {
			t.Errorf("who waited: got %v", err)
		}
		time.Sleep(1500 * time.Millisecond)
		cancelSent()
		if err := <-sent; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrAbandoned) {
			t.Errorf("who was sent: got %v", err)
		}
		all.Wait() // b has its result although its call lost a caller
		if want := []string{"0s a", "1s sent b"}; !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
	})
}

// A call that nobody waits for is cancelled, and one that has a single caller
// from the begin has that caller's context.
func TestCallsEndWithTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		first, second, third := &letter{text: "hang"}, &letter{text: "hang"}, &letter{text: "b"}
		var all sync.WaitGroup
		all.Go(func() {
			if err := p.Do(ctx, first); err != nil || first.result != "cut off" {
				t.Errorf("alone: got %v, %q", err, first.result)
			}
		})
		synctest.Wait()
		for i, l := range []*letter{second, third} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10+i)*time.Second)
				defer cancel()
				if err := p.Do(ctx, l); !errors.Is(err, ErrAbandoned) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("shared: got %v", err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if got := time.Since(p.begin); got != 11*time.Second {
			t.Errorf("it took %v", got)
		}
		synctest.Wait()
		if p.now != 0 || second.result != "cut off" {
			t.Errorf("%d calls go on: %q", p.now, second.result)
		}
		p.send(t.Context(), t, &all, "after")
		all.Wait()
	})
}

// A call for a key goes on without its callers, so that nothing of the key
// overtakes what it asks for, until it is answered, Linger has passed or Close's
// patience ends.
func TestCallsWithKeysLinger(t *testing.T) {
	for _, c := range []struct {
		name  string
		first string // in a call of its own before; "": the key's item is alone
		key   string
		close time.Duration // Close's patience, from the beginning
		want  []string
	}{
		{"alone", "", "k", 0, []string{"0s k:1", "1s k:2"}},
		{"shared", "x", "k", 0, []string{"0s x", "1s k:1", "2s k:2"}},
		{"too long", "", "hang", 0, []string{"0s hang:1", "10.5s hang:2"}},
		{"closed", "", "hang", 3 * time.Second, []string{"0s hang:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := ten
				limits.Linger = 10 * time.Second
				p := newPost(limits)
				var all sync.WaitGroup
				leave := time.Second / 2
				if c.first != "" {
					p.send(t.Context(), t, &all, c.first)
					leave += time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), leave)
				defer cancel()
				all.Go(func() {
					if err := p.Do(ctx, &letter{text: c.key + ":1"}); !errors.Is(err, ErrAbandoned) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
					if got := time.Since(p.begin); got != leave {
						t.Errorf("it returned after %v, want %v", got, leave)
					}
				})
				all.Wait()
				if c.close > 0 {
					ctx, cancel := context.WithDeadline(t.Context(), p.begin.Add(c.close))
					defer cancel()
					if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Close: %v", err)
					}
				} else {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					_ = p.Do(ctx, &letter{text: c.key + ":2"})
				}
				if err := p.Close(t.Context()); err != nil || p.now != 0 {
					t.Errorf("Close: %v, with %d calls under way", err, p.now)
				}
				if !slices.Equal(p.log, c.want) {
					t.Errorf("got %q, want %q", p.log, c.want)
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	for _, c := range []struct {
		text  string
		err   error
		after time.Duration
	}{
		{"c", nil, 2 * time.Second},
		{"hang", context.DeadlineExceeded, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost(Limits{Count: 10, InFlight: 1, Patience: time.Minute})
			var all sync.WaitGroup
			p.send(t.Context(), t, &all, "a")
			shared := [2]*letter{{text: "b"}, {text: c.text}}
			for _, l := range shared {
				all.Go(func() {
					if err := p.Do(t.Context(), l); err != nil {
						t.Errorf("in a call: %v", err)
					}
				})
			}
			time.Sleep(1500 * time.Millisecond)
			all.Go(func() {
				if err := p.Do(t.Context(), &letter{text: "late"}); !errors.Is(err, ErrClosed) {
					t.Errorf("waiting: got %v, want ErrClosed", err)
				}
			})
			synctest.Wait()
			ctx, cancel := context.WithDeadline(t.Context(), p.begin.Add(10*time.Second))
			defer cancel()
			if err := p.Close(ctx); !errors.Is(err, c.err) {
				t.Errorf("Close: got %v, want %v", err, c.err)
			}
			if got := time.Since(p.begin); got != c.after {
				t.Errorf("Close took until %v, want %v", got, c.after)
			}
			all.Wait()
			if err := p.Do(t.Context(), &letter{}); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: got %v", err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// Under real concurrency each item gets its own result, and calls are shared.
func TestManyCallers(t *testing.T) {
	var mu sync.Mutex
	calls := 0
	c := New(Limits{Count: 10, InFlight: 64, Patience: time.Second}, func(_ context.Context, letters []*letter) {
		mu.Lock()
		calls++
		mu.Unlock()
		for _, l := range letters {
			l.result = "posted " + l.text
		}
	})
	var all sync.WaitGroup
	for worker := range 32 {
		all.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 0 {
					cancel()
				}
				l := &letter{text: fmt.Sprintf("%d:%d", worker%5, i)}
				if err := c.Do(ctx, l); err == nil && l.result != "posted "+l.text || err != nil && i%7 != 0 {
					t.Errorf("got %q, %v", l.result, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if calls == 0 || calls > 32*200 {
		t.Errorf("%d calls", calls)
	}
}

// What a caller pays who is alone.
func BenchmarkAlone(b *testing.B) {
	c := New(ten, func(context.Context, []*letter) {})
	l := &letter{}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Do(b.Context(), l); err != nil {
			b.Fatal(err)
		}
	}
}
