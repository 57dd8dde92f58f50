package sqsbroker

import (
	"context"
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
			pause < entryPause.Min || pause > 2*entryPause.Min || api.sent["c"] != 2 {
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
