package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
)

func TestBatchSplitsByCountAndBytes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.create(t, "more")
		for _, c := range []struct {
			name  string
			sizes []int
			calls int
		}{
			{"25 small", slices.Repeat([]int{10}, 25), 3},
			{"3 of 1 MiB", slices.Repeat([]int{1 << 20}, 3), 3},
			{"4 of 512 KiB", slices.Repeat([]int{1 << 19}, 4), 2},
			{"a little over 1 MiB", []int{1 << 19, 1<<19 + 1, 1}, 2},
		} {
			var ms []broker.Message
			for _, n := range c.sizes {
				ms = append(ms, broker.Message{Subject: "jobs", Body: []byte(strings.Repeat("x", n))})
			}
			r.called()
			receipts, err := r.PublishBatch(t.Context(), ms)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			for i, receipt := range receipts {
				if receipt.Outcome != broker.OutcomeStored || receipt.ID == "" {
					t.Errorf("%s: receipt %d: got %+v", c.name, i, receipt)
				}
			}
			if got := r.sends(); got != c.calls {
				t.Errorf("%s: %d calls, want %d", c.name, got, c.calls)
			}
		}
		// Headers count as well: 8 + 6 + 1,000 bytes of header a message.
		half := broker.Message{
			Subject: "more", Body: []byte(strings.Repeat("x", 1<<19-1000)),
			Header: broker.Header{"12345678": strings.Repeat("h", 1000)},
		}
		if _, err := r.PublishBatch(t.Context(), []broker.Message{half, half}); err != nil {
			t.Error(err)
		}
		if got := r.sends(); got != 2 {
			t.Errorf("two halves with headers: %d calls, want 2", got)
		}
	})
}

func TestBatchOfNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		if receipts, err := r.PublishBatch(t.Context(), nil); len(receipts) != 0 || err != nil {
			t.Errorf("got %v, %v", receipts, err)
		}
	})
}

func TestBatchChecksAllBeforeItSendsAny(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		_, err := r.PublishBatch(t.Context(), []broker.Message{
			{Subject: "jobs", Body: []byte("a")}, {Subject: "jobs"}, {Subject: "jobs", Body: []byte("b"), Key: "k"},
		})
		if batch, ok := errors.AsType[*broker.BatchError](err); !ok || len(batch.Errs) != 3 {
			t.Fatalf("got %v, want a *BatchError of three", err)
		}
		for i, want := range []error{broker.ErrSkipped, broker.ErrInvalid, errors.ErrUnsupported} {
			wantError(t, "message "+strconv.Itoa(i), broker.ItemError(err, i), want)
		}
		_, err = r.PublishBatch(t.Context(), []broker.Message{
			{Subject: "none", Body: []byte("a")}, {Subject: "none"}, {Subject: "jobs", Body: []byte("b")},
		})
		for i, want := range []error{broker.ErrNotFound, broker.ErrInvalid, broker.ErrSkipped} {
			wantError(t, "with none, message "+strconv.Itoa(i), broker.ItemError(err, i), want)
		}
		r.none(t, "jobs")
	})
}

func TestBatchOverSeveralQueues(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.create(t, "orders.fifo", "ContentBasedDeduplication", "true")
		receipts, err := r.PublishBatch(t.Context(), []broker.Message{
			{Subject: "orders.fifo", Body: []byte("1"), Key: "k"},
			{Subject: "jobs", Body: []byte("2")},
			{Subject: "none", Body: []byte("3")},
			{Subject: "orders.fifo", Body: []byte("4"), Key: "k"},
			{Subject: "none", Body: []byte("5")},
		})
		batch, ok := errors.AsType[*broker.BatchError](err)
		if !ok {
			t.Fatalf("got %v, want a *BatchError", err)
		}
		for i, want := range []broker.Outcome{broker.OutcomeAccepted, broker.OutcomeStored, 0, broker.OutcomeAccepted, 0} {
			if receipts[i].Outcome != want || (batch.Errs[i] == nil) != (want != 0) {
				t.Errorf("message %d: got %v, %v; want %v", i, receipts[i].Outcome, batch.Errs[i], want)
			}
		}
		wantError(t, "message 2", batch.Errs[2], broker.ErrNotFound)
		wantError(t, "message 4", batch.Errs[4], broker.ErrNotFound)
		if got := bodies(r.take(t, "orders.fifo", 2)); !slices.Equal(got, []string{"1", "4"}) {
			t.Errorf("got %v", got)
		}
		if got := r.called()["GetQueueUrl"]; got != 3 {
			t.Errorf("%d GetQueueUrl calls, want one for each queue", got)
		}
	})
}

// batchAPI answers SendMessageBatch as a test wants.
type batchAPI struct {
	API
	answer func(*sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error)
}

func (a batchAPI) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	return a.answer(in)
}

// inOrder makes 12 messages of keys a and b in turn.
func inOrder() []broker.Message {
	var ms []broker.Message
	for i := range 12 {
		ms = append(ms, broker.Message{
			Subject: "orders.fifo", Body: []byte{byte('a' + i)}, Key: []string{"a", "b"}[i%2], DedupID: string(rune('a' + i)),
		})
	}
	return ms
}

func TestBatchStopsAKeyAtItsFirstFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		b, err := New(batchAPI{r.client, func(in *sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
			out := &sqs.SendMessageBatchOutput{}
			for i, e := range in.Entries {
				switch {
				case *e.MessageBody == "c": // key a
					out.Failed = append(out.Failed, types.BatchResultErrorEntry{
						Id: e.Id, Code: aws.String("InternalError"), Message: aws.String("m"), SenderFault: false,
					})
				case i == 3: // key b, "d": not mentioned
				default:
					out.Successful = append(out.Successful, types.SendMessageBatchResultEntry{
						Id: e.Id, MessageId: e.MessageBody, SequenceNumber: aws.String("18849496460467696128"),
					})
				}
			}
			slices.Reverse(out.Successful)
			return out, nil
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts, err := b.PublishBatch(t.Context(), inOrder())
		batch, ok := errors.AsType[*broker.BatchError](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		for i, item := range batch.Errs {
			switch i {
			case 2:
				wantError(t, "the failed one", item, broker.ErrUnavailable)
				if api, ok := errors.AsType[smithy.APIError](item); !ok || api.ErrorCode() != "InternalError" || api.ErrorFault() != smithy.FaultServer {
					t.Errorf("the failed one: got %#v", api)
				}
			case 3:
				wantError(t, "the one that is not mentioned", item, broker.ErrOutcomeUnknown)
			case 10, 11:
				wantError(t, "a later call's", item, broker.ErrSkipped)
				if e, ok := errors.AsType[*broker.Error](item); !ok || e.Retryable != (i == 10) { // as what it is behind
					t.Errorf("message %d: got %+v", i, e)
				}
			default:
				if item != nil || receipts[i].ID != string(rune('a'+i)) || receipts[i].Sequence.String() != "18849496460467696128" {
					t.Errorf("message %d: got %+v, %v", i, receipts[i], item)
				}
			}
		}
	})
}

// Two names of one queue are one queue: order holds across them, and so does the
// end of a key at its first failure.
func TestBatchUnderTwoNames(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "orders.fifo")
			failing := map[string]int{}
			if fails {
				failing["j"] = 1 // the last one of the first call
			}
			b, err := New(newFailAPI(r.client, true, failing), nil)
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"orders.fifo", r.server.QueueURL("orders.fifo"), arnOf("orders.fifo")}
			var ms []broker.Message
			for i, m := range letters(12) {
				m.Subject, m.Key, m.DedupID = names[i%3], "k", string(m.Body)
				ms = append(ms, m)
			}
			_, err = b.PublishBatch(t.Context(), ms)
			for i := 9; i < len(ms) && fails; i++ {
				want := broker.ErrSkipped
				if i == 9 {
					want = broker.ErrUnavailable
				}
				wantError(t, string(ms[i].Body), broker.ItemError(err, i), want)
			}
			if err != nil && !fails {
				t.Error(err)
			}
			want := "abcdefghi"
			if !fails {
				want = "abcdefghij" // all that one receive gives
			}
			if got := strings.Join(bodies(r.take(t, "orders.fifo", len(want))), ""); got != want {
				t.Errorf("stored %s, want %s", got, want)
			}
		})
	}
}

func TestBatchCallThatFailsAsAWhole(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.fail("SendMessageBatch", 400, "KmsDisabled")
		_, err := r.PublishBatch(t.Context(), inOrder())
		batch, ok := errors.AsType[*broker.BatchError](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		for i, item := range batch.Errs {
			if i < 10 {
				wantError(t, "first call", item, broker.ErrUnavailable)
				if _, ok := errors.AsType[*types.KmsDisabled](item); !ok {
					t.Errorf("message %d: the AWS type is not reachable in %v", i, item)
				}
			} else {
				wantError(t, "second call", item, broker.ErrSkipped)
				if e, ok := errors.AsType[*broker.Error](item); !ok || e.Retryable {
					t.Errorf("message %d: nor can the first be retried: %v", i, item)
				}
			}
			if errors.Is(item, broker.ErrOutcomeUnknown) {
				t.Errorf("message %d: it was refused, so its outcome is known: %v", i, item)
			}
		}
	})
}

func TestBatchStopsWithItsContext(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		ctx, cancel := context.WithCancel(t.Context())
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			next.ServeHTTP(w, req)
			if action == "SendMessageBatch" {
				cancel() // the answer is lost
				<-req.Context().Done()
			}
			return true
		})
		ms := slices.Repeat([]broker.Message{{Subject: "jobs", Body: []byte("a")}}, 11)
		_, err := r.PublishBatch(ctx, ms)
		wantError(t, "in flight", broker.ItemError(err, 0), context.Canceled, broker.ErrOutcomeUnknown)
		last := broker.ItemError(err, 10)
		wantError(t, "not begun", last, context.Canceled)
		if errors.Is(last, broker.ErrOutcomeUnknown) {
			t.Errorf("the last was never sent, so its outcome is known: %v", last)
		}
		r.take(t, "jobs", 10)
	})
}

func TestBatchSendsNothingOnceItsContextHasEnded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		b, err := New(batchAPI{r.client, func(*sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
			calls++
			cancel()
			return nil, ctx.Err()
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.PublishBatch(ctx, slices.Repeat([]broker.Message{{Subject: "jobs", Body: []byte("a")}}, 30))
		wantError(t, "PublishBatch", err, context.Canceled)
		if calls != 1 || errors.Is(broker.ItemError(err, 10), broker.ErrOutcomeUnknown) {
			t.Errorf("%d calls, want 1, and a known outcome of the rest: %v", calls, broker.ItemError(err, 10))
		}
	})
}
