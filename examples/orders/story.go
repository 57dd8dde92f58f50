package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, after SIGTERM too
)

// patience bounds each step that goes on after an interrupt.
const patience = 10 * time.Second

// wrapUp returns a context for what is to be finished although ctx may end.
func wrapUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), patience)
}

// interrupted reports whether Ctrl-C was pressed, or SIGTERM came.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	source, err := openInput(o.in, stdin)
	if err != nil {
		complain(stderr, err)
		return exitFailed
	}
	defer func() { _ = source.Close() }() // it was only read
	s := &story{options: o, out: stdout, errs: stderr, progress: newProgress(stderr)}
	if err := errors.Join(s.tell(ctx, source), s.unwritten); err != nil {
		s.warn("%v", err)
		s.failed = true
	}
	return s.exitCode(ctx)
}

// story is one run: what was read, the broker it runs on, and what it found.
type story struct {
	options
	out, errs io.Writer
	unwritten error // the first failure to write to out
	progress  *progress

	broker   broker.Broker
	in       input
	table    table
	used     []used // destinations, whose semantics are shown
	failed   bool
	warnings sync.Mutex
}

// stage is one part of the story. A backend that cannot do it refuses before
// anything is sent, with an error that matches errors.ErrUnsupported, or
// broker.ErrInvalid where it cannot even have such an address.
type stage struct {
	title string
	run   func(context.Context) error
}

func (s *story) tell(ctx context.Context, source io.Reader) (err error) {
	in, err := readOrders(ctx, source)
	if err != nil {
		return err
	}
	s.in = in
	s.print("Orders, on %s\n", s.target.scheme)
	s.reportInput()

	b, remove, err := s.target.open(ctx)
	if err != nil && !interrupted(ctx) {
		return err
	}
	if err == nil {
		s.broker = b
		defer func() { err = errors.Join(err, s.close(ctx, remove)) }()
		s.runStages(ctx)
		s.describe(ctx)
		s.check(ctx)
	}
	s.progress.clear()
	s.print("\nWhat happened\n%s%d orders unaccounted for\n", &s.table, s.table.unaccounted())
	return nil
}

func (s *story) reportInput() {
	s.say("%d orders read", len(s.in.orders))
	for _, m := range s.in.malformed {
		s.say("line %d is malformed: %v", m.line, m.reason)
	}
	s.table.add(row{name: "input", malformed: count(len(s.in.malformed))})
}

func (s *story) runStages(ctx context.Context) {
	stages := []stage{
		{"1. Publish and subscribe", s.fanOut},
		{"2. Request and reply", s.lookUpPrices},
		{"3. Work queues", s.workOff},
	}
	for _, stage := range stages {
		s.heading(stage.title)
		if interrupted(ctx) {
			s.say("not started: interrupted")
			continue
		}
		err := stage.run(ctx)
		s.progress.clear()
		switch {
		case err == nil:
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, broker.ErrInvalid):
			s.say("refused: %v", err)
		case interrupted(ctx) && errors.Is(err, ctx.Err()):
			s.say("interrupted: %v", err)
		default:
			s.say("failed: %v", err)
			s.failed = true
		}
	}
}

// workOff is stage 3: both queues at once.
func (s *story) workOff(ctx context.Context) error {
	receiver, err := broker.As[broker.Receiver](s.broker)
	if err != nil {
		return err
	}
	s.progress.begin("process", len(workQueues)*len(s.in.orders))
	workers := make([]*worker, len(workQueues))
	counts := make([]broker.Counts, len(workQueues))
	errs := make([]error, len(workQueues))
	var running sync.WaitGroup
	for i, q := range workQueues {
		workers[i] = &worker{queue: q, ledger: newLedger(q.fifo), takes: s.work, tick: s.progress.tick, warn: s.warn}
		running.Go(func() {
			counts[i], errs[i] = runQueue(ctx, s.broker, s.broker, receiver, workers[i], s.in.orders)
		})
	}
	running.Wait()
	s.progress.clear()
	for i, w := range workers {
		s.reportQueue(w, counts[i])
	}
	return errors.Join(errs...)
}

func (s *story) reportQueue(w *worker, c broker.Counts) {
	q, sums := w.queue, w.ledger.sums()
	s.saw(q.name, asQueue(q, s.work), s.broker)
	s.say("%s: %d orders processed, %d duplicates dropped by the queue, %d recognised by the consumer",
		q.name, sums.booked, sums.dropped, sums.absorbed)
	for _, line := range w.ledger.troubles() {
		s.say("%s: %s", q.name, line)
	}
	for _, o := range w.ledger.deadLetters() {
		s.say("%s: order %s, %d × %q for %q", q.dead, o.ID, o.Quantity, o.Item, o.Name)
	}
	s.table.add(row{
		name: q.name, published: count(sums.published), delivered: count(int(c.Received)),
		redelivered: count(int(c.Redelivered)), deduplicated: count(sums.dropped + sums.absorbed),
		deadLettered: count(sums.dead), unsent: count(len(s.in.orders) - sums.published),
		left: count(sums.left), unaccounted: count(sums.open),
	})
	s.table.add(row{name: "  " + q.dead, delivered: count(sums.dead)})
	if sums.open > 0 {
		s.failed = true
	}
}

// close drains what still runs and removes what the program has created.
func (s *story) close(ctx context.Context, remove func(context.Context) error) error {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	return errors.Join(s.broker.Close(ctx), remove(ctx))
}

func (s *story) exitCode(ctx context.Context) int {
	switch {
	case interrupted(ctx):
		return exitInterrupted
	case s.failed, s.strict && len(s.in.malformed) > 0:
		return exitFailed
	}
	return exitOK
}

// saw notes a destination that the story used, through a role that may be
// another broker's: requests of the JetStream broker go over core NATS.
func (s *story) saw(destination string, u broker.Usage, role any) {
	by, ok := role.(broker.Describer)
	if !ok {
		by = s.broker
	}
	s.used = append(s.used, used{destination, u, by})
}

func (s *story) heading(title string) { s.print("\n%s\n", title) }

func (s *story) say(format string, args ...any) { s.print("  "+format+"\n", args...) }

func (s *story) print(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format, args...); err != nil && s.unwritten == nil {
		s.unwritten = err
	}
}

// warn reports an error on stderr; handlers call it.
func (s *story) warn(format string, args ...any) {
	s.warnings.Lock()
	defer s.warnings.Unlock()
	s.progress.clear()
	complain(s.errs, fmt.Errorf(format, args...))
}

func complain(stderr io.Writer, err error) {
	_, _ = fmt.Fprintln(stderr, "orders:", err) // a failure to write cannot be reported
}
