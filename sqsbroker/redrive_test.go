package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// bury makes queues with a dead-letter queue, and messages in it: n of each
// queue whose attempts are used up, and one more that was rejected.
func (r *rig) bury(t *testing.T, n int, suffix string, queues ...string) {
	t.Helper()
	r.create(t, "dead"+suffix)
	for _, queue := range queues {
		r.create(t, queue, "RedrivePolicy", redriveTo("dead"+suffix, "1"))
		key := func(i int) string {
			if suffix == "" {
				return ""
			}
			return fmt.Sprint("k", i%3)
		}
		for i := range n {
			r.publish(t, queue, key(i), fmt.Sprint(queue, "-", i))
		}
		for seen := 0; ; { // the attempt to receive a message again moves it
			ds, err := r.Receive(t.Context(), queue, 10, broker.Wait(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if len(ds) == 0 {
				if seen != n {
					t.Fatalf("%d messages were buried, want %d", seen, n)
				}
				break
			}
			seen += len(ds)
			slices.Reverse(ds)
			if err := r.Release(t.Context(), 0, ds...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (r *rig) drain(t *testing.T, queue string) []string {
	t.Helper()
	var all []string
	for {
		ds, err := r.Receive(t.Context(), queue, 10, broker.Wait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if len(ds) == 0 {
			return all
		}
		all = append(all, bodies(ds)...)
		if err := r.Delete(t.Context(), ds...); err != nil {
			t.Fatal(err)
		}
	}
}

// noTasks is an endpoint that cannot move messages itself.
func noTasks(action string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	if action == "StartMessageMoveTask" {
		writeError(w, http.StatusBadRequest, "UnsupportedOperation")
	}
	return action == "StartMessageMoveTask"
}

func TestRedrive(t *testing.T) {
	for _, c := range []struct {
		name, suffix string
		copies       bool
		to           string
	}{
		{"by SQS", "", false, ""},
		{"by SQS to one queue", "", false, "b"},
		{"by copy", "", true, ""},
		{"by copy to one queue", "", true, "a"},
		{"FIFO by SQS", ".fifo", false, ""},
		{"FIFO by copy", ".fifo", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.bury(t, 12, c.suffix, "a"+c.suffix, "b"+c.suffix)
				sleep(time.Second)
				if c.copies {
					r.setFault(noTasks)
				}
				report, err := r.Redrive(t.Context(), "dead"+c.suffix, RedriveOptions{To: c.to})
				if err != nil || report.Moved != 24 || report.Copied != map[bool]int64{true: 24}[c.copies] {
					t.Errorf("got %+v, %v", report, err)
				}
				r.setFault(nil)
				for _, queue := range []string{"a", "b"} {
					want := 12
					if c.to != "" {
						want = map[string]int{c.to: 24}[queue]
					}
					got := r.drain(t, queue+c.suffix)
					if len(got) != want {
						t.Errorf("queue %s: got %d messages, want %d", queue, len(got), want)
					}
					slices.Sort(got)
					if n := len(slices.Compact(got)); n != want {
						t.Errorf("queue %s: %d of %d are duplicates", queue, want-n, want)
					}
				}
				r.none(t, "dead"+c.suffix)
			})
		})
	}
}

// SQS does not know where a rejected message came from; its header does.
func TestRedriveOfRejected(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 1, "", "a")
		r.publish(t, "a", "", "rejected")
		if err := r.Reject(t.Context(), "spoilt", r.take(t, "a", 1)...); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		if err != nil || report != (RedriveReport{Moved: 2, Copied: 1}) {
			t.Errorf("got %+v, %v", report, err)
		}
		got := r.drain(t, "a")
		if slices.Sort(got); !slices.Equal(got, []string{"a-0", "rejected"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestRedriveOfUnknownSource(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 0, "", "a")
		r.publish(t, "dead", "", "by hand")
		sleep(time.Second)
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		if err == nil || !strings.Contains(err.Error(), "To") || report.Moved != 0 {
			t.Errorf("got %+v, %v", report, err)
		}
		sleep(time.Minute)
		if got := bodies(r.take(t, "dead", 1)); got[0] != "by hand" { // it has stayed
			t.Errorf("got %v", got)
		}
	})
}

// What fails again while the redrive goes on is not moved for ever.
func TestRedriveEnds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 3, "", "a")
		sleep(time.Second)
		r.setFault(noTasks)
		_, err := r.Subscribe(t.Context(), "a", func(context.Context, *broker.Delivery) error {
			return broker.Reject(nil)
		}, workers)
		if err != nil {
			t.Fatal(err)
		}
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		if err != nil || report.Moved != 3 {
			t.Errorf("got %+v, %v", report, err)
		}
	})
}

