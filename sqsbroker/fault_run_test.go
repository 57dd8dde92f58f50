package sqsbroker_test

import (
	"context"
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

	"github.com/candidmq/candidmq/internal/sqsaudit"
	"github.com/candidmq/candidmq/internal/sqssuite"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// leastMessages are enough for every kind of fault to hit, also those that are
// rare: with 500, most runs lack one.
const leastMessages = 2_000

var (
	faultMessages = flag.Int("messages", 5_000, fmt.Sprintf("messages of a fault run on each kind of queue, at least %d", leastMessages))
	faultSeed     = flag.Uint64("seed", 0, "seed of the fault runs; 0: another one each time")
)

// TestFaultRun has publishers and consumers work on an endpoint that throttles,
// fails, drops requests and answers, fails entries of batches, delivers twice
// and lets leases end, in virtual time. Package sqsaudit judges by the wire and
// by the endpoint's own log.
func TestFaultRun(t *testing.T) {
	if *faultMessages < leastMessages {
		t.Fatalf("-messages=%d: fewer than %d may not meet every kind of fault, and a run that does not proves nothing of it", *faultMessages, leastMessages)
	}
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64() | 1
	}
	for _, queue := range []string{"jobs", "orders.fifo"} {
		t.Run(queue, func(t *testing.T) {
			t.Logf("-messages=%d -seed=%d", *faultMessages, seed)
			synctest.Test(t, func(t *testing.T) { newFaultRun(t, queue, seed).run() })
		})
	}
}

const (
	faultLease = 30 * time.Second
	// faultLimit is when a run that has not ended has lost something.
	faultLimit = 60 * 24 * time.Hour
)

// faultPlan is what goes wrong at any time.
var faultPlan = sqstest.FaultPlan{
	Throttle: 0.30, ServerError: 0.04, DropRequest: 0.03, DropResponse: 0.03, Entry: 0.10, Latency: 5 * time.Millisecond,
}

type faultRun struct {
	t      *testing.T
	fifo   bool
	server *sqstest.Server
	faults *sqstest.Faults
	outage *sqstest.Faults // of heartbeats
	audit  *sqsaudit.Audit
	broker *sqsbroker.Broker
	load   *sqsaudit.Load
}

func newFaultRun(t *testing.T, queue string, seed uint64) *faultRun {
	t.Helper()
	f := &faultRun{
		t: t, fifo: strings.HasSuffix(queue, ".fifo"),
		faults: sqstest.NewFaults(seed, faultPlan),
		outage: sqstest.NewFaults(seed, sqstest.FaultPlan{}),
	}
	f.audit = sqsaudit.New(sqsaudit.Options{
		FIFO: f.fifo, Lease: faultLease, Log: true, Worst: !f.fifo, Slack: faultPlan.Latency,
	})
	f.server = sqstest.NewMemoryServer(&sqstest.Options{
		WorstCase: seed,
		Wrap:      func(next http.Handler) http.Handler { return f.faults.Wrap(f.outage.Wrap(next)) },
	})
	f.server.Observe(f.audit.Event)
	attrs := map[string]string{"VisibilityTimeout": sqssuite.Seconds(faultLease)}
	if f.fifo {
		attrs["FifoQueue"] = "true"
	}
	if err := f.server.CreateQueue(queue, attrs); err != nil {
		t.Fatal(err)
	}
	client := f.server.Client(func(o *sqs.Options) { o.HTTPClient = f.audit.Watch(o.HTTPClient) })
	b, err := sqsbroker.New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.broker = b
	f.load = &sqsaudit.Load{
		Audit: f.audit, Broker: b, Queue: queue, Messages: *faultMessages, Lease: faultLease, Pause: 500 * time.Millisecond, Seed: seed,
	}
	return f
}

// run has the load at work until every message has ended, and judges.
func (f *faultRun) run() {
	defer f.server.Close()
	ctx, cancel := context.WithTimeout(f.t.Context(), faultLimit)
	var starving sync.WaitGroup
	starving.Go(func() { f.starve(ctx) })
	err := f.load.Run(ctx, f.over)
	cancel()
	starving.Wait()
	if err != nil {
		f.t.Errorf("with %d messages that had not ended: %v", f.audit.Open(), err)
	}
	if err := f.broker.Close(f.t.Context()); err != nil {
		f.t.Errorf("Close: %v", err)
	}
	f.report()
}

// over reports whether nothing is left, also of what the worst case delivers
// after its delete.
func (f *faultRun) over() bool {
	s, err := f.server.Stats(f.load.Queue)
	if err != nil {
		f.t.Error(err)
	}
	return f.audit.Open() == 0 && s.Visible+s.InFlight+s.Delayed == 0
}

// starve lets no heartbeat through for two leases of every eight.
func (f *faultRun) starve(ctx context.Context) {
	for n := 0; ; n++ {
		select {
		case <-time.After(2 * faultLease):
		case <-ctx.Done():
			return
		}
		plan := sqstest.FaultPlan{Only: []string{"ChangeMessageVisibilityBatch"}}
		if n%4 == 0 {
			plan.Throttle = 1
		}
		f.outage.Set(plan)
	}
}

// report logs the figures. A kind of fault that did not hit fails the run.
func (f *faultRun) report() {
	verdict := f.audit.Judge()
	hits, refused := f.faults.Hits(), f.outage.Hits()[sqstest.FaultThrottle]
	f.t.Logf("%v; %v; %d heartbeats refused in outages; faults %v", verdict, f.load, refused, hits)
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
	if refused == 0 || f.load.Idle() {
		f.t.Errorf("a fault did not hit: %d heartbeats refused, %v", refused, f.load)
	}
}
