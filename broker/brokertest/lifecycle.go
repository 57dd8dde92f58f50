package brokertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func lifecycleCases() []Case {
	return []Case{{
		Name: "lifecycle/drain-finishes-work",
		Rule: "Drain waits for the handler at work, whose context stays alive, and reports it as finished.",
		run:  drainFinishes,
	}, {
		Name: "lifecycle/drain-has-a-deadline",
		Rule: "When Drain's context ends, handlers are cancelled with ErrDraining and Drain returns the context's cause.",
		run:  drainDeadline,
	}, {
		Name: "lifecycle/drain-loses-nothing",
		Rule: "What had arrived before a drain is handled, or goes back where messages are kept.",
		run:  drainLosesNothing,
	}, {
		Name: "lifecycle/nothing-after-drain",
		Rule: "A drained subscription gets nothing more, and no longer takes from the others.",
		run:  nothingAfterDrain,
	}, {
		Name: "lifecycle/drain-twice",
		Rule: "Drain may be called again, at the same time too; Done is closed, and Err is nil.",
		run:  drainTwice,
	}, {
		Name: "lifecycle/close-drains",
		Rule: "Close drains every subscription: it waits for the handler at work and ends the subscription.",
		run:  closeDrains,
	}, {
		Name: "lifecycle/close-twice",
		Rule: "Close may be called again, at the same time too, and is nil.",
		run:  closeTwice,
	}, {
		Name: "lifecycle/use-after-close",
		Rule: "After Close every call is ErrClosed.",
		run:  useAfterClose,
	}, {
		Name: "lifecycle/no-leaks",
		Rule: "After Close no goroutine of the broker is left.",
		run:  noLeaks,
	}}
}

// worker is a handler that works until it is released.
type worker struct {
	started  chan (<-chan struct{}) // gives what is closed when a drain begins
	release  chan struct{}
	once     sync.Once
	finished atomic.Int32
	cause    atomic.Value // of its context's end: an error
}

func (e *env) worker() *worker {
	w := &worker{started: make(chan (<-chan struct{}), room), release: make(chan struct{})}
	e.Cleanup(w.open)
	return w
}

func (w *worker) open() { w.once.Do(func() { close(w.release) }) }

func (w *worker) handle(ctx context.Context, _ *broker.Delivery) error {
	w.started <- broker.Draining(ctx)
	select {
	case <-w.release:
	case <-ctx.Done():
		w.cause.Store(context.Cause(ctx))
	}
	w.finished.Add(1)
	return nil
}

func drainFinishes(e *env) {
	d := e.open(Config{})
	w := e.worker()
	sub := d.subscribe(w.handle)
	d.put(1)
	draining := next(e, w.started, "the handler")
	done := make(chan broker.Report, 1)
	failed := make(chan error, 1)
	go func() {
		report, err := sub.Drain(e.soon())
		failed <- err
		done <- report
	}()
	next(e, draining, "the drain to begin")
	e.calm()
	if len(done) > 0 || w.finished.Load() > 0 {
		e.Errorf("Drain returned, or the handler, before the work was done")
	}
	w.open()
	e.must("Drain", next(e, failed, "Drain to return"))
	report := <-done
	if cause := w.cause.Load(); w.finished.Load() != 1 || cause != nil {
		e.Errorf("%d handlers finished before Drain returned, cancelled by %v", w.finished.Load(), cause)
	}
	if report.Finished != 1 || report.Abandoned != 0 || report.Subject != d.name {
		e.Errorf("report %+v, want one finished", report)
	}
}

func drainDeadline(e *env) {
	d := e.open(Config{})
	w := e.worker()
	sub := d.subscribe(w.handle)
	d.put(1)
	next(e, w.started, "the handler")
	var err error
	e.within("Drain", func() { _, err = sub.Drain(e.in(50 * time.Millisecond)) })
	wantIs(e, "Drain", err, context.DeadlineExceeded)
	if cause, _ := w.cause.Load().(error); !errors.Is(cause, broker.ErrDraining) {
		e.Errorf("the handler was cancelled by %v, want %v", cause, broker.ErrDraining)
	}
}

func drainLosesNothing(e *env) {
	const n = 10
	d := e.open(Config{})
	var opts []broker.SubscribeOption
	if e.leased() {
		opts = append(opts, broker.Prefetch(n/2))
	}
	started := make(chan struct{}, room)
	var mu sync.Mutex
	var handled []*broker.Delivery
	sub := d.subscribe(func(ctx context.Context, m *broker.Delivery) error {
		started <- struct{}{}
		<-broker.Draining(ctx)
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, m)
		return nil
	}, opts...)
	want := d.put(n)
	next(e, started, "the handler")
	if f, err := broker.As[broker.Flusher](e.b); err == nil {
		e.must("Flush", f.Flush(e.soon()))
	}
	e.calm()
	report := d.drain(sub)
	if e.leased() {
		handled = append(handled, inbox{dest: d}.take(n-len(handled))...)
	}
	e.wantBodies(handled, want)
	if report.Abandoned != 0 {
		e.Errorf("report %+v, want none abandoned", report)
	}
}

