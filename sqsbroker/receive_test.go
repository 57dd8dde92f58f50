package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
)

func TestReceiveWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []broker.ReceiveOption
		want time.Duration
	}{
		{"20 s by default", nil, 20 * time.Second},
		{"as asked", []broker.ReceiveOption{broker.Wait(3 * time.Second)}, 3 * time.Second},
		{"rounded up", []broker.ReceiveOption{broker.Wait(1500 * time.Millisecond)}, 2 * time.Second},
		{"not at all", []broker.ReceiveOption{broker.Wait(0)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				begin := time.Now()
				ds, err := r.Receive(t.Context(), "jobs", 10, c.opts...)
				if len(ds) != 0 || err != nil {
					t.Fatalf("got %d messages, %v", len(ds), err)
				}
				if got := time.Since(begin); got != c.want {
					t.Errorf("waited %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestReceiveReturnsWithTheFirstMessage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		begin := time.Now()
		var publisher sync.WaitGroup
		publisher.Go(func() {
			time.Sleep(5 * time.Second)
			if _, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")}); err != nil {
				t.Error(err)
			}
		})
		r.take(t, "jobs", 1)
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("returned after %v, want 5s", got)
		}
		publisher.Wait()
	})
}

// A poll that its client gives up may go on taking messages on the server, so
// none must be open when the context ends.
func TestReceiveEndsItsPollBeforeTheDeadline(t *testing.T) {
	for _, c := range []struct {
		name    string
		own     string // the queue's ReceiveMessageWaitTimeSeconds
		timeout time.Duration
		polls   int
	}{
		{"a shorter poll", "0", 2500 * time.Millisecond, 1},
		{"a short poll", "0", 900 * time.Millisecond, 1},
		{"a shorter poll than the queue's own", "20", 1100 * time.Millisecond, 1},
		{"no poll, since a short one cannot be asked for", "20", 900 * time.Millisecond, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs", "ReceiveMessageWaitTimeSeconds", c.own)
				polls, abandoned := 0, false
				r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					next.ServeHTTP(w, req)
					if action == "ReceiveMessage" {
						polls++
						abandoned = abandoned || req.Context().Err() != nil
					}
					return true
				})
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
				_, err := r.Receive(ctx, "jobs", 1)
				wantError(t, "Receive", err, context.DeadlineExceeded)
				if took := time.Since(begin); took != c.timeout {
					t.Errorf("it took %v, want %v", took, c.timeout)
				}
				sleep(time.Minute)
				if abandoned || polls != c.polls {
					t.Errorf("%d polls, want %d; cut off by the deadline: %v", polls, c.polls, abandoned)
				}
			})
		})
	}
}

func TestReceiveCancelled(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		time.AfterFunc(time.Second, cancel)
		_, err := r.Receive(ctx, "jobs", 1)
		wantError(t, "Receive", err, context.Canceled)
		if got := time.Since(begin); got != time.Second {
			t.Errorf("returned after %v, want 1s", got)
		}
		if e, ok := errors.AsType[*broker.Error](err); !ok || e.Kind != nil {
			t.Errorf("got %#v, want a *broker.Error without a category", err)
		}
	})
}

func TestReceiveEndsWithClose(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		failed := make(chan error)
		go func() {
			_, err := r.Receive(t.Context(), "jobs", 1)
			failed <- err
		}()
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantError(t, "Receive", <-failed, broker.ErrClosed)
	})
}

func TestReceiveBadInput(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			name  string
			queue string
			max   int
			opt   broker.ReceiveOption
			want  error
		}{
			{"no message", "jobs", 0, broker.Wait(1), broker.ErrInvalid},
			{"negative wait", "jobs", 1, broker.Wait(-1), broker.ErrInvalid},
			{"wait over 20 s", "jobs", 1, broker.Wait(21 * time.Second), errors.ErrUnsupported},
			{"no lease", "jobs", 1, broker.Lease(0), broker.ErrInvalid},
			{"lease over 12 h", "jobs", 1, broker.Lease(13 * time.Hour), errors.ErrUnsupported},
			{"no name", "", 1, broker.Wait(1), broker.ErrInvalid},
			{"a subject that is no queue name", "orders.placed", 1, broker.Wait(1), broker.ErrInvalid},
			{"an option of somebody else", "jobs", 1, strangeOption{}, errors.ErrUnsupported},
		} {
			_, err := r.Receive(t.Context(), c.queue, c.max, c.opt)
			wantError(t, c.name, err, c.want)
		}
		if calls := r.called(); len(calls) != 0 {
			t.Errorf("bad input made calls: %v", calls)
		}
		_, err := r.Receive(t.Context(), "none", 1)
		wantError(t, "unknown queue", err, broker.ErrNotFound)
	})
}

type strangeOption struct{}

func (strangeOption) ReceiveOption() {}

