package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// slow lets every call take as long as a call over a network.
func (r *rig) slow(d time.Duration) {
	r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
		time.Sleep(d)
		next.ServeHTTP(w, req)
		return true
	})
}

func TestPublishersShareCalls(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.called()
		r.slow(5 * time.Millisecond)
		begin := time.Now()
		receipts := make([]broker.Receipt, 24)
		var all sync.WaitGroup
		for i := range receipts {
			all.Go(func() {
				var err error
				receipts[i], err = r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: fmt.Append(nil, i)})
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if c := r.called(); c["SendMessage"] != 1 || c["SendMessageBatch"] != 3 { // 1, 10, 10, 3
			t.Errorf("got %v", c)
		}
		if took := time.Since(begin); took != 10*time.Millisecond {
			t.Errorf("it took %v, want two calls' time", took)
		}
		r.setFault(nil)
		ids := map[string]string{}
		for range 3 {
			for _, d := range r.take(t, "jobs", min(10, 24-len(ids))) {
				ids[string(d.Body)] = d.ID
			}
		}
		for i, receipt := range receipts {
			if id := ids[fmt.Sprint(i)]; receipt.ID == "" || receipt.ID != id || receipt.Outcome != broker.OutcomeStored {
				t.Errorf("message %d has the id %q and the receipt %+v", i, id, receipt)
			}
		}
	})
}

// One publisher after the other waits for nobody.
func TestPublishAlone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.slow(5 * time.Millisecond)
		begin := time.Now()
		r.publish(t, "jobs", "", "a", "b", "c")
		if took := time.Since(begin); took != 15*time.Millisecond {
			t.Errorf("three calls of 5ms took %v", took)
		}
	})
}

// watchAPI tells when sends begin and end.
type watchAPI struct {
	API
	watch func(groups []string) (end func())
}

func (a watchAPI) SendMessage(ctx context.Context, in *sqs.SendMessageInput, opts ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	defer a.watch([]string{aws.ToString(in.MessageGroupId)})()
	return a.API.SendMessage(ctx, in, opts...)
}

func (a watchAPI) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	var groups []string
	for _, e := range in.Entries {
		groups = append(groups, aws.ToString(e.MessageGroupId))
	}
	slices.Sort(groups)
	defer a.watch(slices.Compact(groups))()
	return a.API.SendMessageBatch(ctx, in, opts...)
}