func nothingAfterDrain(e *env) {
	var config Config
	if e.leased() { // a server may give a message to the poll that the drain cancelled: it comes again soon
		config.Lease = e.h.Lease
	}
	d := e.open(config)
	var after atomic.Int32
	sub := d.subscribe(func(context.Context, *broker.Delivery) error {
		after.Add(1)
		return nil
	})
	d.drain(sub)
	in := d.inbox()
	want := d.put(5)
	e.wantBodies(in.take(5), want)
	in.empty("all were delivered")
	e.calm()
	if n := after.Load(); n > 0 {
		e.Errorf("%d deliveries after the drain", n)
	}
}

func drainTwice(e *env) {
	d := e.open(Config{})
	sub := d.subscribe(discard)
	var wg sync.WaitGroup
	errs := make(chan error, 3)
	for range 2 {
		wg.Go(func() {
			_, err := sub.Drain(e.soon())
			errs <- err
		})
	}
	e.within("Drain", wg.Wait)
	e.must("Drain", errors.Join(<-errs, <-errs))
	d.drain(sub)
	next(e, sub.Done(), "Done")
	e.must("Err", sub.Err())
}

// shut closes the broker.
func (e *env) shut() {
	e.Helper()
	var err error
	e.within("Close", func() { err = e.b.Close(e.soon()) })
	e.must("Close", err)
}

func closeDrains(e *env) {
	d := e.open(Config{})
	w := e.worker()
	sub := d.subscribe(w.handle)
	d.put(1)
	draining := next(e, w.started, "the handler")
	closed := make(chan error, 1)
	go func() { closed <- e.b.Close(e.soon()) }()
	next(e, draining, "the drain to begin")
	e.calm()
	if len(closed) > 0 {
		e.Errorf("Close returned before the work was done")
	}
	w.open()
	e.must("Close", next(e, closed, "Close to return"))
	if cause := w.cause.Load(); w.finished.Load() != 1 || cause != nil {
		e.Errorf("%d handlers finished before Close returned, cancelled by %v", w.finished.Load(), cause)
	}
	select {
	case <-sub.Done():
	default:
		e.Errorf("a subscription outlives Close")
	}
}

func closeTwice(e *env) {
	d := e.open(Config{})
	d.subscribe(discard)
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for range 2 {
		wg.Go(func() { errs <- e.b.Close(e.soon()) })
	}
	e.within("Close", wg.Wait)
	e.must("Close", errors.Join(<-errs, <-errs))
	e.shut()
}

func useAfterClose(e *env) {
	d := e.open(Config{})
	var m *broker.Delivery
	if e.leased() {
		d.put(1)
		m = d.lease()
	}
	e.shut()
	for what, call := range d.calls(m) {
		var err error
		e.within(what, func() { err = call(e.soon()) })
		wantIs(e, what, err, broker.ErrClosed)
	}
}

// calls are calls of every method. m is a delivery of before.
func (d dest) calls(m *broker.Delivery) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"Publish": func(ctx context.Context) error {
			_, err := d.b.Publish(ctx, d.message("late"))
			return err
		},
		"PublishBatch": func(ctx context.Context) error {
			_, err := d.b.PublishBatch(ctx, []broker.Message{d.message("late")})
			return err
		},
		"Subscribe": func(ctx context.Context) error {
			_, err := d.b.Subscribe(ctx, d.name, discard, d.grouped(nil)...)
			return err
		},
		"Describe": func(ctx context.Context) error {
			_, err := d.b.Describe(ctx, d.name)
			return err
		},
	}
	if r, err := broker.As[broker.Requester](d.b); err == nil {
		calls["Request"] = func(ctx context.Context) error {
			_, err := r.Request(ctx, d.message("late"))
			return err
		}
	}
	if r, err := broker.As[broker.Responder](d.b); err == nil {
		calls["Respond"] = func(ctx context.Context) error {
			_, err := r.Respond(ctx, d.name, func(context.Context, *broker.Delivery) (broker.Message, error) {
				return broker.Message{}, nil
			})
			return err
		}
	}
	if f, err := broker.As[broker.Flusher](d.b); err == nil {
		calls["Flush"] = f.Flush
	}
	if p, err := broker.As[broker.Pinger](d.b); err == nil {
		calls["Ping"] = p.Ping
	}
	if r, err := broker.As[broker.Receiver](d.b); err == nil && m != nil {
		calls["Receive"] = func(ctx context.Context) error {
			_, err := r.Receive(ctx, d.name, 1)
			return err
		}
		calls["Delete"] = func(ctx context.Context) error { return r.Delete(ctx, m) }
		calls["Extend"] = func(ctx context.Context) error { return r.Extend(ctx, 0, m) }
		calls["Release"] = func(ctx context.Context) error { return r.Release(ctx, 0, m) }
		calls["Reject"] = func(ctx context.Context) error { return r.Reject(ctx, "late", m) }
	}
	return calls
}

func noLeaks(e *env) {
	d := e.open(Config{})
	use := func() {
		handled := make(chan struct{}, room)
		sub := d.subscribe(func(context.Context, *broker.Delivery) error {
			handled <- struct{}{}
			return nil
		})
		d.put(1)
		next(e, handled, "the handler")
		d.drain(sub)
	}
	use() // what the client below makes once is made now
	before := goroutines()
	use()
	d.subscribe(discard)
	e.shut()
	for try := 0; ; try++ {
		left := leaked(before)
		if len(left) == 0 {
			return
		}
		if try == 100 {
			e.Fatalf("%d goroutines left, the first:\n%s", len(left), left[0])
		}
		e.sleep(e.h.Slack / 50)
	}
}
