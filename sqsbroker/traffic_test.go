package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

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

// failAPI fails entries of batches for the first few times, as SQS does by its
// own fault or the sender's.
type failAPI struct {
	API
	mu     *sync.Mutex
	fails  map[string]int // by body or handle: how often still
	sender bool
	sent   map[string]int
}

func newFailAPI(next API, sender bool, fails map[string]int) *failAPI {
	return &failAPI{API: next, mu: &sync.Mutex{}, fails: fails, sender: sender, sent: map[string]int{}}
}

func (a *failAPI) failing(id *string, what string) *types.BatchResultErrorEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[what]++
	if a.fails[what] == 0 {
		return nil
	}
	a.fails[what]--
	return &types.BatchResultErrorEntry{Id: id, Code: aws.String("InternalError"), SenderFault: a.sender}
}

func (a *failAPI) SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	some := *in
	some.Entries = nil
	var failed []types.BatchResultErrorEntry
	for _, e := range in.Entries {
		if f := a.failing(e.Id, *e.MessageBody); f != nil {
			failed = append(failed, *f)
		} else {
			some.Entries = append(some.Entries, e)
		}
	}
	if len(some.Entries) == 0 {
		return &sqs.SendMessageBatchOutput{Failed: failed}, nil
	}
	out, err := a.API.SendMessageBatch(ctx, &some, opts...)
	if err == nil {
		out.Failed = append(out.Failed, failed...)
	}
	return out, err
}

func (a *failAPI) SendMessage(ctx context.Context, in *sqs.SendMessageInput, opts ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	if a.failing(nil, *in.MessageBody) != nil {
		return nil, &smithy.GenericAPIError{Code: "InternalError", Fault: smithy.FaultServer}
	}
	return a.API.SendMessage(ctx, in, opts...)
}

func (a *failAPI) DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, opts ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	some := *in
	some.Entries = nil
	var failed []types.BatchResultErrorEntry
	for _, e := range in.Entries {
		if f := a.failing(e.Id, "delete"); f != nil {
			failed = append(failed, *f)
		} else {
			some.Entries = append(some.Entries, e)
		}
	}
	if len(some.Entries) == 0 {
		return &sqs.DeleteMessageBatchOutput{Failed: failed}, nil
	}
	out, err := a.API.DeleteMessageBatch(ctx, &some, opts...)
	if err == nil {
		out.Failed = append(out.Failed, failed...)
	}
	return out, err
}

func letters(n int) []broker.Message {
	all := make([]broker.Message, n)
	for i := range all {
		all[i] = broker.Message{Subject: "jobs", Body: []byte{byte('a' + i)}}
	}
	return all
}

func TestEntriesAreSentAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		sender bool
		fails  int
		sent   int
		err    error
	}{
		{"twice", false, 2, 3, nil},
		{"for good", false, 100, entryTries, broker.ErrUnavailable},
		{"the sender's fault", true, 100, 1, broker.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				api := newFailAPI(r.client, c.sender, map[string]int{"c": c.fails, "d": c.fails})
				b, err := New(api, nil)
				if err != nil {
					t.Fatal(err)
				}
				receipts, err := b.PublishBatch(t.Context(), letters(12))
				for i, receipt := range receipts {
					item := broker.ItemError(err, i)
					if (i == 2 || i == 3) && c.err != nil {
						wantError(t, "c or d", item, c.err)
					} else if item != nil || receipt.ID == "" {
						t.Errorf("message %d: got %v, %+v", i, item, receipt)
					}
				}
				for body, n := range api.sent {
					if hit := body == "c" || body == "d"; hit && n != c.sent || !hit && n != 1 {
						t.Errorf("%s was sent %d times", body, n)
					}
				}
			})
		})
	}
}

// A publisher whose entry fails tries again, and the others of its call do not
// wait for that.
func TestPublishTriesAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		api := newFailAPI(r.client, false, map[string]int{"c": 1})
		b, err := New(api, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.PublishBatch(t.Context(), letters(1)); err != nil {
			t.Fatal(err)
		}
		r.slow(5 * time.Millisecond)
		begin := time.Now()
		var took [4]time.Duration
		var all sync.WaitGroup
		for i, m := range letters(4) {
			all.Go(func() {
				if _, err := b.Publish(t.Context(), m); err != nil {
					t.Errorf("%s: %v", m.Body, err)
				}
				took[i] = time.Since(begin)
			})
			synctest.Wait()
		}
		all.Wait()
		pause := took[2] - 15*time.Millisecond
		if took[0] != 5*time.Millisecond || took[1] != 10*time.Millisecond || took[3] != took[1] ||
			pause < entryPause.Min/2 || pause > entryPause.Min || api.sent["c"] != 2 {
			t.Errorf("got %v, c was sent %d times", took, api.sent["c"])
		}
	})
}

// What is retried on a FIFO queue overtakes nothing, and nothing overtakes it.
func TestEntriesSentAgainKeepOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		b, err := New(newFailAPI(r.client, false, map[string]int{"i": 1, "j": 1, "d": 1}), nil)
		if err != nil {
			t.Fatal(err)
		}
		ms := inOrder() // a, c, e … of key a; b, d, f … of key b
		_, err = b.PublishBatch(t.Context(), ms)
		for i := range ms {
			// SQS stored f although it failed d, which cannot be mended; i and j
			// were the last of their keys in their call.
			switch item := broker.ItemError(err, i); {
			case i == 3:
				wantError(t, "d", item, broker.ErrUnavailable)
			case i == 9, i == 11:
				if item == nil {
					t.Errorf("message %d: no error after a failure of its key", i)
				}
			case item != nil:
				t.Errorf("message %d: %v", i, item)
			}
		}
		got := map[string]string{}
		for _, d := range r.take(t, "orders.fifo", 9) {
			got[d.Key] += string(d.Body)
		}
		if got["a"] != "acegik" || got["b"] != "bfh" {
			t.Errorf("got %v", got)
		}
	})
}

// What fails again is not overtaken either.
func TestNothingOvertakesWhatFailsAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		b, err := New(newFailAPI(r.client, false, map[string]int{"i": 100}), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.PublishBatch(t.Context(), inOrder())
		wantError(t, "k", broker.ItemError(err, 10), broker.ErrSkipped)
		if ds := r.take(t, "orders.fifo", 10); bodies(ds)[4] != "b" {
			t.Errorf("got %v", bodies(ds))
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

func TestSettlingTriesAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for _, n := range []int{1, 3} {
			api := newFailAPI(r.client, false, map[string]int{"delete": 2})
			b, err := New(api, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.PublishBatch(t.Context(), letters(n)); err != nil {
				t.Fatal(err)
			}
			ds, err := b.Receive(t.Context(), "jobs", n)
			if err != nil || len(ds) != n {
				t.Fatal(len(ds), err)
			}
			if err := b.Delete(t.Context(), ds...); err != nil {
				t.Error(err)
			}
			sleep(time.Hour)
			r.none(t, "jobs")
		}
	})
}

// Close waits for shared calls, and not for longer than its context.
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