func TestRedriveRefuses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 20, "", "a")
		_, err := r.Redrive(t.Context(), "dead", RedriveOptions{Rate: 501})
		wantError(t, "rate", err, broker.ErrInvalid)
		_, err = r.Redrive(t.Context(), "dead", RedriveOptions{To: "b.c"})
		wantError(t, "no name", err, broker.ErrInvalid)
		_, err = r.Redrive(t.Context(), "dead", RedriveOptions{To: "none"})
		wantError(t, "no queue", err, broker.ErrNotFound)
		_, err = r.Redrive(t.Context(), "dead", RedriveOptions{To: "a.fifo"})
		wantError(t, "another kind", err, broker.ErrInvalid)
		_, err = r.Redrive(t.Context(), "a", RedriveOptions{})
		wantError(t, "no dead-letter queue", err, broker.ErrInvalid)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = r.Redrive(ctx, "dead", RedriveOptions{Rate: 1})
		wantError(t, "ctx ends", err, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
	})
}

// Endpoints that cannot move messages, though they do not say so: what they
// leave is copied.
func TestRedriveWhereTasksDoNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers map[string]string // by action
		status  int
	}{
		{"no answer of SQS's", map[string]string{"StartMessageMoveTask": "<!doctype html>"}, http.StatusInternalServerError},
		{"a task that moves nothing", map[string]string{
			"StartMessageMoveTask": `{"TaskHandle":"h"}`,
			"ListMessageMoveTasks": `{"Results":[{"Status":"COMPLETED","ApproximateNumberOfMessagesMoved":0}]}`,
		}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.bury(t, 3, "", "a")
				sleep(time.Second)
				r.setFault(func(action string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
					answer, mine := c.answers[action]
					if mine {
						w.Header().Set("Content-Type", "application/x-amz-json-1.0")
						w.WriteHeader(c.status)
						_, _ = w.Write([]byte(answer))
					}
					return mine
				})
				report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
				if err != nil || report != (RedriveReport{Moved: 3, Copied: 3}) {
					t.Errorf("got %+v, %v", report, err)
				}
				if got := r.drain(t, "a"); len(got) != 3 {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

// A task that goes on without its caller is waited for by the next.
func TestRedriveGoesOn(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 20, "", "a")
		sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := r.Redrive(ctx, "dead", RedriveOptions{Rate: 2})
		wantError(t, "the first", err, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
		r.create(t, "other")
		_, err = r.Redrive(t.Context(), "dead", RedriveOptions{To: "other"})
		wantError(t, "to another queue meanwhile", err, broker.ErrInvalid)
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		if err != nil || report != (RedriveReport{Moved: 20}) {
			t.Errorf("got %+v, %v", report, err)
		}
		if got := r.drain(t, "a"); len(got) != 20 {
			t.Errorf("got %d messages", len(got))
		}
	})
}

// Copies have the rate asked for too, also with a client that has no AdminAPI,
// and what was not moved when ctx ends is there at once.
func TestRedriveByCopyAtARate(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 25, "", "a")
		sleep(time.Second)
		b, err := New(struct{ API }{r.client}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4900*time.Millisecond)
		defer cancel()
		report, err := b.Redrive(ctx, "dead", RedriveOptions{Rate: 2})
		wantError(t, "ctx ends", err, context.DeadlineExceeded)
		if report != (RedriveReport{Moved: 10, Copied: 10}) {
			t.Errorf("got %+v", report)
		}
		begin := time.Now()
		report, err = b.Redrive(t.Context(), "dead", RedriveOptions{Rate: 2})
		if took := time.Since(begin); err != nil || report.Copied != 15 || took != 8*time.Second {
			t.Errorf("got %+v, %v after %v; want 15 in 7 s, and a second for nothing more", report, err, took)
		}
		if got := r.drain(t, "a"); len(got) != 25 {
			t.Errorf("got %d messages", len(got))
		}
	})
}

// A copy whose original could not be deleted is made again by the next Redrive;
// a FIFO queue has it once all the same, and nothing is lost.
func TestRedriveGoesOnAfterAFailure(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.bury(t, 5, suffix, "a"+suffix)
			sleep(time.Second)
			deletes := 0
			r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
				if action == "DeleteMessageBatch" {
					if deletes++; deletes == 3 {
						writeError(w, http.StatusBadRequest, "KmsDisabled")
						return true
					}
				}
				return noTasks(action, w, req, next)
			})
			report, err := r.Redrive(t.Context(), "dead"+suffix, RedriveOptions{})
			wantError(t, "the first", err, broker.ErrUnavailable)
			if report.Copied != 2 {
				t.Errorf("got %+v", report)
			}
			report, err = r.Redrive(t.Context(), "dead"+suffix, RedriveOptions{})
			if err != nil || report.Copied != 3 {
				t.Errorf("got %+v, %v", report, err)
			}
			got := r.drain(t, "a"+suffix)
			slices.Sort(got)
			if want := map[string]int{"": 6, ".fifo": 5}[suffix]; len(got) != want || len(slices.Compact(got)) != 5 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// What cannot be moved does not keep the rest from it.
