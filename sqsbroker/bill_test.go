package sqsbroker

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// BenchmarkBill takes messages through their whole life, from publish to
// delete, with a subscription of 64 workers, and counts the calls: what SQS
// bills. 0.30 is the least that there can be. A slice is published before the
// subscription begins.
//
// On two cores shared with the endpoint and with much other work, Go 1.26,
// November 2026, calls a message, medians of three runs of 10,000: 0.317 from 64
// publishers and 0.316 for a slice at 5 ms, 0.326 and 0.328 without a network. A
// FIFO queue costs the same as long as handlers are quick, see TestTheBill. The
// peak has the endpoint's backlog in it; TestMemory tells it apart.
func BenchmarkBill(b *testing.B) {
	for _, c := range []struct {
		name, queue string
		slice       bool
		options     []func(*sqs.Options)
	}{
		{"64-publishers", "bench", false, nil},
		{"64-publishers-5ms", "bench", false, []func(*sqs.Options){farAway}},
		{"slice", "bench", true, nil},
		{"slice-5ms", "bench", true, []func(*sqs.Options){farAway}},
		{"FIFO-64-publishers-5ms", "bench.fifo", false, []func(*sqs.Options){farAway}},
		{"FIFO-slice-5ms", "bench.fifo", true, []func(*sqs.Options){farAway}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newBench(b, c.queue, c.options...)
			if _, err := r.broker.Describe(b.Context(), r.queue); err != nil { // looks the queue up
				b.Fatal(err)
			}
			peak := watchHeap()
			r.calls.Store(0)
			b.ResetTimer()
			if c.slice {
				each(b, 1, 1000, r.publish)
			}
			done := r.work(b)
			if !c.slice {
				each(b, 64, 1, r.publish)
			}
			done()
			b.StopTimer()
			b.ReportMetric(float64(r.calls.Load())/float64(b.N), "calls/msg")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(peak())/(1<<20), "peak-MiB")
		})
	}
}

// work subscribes with 64 workers. done waits until they have worked b.N
// messages off.
func (r *bench) work(b *testing.B) (done func()) {
	b.Helper()
	var n atomic.Int64
	all := make(chan struct{})
	sub, err := r.broker.Subscribe(b.Context(), r.queue, func(context.Context, *broker.Delivery) error {
		if n.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	}, broker.Group("g"), broker.Concurrency(64))
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		<-all
		if _, err := sub.Drain(b.Context()); err != nil {
			b.Error(err)
		}
	}
}

// A destination that nothing happens on costs a long poll each 20 s.
func TestIdleCalls(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for _, queue := range []string{"jobs", "orders.fifo"} {
			r.create(t, queue)
			if _, err := r.Subscribe(t.Context(), queue, nothing, workers, broker.Concurrency(64)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r.called()
		sleep(3 * time.Second)
		if c := r.called(); len(c) > 0 {
			t.Errorf("3 s: got %v", c)
		}
		sleep(time.Hour)
		if c := r.called(); c["ReceiveMessage"] > 2*180 || len(c) > 2 {
			t.Errorf("an hour: got %v", c)
		}
	})
}

// overNetwork lets every call take about 5 ms. Calls of exactly 5 ms would
// return all at the same time, which no network does: each time none would be in
// flight, and the next delete would go alone.
func (r *rig) overNetwork() {
	r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
		time.Sleep(network*4/5 + rand.N(network*2/5))
		next.ServeHTTP(w, req)
		return true
	})
}

// 64 publishers and 64 workers pay for little more than three calls for ten
// messages, of which 0.30 a message is the least, on a FIFO queue as on a Standard
// one: the messages of a group that come in one receive are worked off one after
// the other, and deleted together where handlers are quick.
func TestTheBill(t *testing.T) {
	const total = 3200
	for _, c := range []struct {
		name, queue string
		keys        int
		slice       bool
		sends, most float64
	}{
		{"64 publishers", "jobs", 0, false, 0.103, 0.32},
		{"a slice", "jobs", 0, true, 0.100, 0.32},
		{"FIFO, 64 publishers", "jobs.fifo", 64, false, 0.103, 0.32},
		{"FIFO, a slice", "jobs.fifo", 64, true, 0.100, 0.32},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, c.queue)
				r.none(t, c.queue)
				r.overNetwork()
				r.called()
				ms := make([]broker.Message, total)
				for i := range ms {
					ms[i] = broker.Message{Subject: c.queue, Body: []byte("a")}
					if c.keys > 0 {
						ms[i].Key, ms[i].DedupID = strconv.Itoa(i%c.keys), strconv.Itoa(i)
					}
				}
				if c.slice {
					if _, err := r.PublishBatch(t.Context(), ms); err != nil {
						t.Fatal(err)
					}
					ms = nil
				}
				sub, err := r.Subscribe(t.Context(), c.queue, nothing, workers, broker.Concurrency(64))
				if err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				for i := range 64 {
					all.Go(func() {
						for ; i < len(ms); i += 64 {
							if _, err := r.Publish(t.Context(), ms[i]); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				for sub.Counts().Deleted < total {
					sleep(time.Second)
				}
				calls := 0
				got := r.called()
				for _, n := range got {
					calls += n
				}
				if per := float64(calls) / total; per > c.most {
					t.Errorf("%.3f calls a message, want at most %.2f: %v", per, c.most, got)
				} else {
					t.Logf("%.3f calls a message: %v", per, got)
				}
				if per := float64(got["SendMessage"]+got["SendMessageBatch"]) / total; per > c.sends {
					t.Errorf("%.4f sends a message, want at most %.3f", per, c.sends)
				}
			})
		})
	}
}
