package sqsbroker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsaudit"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

var (
	faultMessages = flag.Int("messages", 5_000, "messages of a fault run on each kind of queue")
	faultSeed     = flag.Uint64("seed", 0, "seed of the fault runs; 0: another one each time")
)

// TestFaultRun has publishers and consumers work on an endpoint that throttles,
// fails, drops requests and answers, fails entries of batches, delivers twice
// and lets leases end, in virtual time. Package sqsaudit judges by the wire and
// by the endpoint's own log.
func TestFaultRun(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64() | 1
	}
	for _, name := range []string{"jobs", "orders.fifo"} {
		t.Run(name, func(t *testing.T) {
			t.Logf("-messages=%d -seed=%d", *faultMessages, seed)
			synctest.Test(t, func(t *testing.T) {
				f := newFaultRun(t, name, seed, *faultMessages)
				defer f.server.Close()
				f.run()
				f.report()
			})
		})
	}
}

const (
	faultLease = 30 * time.Second
	faultKeys  = 40
	// giveUp is when a run that has not ended has lost something.
	giveUp = 60 * 24 * time.Hour
)

// weather is what goes wrong at any time.
var weather = sqstest.FaultPlan{
	Throttle: 0.30, ServerError: 0.04, DropRequest: 0.03, DropResponse: 0.03, Entry: 0.10, Latency: 5 * time.Millisecond,
}

type faultRun struct {
	t       *testing.T
	queue   string
	fifo    bool
	total   int
	server  *sqstest.Server
	faults  *sqstest.Faults
	outage  *sqstest.Faults // of heartbeats
	audit   *sqsaudit.Audit
	broker  *sqsbroker.Broker
	working context.Context // ends when every message has ended
	done    context.CancelFunc

	mu      sync.Mutex
	rand    *rand.Rand
	drains  int
	outages int
	killed  int
}

func newFaultRun(t *testing.T, name string, seed uint64, total int) *faultRun {
	t.Helper()
	f := &faultRun{
		t: t, queue: name, fifo: strings.HasSuffix(name, ".fifo"), total: total,
		faults: sqstest.NewFaults(seed, sqstest.FaultPlan{}),
		outage: sqstest.NewFaults(seed, sqstest.FaultPlan{}),
		rand:   rand.New(rand.NewPCG(seed, 2)), //nolint:gosec // a reproducible test
	}
	f.audit = sqsaudit.New(sqsaudit.Options{FIFO: f.fifo, Lease: faultLease, Log: true, Worst: !f.fifo, Slack: weather.Latency})
	f.server = sqstest.NewMemoryServer(&sqstest.Options{
		WorstCase: seed,
		Wrap:      func(next http.Handler) http.Handler { return f.faults.Wrap(f.outage.Wrap(next)) },
	})
	f.server.Observe(f.audit.Event)
	attrs := map[string]string{"VisibilityTimeout": seconds(faultLease)}
	if f.fifo {
		attrs["FifoQueue"] = "true"
	}
	if err := f.server.CreateQueue(name, attrs); err != nil {
		t.Fatal(err)
	}
	client := f.server.Client(func(o *sqs.Options) { o.HTTPClient = f.audit.Watch(o.HTTPClient) })
	b, err := sqsbroker.New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.broker = b
	f.working, f.done = context.WithCancel(t.Context())
	return f
}

func (f *faultRun) chance(percent int) bool { return f.upTo(100) < percent }

