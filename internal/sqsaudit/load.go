package sqsaudit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Load is publishers and consumers at work on one queue: some publish one by
// one and some in slices, each until its message is stored; consumers are
// drained and replaced, some with no time to finish; others die with messages in
// hand; handlers fail now and then, and some take longer than the lease. Fill in
// the exported fields and call Run once.
type Load struct {
	Audit *Audit
	// Broker works on Queue, through a client that Audit watches.
	Broker interface {
		broker.Publisher
		broker.Subscriber
		broker.Receiver
	}
	Queue    string // FIFO by its suffix
	Messages int
	Lease    time.Duration // the queue's; all times but Pause are in proportion to it
	Pause    time.Duration // the longest between two calls of one publisher
	Workers  int           // handlers of a consumer at a time; 0: 16
	Slow     int           // one handler in so many takes longer than the lease; 0: 50
	Groups   int           // of each publisher, on a FIFO queue; 0: 3
	Seed     uint64

	mu             sync.Mutex
	rand           *rand.Rand
	drains, killed int
	errs           []error
}

const (
	lone, slicing = 24, 6 // publishers
	sliceLen      = 25
	consumers     = 3
)

// Run returns when everything is published and over says that everything has
// ended, or when ctx ends; all goroutines have ended then. The error is ctx's, or
// what should not have failed.
func (l *Load) Run(ctx context.Context, over func() bool) error {
	l.rand = rand.New(rand.NewPCG(l.Seed, 2)) //nolint:gosec // repeatable as far as goroutines allow
	working, done := context.WithCancel(ctx)
	var publishers, others sync.WaitGroup
	for i := range lone + slicing {
		publishers.Go(func() { l.publish(working, i) })
	}
	for range consumers {
		others.Go(func() { l.consume(working) })
	}
	others.Go(func() { l.kill(working) })
	publishers.Wait()
	for working.Err() == nil && !over() {
		wait(working, l.Lease/30)
	}
	done()
	others.Wait()
	return errors.Join(append(l.errs, ctx.Err())...)
}

// String says what happened beside the wire's and the endpoint's faults.
func (l *Load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d drains, %d messages taken by consumers that died", l.drains, l.killed)
}

// Idle reports whether there was no drain or no consumer that died with a
// message.
func (l *Load) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drains == 0 || l.killed == 0
}

func (l *Load) upTo(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rand.IntN(n)
}

// part is a random part of d.
func (l *Load) part(d time.Duration) time.Duration { return d * time.Duration(l.upTo(1000)) / 1000 }

// wait waits for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// publish is one publisher, which sends its share. On a FIFO queue it has groups
// of its own.
func (l *Load) publish(ctx context.Context, i int) {
	most := 1
	if i >= lone {
		most = sliceLen
	}
	for at := i; at < l.Messages && ctx.Err() == nil; wait(ctx, l.part(l.Pause)) {
		var ms []broker.Message
		for ; len(ms) < most && at < l.Messages; at += lone + slicing {
			m := broker.Message{Subject: l.Queue, Body: fmt.Append(nil, at)}
			if strings.HasSuffix(l.Queue, ".fifo") {
				m.Key, m.DedupID = fmt.Sprint(i, "-", l.upTo(cmp.Or(l.Groups, 3))), string(m.Body)
			}
			ms = append(ms, m)
		}
		for len(ms) > 0 && ctx.Err() == nil {
			ms = l.try(ctx, ms)
		}
	}
}

// try publishes messages and returns those that failed.
func (l *Load) try(ctx context.Context, ms []broker.Message) (failed []broker.Message) {
	for _, m := range ms {
		l.Audit.Publishing(string(m.Body), m.Key)
	}
	receipts := make([]broker.Receipt, 1)
	var err error
	if len(ms) == 1 {
		receipts[0], err = l.Broker.Publish(ctx, ms[0])
	} else {
		receipts, err = l.Broker.PublishBatch(ctx, ms)
	}
	for i, m := range ms {
		if broker.ItemError(err, i) == nil {
			l.Audit.Published(string(m.Body), receipts[i])
		} else {
			failed = append(failed, m)
		}
	}
	return failed
}

// consume has one subscription after the other.
func (l *Load) consume(ctx context.Context) {
	for ctx.Err() == nil {
		sub, err := l.Broker.Subscribe(ctx, l.Queue, l.handle, broker.Group("workers"), broker.Concurrency(cmp.Or(l.Workers, 16)),
			broker.Backoff{Min: l.Lease / 30, Max: l.Lease / 3})
		if err != nil { // its look-ups failed
			wait(ctx, l.Lease/300)
			continue
		}
		wait(ctx, l.Lease+l.part(10*l.Lease))
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.part(l.Lease*2/3))
		report, err := sub.Drain(patience)
		cancel()
		<-sub.Done()
		l.mu.Lock()
		l.drains++
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			l.errs = append(l.errs, fmt.Errorf("drain: %+v, %w", report, err))
		}
		l.mu.Unlock()
	}
}

// kill is consumers that die with messages in hand.
func (l *Load) kill(ctx context.Context) {
	for ctx.Err() == nil {
		ds, _ := l.Broker.Receive(ctx, l.Queue, 1+l.upTo(10))
		for _, d := range ds {
			l.Audit.Killed(d)
		}
		l.mu.Lock()
		l.killed += len(ds)
		l.mu.Unlock()
		wait(ctx, l.Lease/3+l.part(l.Lease))
	}
}

var errUnlucky = errors.New("as the test wants")

// handle takes its time, now and then longer than the lease, and fails now and
// then.
func (l *Load) handle(ctx context.Context, d *broker.Delivery) (err error) {
	run := l.Audit.Began(ctx, d)
	defer func() { run.Ended(err) }()
	work := l.part(l.Lease / 30)
	if l.upTo(cmp.Or(l.Slow, 50)) == 0 {
		work = l.Lease + l.part(l.Lease)
	}
	wait(ctx, work)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case l.upTo(33) == 0:
		return errUnlucky
	}
	return nil
}