func TestOneCallAtATimeForAGroup(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo", "ContentBasedDeduplication", "true")
		var mu sync.Mutex
		now := map[string]int{}
		calls, most := 0, 0
		add := func(groups []string, n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, g := range groups {
				if now[g] += n; now[g] > 1 {
					t.Errorf("two calls have messages of group %s", g)
				}
			}
			calls += n
			most = max(most, calls)
		}
		b, err := New(watchAPI{r.client, func(groups []string) func() {
			add(groups, 1)
			time.Sleep(5 * time.Millisecond)
			return func() { add(groups, -1) }
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { // beside the others, slices of all the groups
				for j := range 5 {
					var ms []broker.Message
					for k := range 32 {
						ms = append(ms, broker.Message{Subject: "orders.fifo", Key: fmt.Sprint(k % 16), Body: fmt.Append(nil, i, j, k, "of a slice")})
					}
					if _, err := b.PublishBatch(t.Context(), ms); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range 64 {
			all.Go(func() {
				for j := range 5 {
					m := broker.Message{Subject: "orders.fifo", Key: fmt.Sprint(i % 16), Body: fmt.Append(nil, i, j)}
					if _, err := b.Publish(t.Context(), m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if most < 2 {
			t.Error("groups do not go in parallel")
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCancelledPublish(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.slow(time.Second / 10)
		publish := func(body string, timeout time.Duration) chan error {
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				_, err := r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte(body)})
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		first := publish("first", time.Minute)
		waiting := publish("waiting", 50*time.Millisecond)
		sent := publish("sent", 150*time.Millisecond)
		other := publish("other", time.Minute)
		err := <-waiting
		wantError(t, "who waited", err, context.DeadlineExceeded)
		if errors.Is(err, broker.ErrOutcomeUnknown) {
			t.Errorf("it was never sent, so its outcome is known: %v", err)
		}
		wantError(t, "who was sent", <-sent, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
		if err := errors.Join(<-first, <-other); err != nil {
			t.Errorf("the others: %v", err)
		}
		if got := bodies(r.take(t, "jobs", 3)); !slices.Equal(got, []string{"first", "sent", "other"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestSettlersShareCalls(t *testing.T) {
	for _, c := range []struct {
		name, action string
		do           func(r *rig, d *broker.Delivery) error
	}{
		{"delete", "DeleteMessageBatch", func(r *rig, d *broker.Delivery) error { return r.Delete(context.Background(), d) }},
		{"extend", "ChangeMessageVisibilityBatch", func(r *rig, d *broker.Delivery) error {
			return r.Extend(context.Background(), time.Minute, d)
		}},
		{"release", "ChangeMessageVisibilityBatch", func(r *rig, d *broker.Delivery) error {
			return r.Release(context.Background(), time.Minute, d)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				var ds []*broker.Delivery
				if _, err := r.PublishBatch(t.Context(), letters(20)); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					ds = append(ds, r.take(t, "jobs", 10)...)
				}
				ds[7].Handle.(*handle).native.ReceiptHandle = aws.String("broken")
				r.called()
				r.slow(5 * time.Millisecond)
				var all sync.WaitGroup
				for i, d := range ds {
					all.Go(func() {
						if err := c.do(r, d); (err != nil) != (i == 7) {
							t.Errorf("delivery %d: %v", i, err)
						}
					})
					synctest.Wait()
				}
				all.Wait()
				if got := r.called()[c.action]; got != 3 { // 1, 10 and 9
					t.Errorf("%d calls, want 3", got)
				}
			})
		})
	}
}

// Close waits for shared calls, and not for longer than its context.
// A batch that is being sent when the broker is closed ends with the call that is
// under way, whose messages have their results.
func TestCloseStopsBatches(t *testing.T) {
	for _, queue := range []string{"jobs", "orders.fifo"} {
		t.Run(queue, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, queue)
				r.none(t, queue)
				ms := make([]broker.Message, 40)
				for i := range ms {
					ms[i] = broker.Message{Subject: queue, Body: []byte("a")}
					if queue != "jobs" {
						ms[i].Key, ms[i].DedupID = strconv.Itoa(i), strconv.Itoa(i)
					}
				}
				r.slow(5 * time.Second)
				r.called()
				begin := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					_, err := r.PublishBatch(context.Background(), ms)
					for i := range ms {
						if item := broker.ItemError(err, i); (item == nil) != (i < 20) || i >= 20 && !errors.Is(item, broker.ErrClosed) {
							t.Errorf("message %d: %v", i, item)
						}
					}
				})
				time.Sleep(7 * time.Second)
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
				sending.Wait()
				if took, n := time.Since(begin), r.sends(); took != 10*time.Second || n != 2 {
					t.Errorf("it ended after %v and %d calls, want 10s and 2", took, n)
				}
			})
		})
	}
}

// So does one that pauses before it sends something again, and one that sends what
// SQS refused as a whole one by one.
func TestCloseStopsTries(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		b, err := New(newFailAPI(r.client, false, map[string]int{"a": 100}), nil)
		if err != nil {
			t.Fatal(err)
		}
		var sending sync.WaitGroup
		sending.Go(func() {
			_, err := b.PublishBatch(context.Background(), letters(2))
			wantError(t, "PublishBatch", broker.ItemError(err, 0), broker.ErrClosed, broker.ErrUnavailable)
			if item := broker.ItemError(err, 1); item != nil {
				t.Error(item)
			}
		})
		synctest.Wait()
		begin := time.Now()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		sending.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("it ended %v after Close", took)
		}
	})
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.setFault(func(_ string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			time.Sleep(time.Second)
			writeError(w, http.StatusBadRequest, "InvalidParameterValue")
			return true
		})
		r.called()
		var sending sync.WaitGroup
		sending.Go(func() {
			_, err := r.PublishBatch(context.Background(), letters(3))
			wantError(t, "a", broker.ItemError(err, 0), broker.ErrInvalid)
			wantError(t, "b", broker.ItemError(err, 1), broker.ErrClosed)
		})
		time.Sleep(3 * time.Second / 2)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		sending.Wait()
		if n := r.sends(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestCloseCutsCallsOff(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		began := make(chan struct{}, 2)
		var once sync.Once
		r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			began <- struct{}{}
			first := false
			once.Do(func() { first = true })
			if !first {
				hang(req)
				return true
			}
			time.Sleep(time.Second)
			next.ServeHTTP(w, req)
			return true
		})
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				_, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
				if i == 0 && err != nil {
					t.Error(err)
				} else if i > 0 {
					wantError(t, "cut off", err, broker.ErrClosed, broker.ErrOutcomeUnknown)
				}
			})
			synctest.Wait()
		}
		<-began
		<-began
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantError(t, "Close", r.Close(ctx), context.DeadlineExceeded)
		all.Wait()
	})
}

// Calls that are shared are split by bytes as well, headers and encoding
// included.
func TestPublishersShareBytes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.called()
		r.slow(5 * time.Millisecond)
		half := strings.Repeat("x", 1<<19-1000)
		var all sync.WaitGroup
		for _, m := range []broker.Message{
			{Body: []byte("first")},
			{Body: []byte(half)}, {Body: []byte(half), Header: broker.Header{"h": strings.Repeat("v", 900)}}, // in one call
			{Body: []byte(half)}, {Body: []byte(half), Header: broker.Header{"h": strings.Repeat("v", 2000)}}, // not
			{Body: make([]byte, 1<<19)}, // 683 KiB in base64
		} {
			m.Subject = "jobs"
			all.Go(func() {
				if _, err := r.Publish(t.Context(), m); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if c := r.called(); c["SendMessage"]+c["SendMessageBatch"] != 5 {
			t.Errorf("got %v, want five calls, one of them for two messages", c)
		}
	})
}

// A caller that gives up while its message is in a call of its own does not
// know what became of it.
func TestCancelledPublishAlone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		r.slow(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
	})
}