func (f *faultRun) upTo(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

// run publishes everything, with consumers that come, go and die, until every
// message has ended.
func (f *faultRun) run() {
	f.faults.Set(weather)
	var publishers, others sync.WaitGroup
	const lone, batching = 24, 6
	for i := range lone + batching {
		publishers.Go(func() { f.publish(i, lone+batching, i >= lone) })
	}
	for range 3 {
		others.Go(f.consume)
	}
	others.Go(f.kill)
	others.Go(f.starve)
	publishers.Wait()
	for began := time.Now(); f.audit.Open() > 0 || !f.empty(); time.Sleep(time.Second) {
		if time.Since(began) > giveUp {
			f.t.Errorf("%d messages have not ended", f.audit.Open())
			break
		}
	}
	f.done()
	others.Wait()
	if err := f.broker.Close(f.t.Context()); err != nil {
		f.t.Errorf("Close: %v", err)
	}
}

// empty reports whether nothing is left, also of what the worst case delivers
// after its delete.
func (f *faultRun) empty() bool {
	s, err := f.server.Stats(f.queue)
	if err != nil {
		f.t.Error(err)
	}
	return s.Visible+s.InFlight+s.Delayed == 0
}

// publish is one of n publishers, which sends its share one by one or in
// batches, and tries each message until it is stored. On a FIFO queue, each has
// keys of its own.
func (f *faultRun) publish(i, n int, batches bool) {
	for at := i; at < f.total; {
		var ms []broker.Message
		for most := 1 + 24*b2i(batches); len(ms) < most && at < f.total; at += n {
			m := broker.Message{Subject: f.queue, Body: fmt.Append(nil, at)}
			if f.fifo {
				m.Key, m.DedupID = fmt.Sprint("k", i, "-", f.upTo(faultKeys)%3), string(m.Body)
			}
			ms = append(ms, m)
		}
		for len(ms) > 0 {
			ms = f.attempt(ms)
		}
		time.Sleep(time.Duration(f.upTo(500)) * time.Millisecond)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// attempt publishes messages and returns those that failed.
func (f *faultRun) attempt(ms []broker.Message) (failed []broker.Message) {
	for _, m := range ms {
		f.audit.Publishing(string(m.Body), m.Key)
	}
	receipts := make([]broker.Receipt, 1)
	var err error
	if len(ms) == 1 {
		receipts[0], err = f.broker.Publish(f.t.Context(), ms[0])
	} else {
		receipts, err = f.broker.PublishBatch(f.t.Context(), ms)
	}
	for i, m := range ms {
		if broker.ItemError(err, i) == nil {
			f.audit.Published(string(m.Body), receipts[i])
		} else {
			failed = append(failed, m)
		}
	}
	return failed
}

// consume has one subscription after the other, each drained after a while,
// some with no time to finish.
func (f *faultRun) consume() {
	for f.working.Err() == nil {
		sub, err := f.broker.Subscribe(f.t.Context(), f.queue, f.handle, broker.Group("workers"), broker.Concurrency(16),
			broker.Backoff{Min: time.Second, Max: 10 * time.Second}, broker.OnError(func(context.Context, *broker.Delivery, error) {}))
		if err != nil { // the look-up was throttled
			continue
		}
		f.await(time.Duration(30+f.upTo(300)) * time.Second)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Duration(f.upTo(20))*time.Second)
		if report, err := sub.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			f.t.Errorf("drain: %+v, %v", report, err)
		}
		cancel()
		<-sub.Done()
		f.mu.Lock()
		f.drains++
		f.mu.Unlock()
	}
}

// await waits for d or the end of the run.
func (f *faultRun) await(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.working.Done():
	}
}

// kill is consumers that die with messages in hand.
func (f *faultRun) kill() {
	for f.working.Err() == nil {
		ds, err := f.broker.Receive(f.working, f.queue, 1+f.upTo(10))
		for _, d := range ds {
			f.audit.Killed(d)
		}
		if err == nil {
			f.mu.Lock()
			f.killed += len(ds)
			f.mu.Unlock()
		}
		f.await(time.Duration(10+f.upTo(30)) * time.Second)
	}
}

// starve lets no heartbeat through for longer than a lease, now and then.
func (f *faultRun) starve() {
	for f.working.Err() == nil {
		f.await(time.Duration(60+f.upTo(120)) * time.Second)
		f.outage.Set(sqstest.FaultPlan{Throttle: 1, Only: []string{"ChangeMessageVisibilityBatch"}})
		f.await(2 * faultLease)
		f.outage.Set(sqstest.FaultPlan{})
		f.mu.Lock()
		f.outages++
		f.mu.Unlock()
	}
}

var errUnlucky = errors.New("as the test wants")

// handle takes its time, a few longer than the lease, and fails now and then.
func (f *faultRun) handle(ctx context.Context, d *broker.Delivery) (err error) {
	run := f.audit.Began(ctx, d)
	defer func() { run.Ended(err) }()
	work := time.Duration(f.upTo(1000)) * time.Millisecond
	if f.chance(2) {
		work = time.Duration(1+f.upTo(2)) * faultLease
	}
	timer := time.NewTimer(work)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f.chance(3) {
		return errUnlucky
	}
	return nil
}

func (f *faultRun) report() {
	verdict := f.audit.Judge()
	hits := f.faults.Hits()
	f.t.Logf("%v; faults %v; %d heartbeats refused in %d outages, %d drains, %d messages taken by consumers that died",
		verdict, hits, f.outage.Hits()[sqstest.FaultThrottle], f.outages, f.drains, f.killed)
	for _, v := range verdict.Violations {
		f.t.Error(v)
	}
	for _, kind := range []sqstest.Fault{
		sqstest.FaultThrottle, sqstest.FaultServerError, sqstest.FaultDropRequest, sqstest.FaultDropResponse,
		sqstest.FaultEntry, sqstest.FaultLatency,
	} {
		if hits[kind] == 0 {
			f.t.Errorf("no fault %q was injected: the run proves nothing of it", kind)
		}
	}
	causes := []sqsaudit.Cause{sqsaudit.AnswerLost, sqsaudit.Killed, sqsaudit.HandlerFailed, sqsaudit.ExtendFailed}
	if !f.fifo {
		causes = append(causes, sqsaudit.Injected)
	}
	for _, c := range causes {
		if verdict.Redeliver[c] == 0 {
			f.t.Errorf("nothing came again %s: the run proves nothing of it", c)
		}
	}
	if f.drains == 0 || f.outages == 0 || f.killed == 0 {
		f.t.Error("no drain, no outage or no killed consumer")
	}
}