func TestDeliveryTellsAll(t *testing.T) {
	inBubble(t, &Options{Queues: map[string]string{"orders.placed": "orders.fifo"}}, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo", "VisibilityTimeout", "40")
		sent := broker.Message{
			Subject: "orders.placed", Body: []byte("body"), Key: "k", DedupID: "d",
			Header: broker.Header{"trace": "1"},
		}
		receipt, err := r.Publish(t.Context(), sent)
		if err != nil {
			t.Fatal(err)
		}
		if receipt.Outcome != broker.OutcomeAccepted || receipt.ID == "" || !receipt.Sequence.Present() {
			t.Errorf("receipt: got %+v", receipt)
		}
		published := time.Now()
		sleep(3 * time.Second)
		d := r.take(t, "orders.placed", 1)[0]
		if d.Subject != "orders.placed" || string(d.Body) != "body" || d.Key != "k" || d.DedupID != "d" ||
			d.Header.Get("trace") != "1" || d.Tenant != "" {
			t.Errorf("message: got %+v", d.Message)
		}
		if d.ID != receipt.ID || d.Source != "orders.fifo" || d.Sequence != receipt.Sequence || d.Attempt != 1 {
			t.Errorf("delivery: got %+v", d)
		}
		if !d.Time.Equal(published.Truncate(time.Millisecond)) {
			t.Errorf("Time: got %v, want %v", d.Time, published)
		}
		if want := time.Now().Add(40 * time.Second); !d.LeaseEnd.Equal(want) {
			t.Errorf("LeaseEnd: got %v, want %v", d.LeaseEnd, want)
		}
	})
}

func TestForeignMessage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		_, err := r.client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(r.server.QueueURL("jobs")), MessageBody: aws.String("100% foreign"),
			MessageGroupId: aws.String("tenant-1"),
			MessageAttributes: map[string]types.MessageAttributeValue{
				"text":   {DataType: aws.String("String.custom"), StringValue: aws.String("  blanks\n")},
				"number": {DataType: aws.String("Number"), StringValue: aws.String("42")},
				"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := r.take(t, "jobs", 1)[0]
		if len(d.Header) != 2 || d.Header["text"] != "  blanks\n" || d.Header["number"] != "42" || d.Tenant != "tenant-1" || d.Key != "" {
			t.Errorf("got %+v", d.Message)
		}
		var native types.Message
		var shared *types.Message
		if !d.As(&native) || !d.As(&shared) {
			t.Fatal("As does not reach the native message")
		}
		if !slices.Equal(native.MessageAttributes["bytes"].BinaryValue, []byte{0, 1}) || *shared.MessageId != d.ID {
			t.Errorf("got %+v", native)
		}
		var other *sqs.Client
		if d.As(nil) || d.As(&other) || d.As((*types.Message)(nil)) || d.As((**types.Message)(nil)) {
			t.Error("As is true for what it cannot set")
		}
	})
}

func TestLeaseOfReceive(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		r.take(t, "jobs", 1, broker.Lease(1500*time.Millisecond)) // 2 s
		sleep(1900 * time.Millisecond)
		r.none(t, "jobs")
		sleep(100 * time.Millisecond)
		if d := r.take(t, "jobs", 1)[0]; d.Attempt != 2 {
			t.Errorf("attempt %d, want 2", d.Attempt)
		}
	})
}

// The lease must be known, so that it is passed with each receive, and must
// follow the queue.
func TestLeaseFollowsTheQueue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "5")
		r.publish(t, "jobs", "", "a", "b")
		lease := func() time.Duration { return time.Until(r.take(t, "jobs", 1)[0].LeaseEnd) }
		if got := lease(); got != 5*time.Second {
			t.Errorf("lease %v, want 5s", got)
		}
		r.set(t, "jobs", "VisibilityTimeout", "7")
		r.called()
		sleep(time.Minute)
		if got := lease(); got != 7*time.Second {
			t.Errorf("lease %v a minute after the change, want 7s", got)
		}
		lease()
		if got := r.called(); got["GetQueueAttributes"] != 1 || got["GetQueueUrl"] != 0 {
			t.Errorf("calls within a minute: %v, want one GetQueueAttributes", got)
		}
	})
}

func TestAttributesMayBeDenied(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "5")
		r.fail("GetQueueAttributes", 400, "AccessDeniedException")
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		if got := time.Until(d.LeaseEnd); got != 30*time.Second {
			t.Errorf("lease %v, want 30s", got)
		}
		sleep(20 * time.Second)
		r.none(t, "jobs") // 30 s were asked for, not only told
	})
}

// An error of a refresh must not stop a consumer that knows enough to go on.
func TestAttributesOutliveAFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "5")
		r.none(t, "jobs")
		r.fail("GetQueueAttributes", 400, "RequestThrottled")
		sleep(time.Minute)
		r.publish(t, "jobs", "", "a")
		if got := time.Until(r.take(t, "jobs", 1)[0].LeaseEnd); got != 5*time.Second {
			t.Errorf("lease %v, want 5s", got)
		}
	})
}

func TestShortPollOfAWaitingQueue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "ReceiveMessageWaitTimeSeconds", "9")
		_, err := r.Receive(t.Context(), "jobs", 1, broker.Wait(0))
		wantError(t, "Wait(0)", err, errors.ErrUnsupported)
	})
}

func TestReceiveTakesTenAtMost(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for range 12 {
			r.publish(t, "jobs", "", "a")
		}
		ds, err := r.Receive(t.Context(), "jobs", 100)
		if len(ds) != 10 || err != nil {
			t.Errorf("got %d, %v; want 10", len(ds), err)
		}
	})
}