func TestRedriveLeavesWhatItCannotMove(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		for _, queue := range []string{"a", "gone", "small"} {
			r.create(t, queue, "RedrivePolicy", redriveTo("dead", "3"))
		}
		r.publish(t, "dead", "", "of-no-queue")
		r.publish(t, "gone", "", "of a queue that is gone")
		r.publish(t, "small", "", strings.Repeat("x", 2000))
		for i := range 25 {
			r.publish(t, "a", "", fmt.Sprint(i))
		}
		for _, queue := range []string{"gone", "small", "a", "a", "a"} {
			ds, err := r.Receive(t.Context(), queue, 10)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Reject(t.Context(), "spoilt", ds...); err != nil {
				t.Fatal(err)
			}
		}
		r.set(t, "small", "MaximumMessageSize", "1024")
		if _, err := r.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: aws.String(r.server.QueueURL("gone"))}); err != nil {
			t.Fatal(err)
		}
		sleep(2 * time.Minute)
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		wantError(t, "Redrive", err, broker.ErrInvalid, broker.ErrNotFound, broker.ErrTooLarge)
		if e, ok := errors.AsType[*broker.Error](err); !ok || e.Op != "redrive" || e.Subject != "dead" || e.Retryable || e.OutcomeUnknown {
			t.Errorf("got %#v", e)
		}
		if report != (RedriveReport{Moved: 25, Copied: 25}) {
			t.Errorf("got %+v", report)
		}
		if got := r.drain(t, "a"); len(got) != 25 {
			t.Errorf("got %d messages", len(got))
		}
		sleep(time.Minute)
		if got := r.drain(t, "dead"); len(got) != 3 {
			t.Errorf("got %v", got)
		}
	})
}

// On a FIFO queue what follows of the group stays behind, and keeps its order.
func TestRedriveLeavesGroups(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead.fifo")
		r.create(t, "o.fifo", "RedrivePolicy", redriveTo("dead.fifo", "3"))
		r.publish(t, "dead.fifo", "k0", "of-no-queue")
		for i := range 9 {
			r.publish(t, "o.fifo", fmt.Sprint("k", i%3), fmt.Sprint(i))
		}
		if err := r.Reject(t.Context(), "spoilt", r.take(t, "o.fifo", 9)...); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		report, err := r.Redrive(t.Context(), "dead.fifo", RedriveOptions{})
		wantError(t, "Redrive", err, broker.ErrInvalid, broker.ErrSkipped)
		if report.Copied != 6 {
			t.Errorf("got %+v", report)
		}
		if got := r.drain(t, "o.fifo"); len(got) != 6 {
			t.Errorf("got %v", got)
		}
		sleep(time.Minute)
		if got, want := r.drain(t, "dead.fifo"), []string{"of-no-queue", "0", "3", "6"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Redrive ends when there is nothing new, though what it leaves comes back and
// more arrives; its error tells of ten.
func TestRedriveEndsAmongArrivals(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.bury(t, 20, "", "a")
		for i := range 30 {
			r.publish(t, "dead", "", fmt.Sprint("of-no-queue-", i))
		}
		sleep(time.Second)
		r.setFault(noTasks)
		stop := make(chan struct{})
		var arriving sync.WaitGroup
		arriving.Go(func() {
			for {
				select {
				case <-time.After(300 * time.Millisecond):
					r.publish(t, "dead", "", "new")
				case <-stop:
					return
				}
			}
		})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		report, err := r.Redrive(ctx, "dead", RedriveOptions{})
		close(stop)
		arriving.Wait()
		wantError(t, "Redrive", err, broker.ErrInvalid)
		if took := time.Since(begin); took > 3*time.Minute || report.Copied != 20 {
			t.Errorf("got %+v after %v", report, took)
		}
		if text := fmt.Sprint(err); strings.Count(text, " stays: ") != 10 || !strings.Contains(text, "20 more") {
			t.Errorf("got %v", text)
		}
	})
}

// A call that hangs does not keep Redrive from ending with its context.
func TestRedriveEndsWithItsContext(t *testing.T) {
	for _, action := range []string{"SendMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ReceiveMessage"} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.bury(t, 3, "", "a")
			sleep(time.Second)
			r.setFault(func(a string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
				switch a {
				case action:
					hang(req)
					return true
				case "SendMessage":
					time.Sleep(4 * time.Second)
				}
				return noTasks(a, w, req, next)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			begin := time.Now()
			_, err := r.Redrive(ctx, "dead", RedriveOptions{})
			wantError(t, action+" hangs", err, context.DeadlineExceeded)
			if took := time.Since(begin); took > 10*time.Second+lastCalls {
				t.Errorf("%s hangs: it took %v", action, took)
			}
		})
	}
}
