package peers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds what is waited for. It is reached by failures only.
const patience = time.Minute

type (
	publishFunc func(ctx context.Context, body []byte) error
	// handleFunc takes what arrives; it may be called by many goroutines at once.
	handleFunc func(body []byte)
	// flow opens a way for messages from one publisher to one handler. Nothing
	// of it is left when tb ends.
	flow func(tb testing.TB, handle handleFunc) publishFunc
)

// entry is one way to do what is measured.
type entry[T any] struct {
	name string
	way  T
}

// contest runs the entries one after the other and then the first once more.
// The metric of-raw is how fast each is beside the first, 1 being as fast; that
// of raw itself the second time shows the spread in which a ratio means nothing.
// Without the first run, as under a -bench pattern that leaves it out, there is
// no ratio.
func contest[T any](b *testing.B, entries []entry[T], run func(b *testing.B, way T)) {
	b.Helper()
	var raw time.Duration // of an iteration
	first := entries[0]
	entries = append(slices.Clone(entries), entry[T]{first.name + "-again", first.way})
	for i, e := range entries {
		b.Run(e.name, func(b *testing.B) {
			run(b, e.way)
			b.StopTimer()
			own := b.Elapsed() / time.Duration(b.N)
			if i == 0 {
				raw = own
			}
			if raw > 0 && own > 0 {
				b.ReportMetric(float64(raw)/float64(own), "of-raw")
			}
		})
	}
}

// orders is the one subject, topic, stream and queue that there is.
const orders = "orders"

// body is what every benchmark sends.
var body = []byte(strings.Repeat("x", 128))

// benchmarkFlow is publish to handler. An iteration is a message.
func benchmarkFlow(b *testing.B, open flow) {
	b.Helper()
	p := newPace(b)
	publish := open(b, func([]byte) { p.handle() })
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		p.send(b)
		if err := publish(b.Context(), body); err != nil {
			b.Fatal(err)
		}
	}
	p.finish(b)
}

// window is how far a publisher may be ahead of the handler, so that nobody has
// a reason to drop.
const window = 1000

// pace keeps one publisher within the window. It looks at the handler's count
// for a tenth of the window at a time, so that it costs next to nothing.
type pace struct {
	late     <-chan struct{}
	sent     int // by the one publisher
	handled  atomic.Int64
	last     atomic.Int64 // what the publisher waits for in the end
	progress chan struct{}
}

const step = window / 10

func newPace(tb testing.TB) *pace {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*patience)
	tb.Cleanup(cancel)
	return &pace{late: ctx.Done(), progress: make(chan struct{}, 1)}
}

// send is called before each message.
func (p *pace) send(b *testing.B) {
	if p.sent%step == 0 {
		p.await(b, p.sent+step-window)
	}
	p.sent++
}

// handle is called for each message.
func (p *pace) handle() {
	if n := p.handled.Add(1); n%step == 0 || n == p.last.Load() {
		select {
		case p.progress <- struct{}{}:
		default: // the publisher has yet to see the one before
		}
	}
}

// finish waits until everything that was sent is handled.
func (p *pace) finish(b *testing.B) {
	b.Helper()
	p.last.Store(int64(p.sent))
	p.await(b, p.sent)
}

func (p *pace) await(b *testing.B, n int) {
	for p.handled.Load() < int64(n) {
		select {
		case <-p.progress:
		case <-p.late:
			b.Fatalf("%d sent, only %d handled", p.sent, p.handled.Load())
		}
	}
}

// share has so many goroutines call f for 0 to n-1, and returns one of the
// errors.
func share(goroutines, n int, f func(i int) error) error {
	var all sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, goroutines)
	for range min(goroutines, n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// testFlows proves of each entry that it moves messages.
func testFlows(t *testing.T, entries []entry[flow]) {
	t.Helper()
	for _, e := range entries {
		t.Run(e.name, func(t *testing.T) {
			in := newInbox()
			publish := e.way(t, in.handle)
			for _, body := range bodies(20) {
				if err := publish(t.Context(), body); err != nil {
					t.Fatal(err)
				}
			}
			in.want(t, 20)
		})
	}
}

// bodies are n different ones.
func bodies(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Appendf(nil, "%0128d", i)
	}
	return all
}

// inbox is a handler that keeps what it is given.
type inbox struct{ got chan string }

func newInbox() *inbox { return &inbox{make(chan string, 1000)} }

func (in *inbox) handle(body []byte) { in.got <- string(body) }

// want waits for bodies(n), each of which must have come once, in any order.
func (in *inbox) want(t *testing.T, n int) {
	t.Helper()
	late := time.After(patience)
	var got, want []string
	for _, body := range bodies(n) {
		want = append(want, string(body))
		select {
		case s := <-in.got:
			got = append(got, s)
		case <-late:
			t.Fatalf("waited in vain: %d of %d messages", len(got), n)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
