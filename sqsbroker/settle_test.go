package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
)

func TestRedeliveryAfterTheLease(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		first := r.take(t, "jobs", 1)[0]
		begin := time.Now()
		sleep(15 * time.Second)
		second := r.take(t, "jobs", 1)
		if got := time.Since(begin); got != 30*time.Second {
			t.Errorf("came again after %v, want 30s", got)
		}
		if second[0].ID != first.ID || second[0].Attempt != 2 {
			t.Errorf("got %+v", second[0])
		}
	})
}

func TestLateDelete(t *testing.T) {
	for _, queue := range []string{"jobs", "orders.fifo"} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, queue)
			key := ""
			if queue == "orders.fifo" {
				key = "k"
			}
			r.publish(t, queue, key, "a")
			d := r.take(t, queue, 1)[0]
			sleep(30 * time.Second)
			r.called()
			wantError(t, queue+": a late delete", r.Delete(t.Context(), d), broker.ErrLeaseLost)
			if key == "" {
				r.none(t, queue) // it was sent, and spared a duplicate
				return
			}
			if c := r.called(); len(c) != 0 {
				t.Errorf("FIFO: calls were made: %v", c)
			}
			r.take(t, queue, 1)
		})
	}
}

func TestLateChange(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		sleep(30 * time.Second)
		r.called()
		wantError(t, "Extend", r.Extend(t.Context(), time.Minute, d), broker.ErrLeaseLost)
		wantError(t, "Release", r.Release(t.Context(), time.Minute, d), broker.ErrLeaseLost)
		wantError(t, "Reject", r.Reject(t.Context(), "", d), broker.ErrLeaseLost)
		if c := r.called(); len(c) != 0 {
			t.Errorf("calls were made, to a message that may be somebody else's: %v", c)
		}
	})
}

// A handle that SQS itself takes for stale, because somebody else received the
// message, is a lost lease as well.
func TestLeaseLostOnTheServer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		r.publish(t, "orders.fifo", "k", "a")
		d := r.take(t, "orders.fifo", 1)[0]
		d.Handle.(*handle).Renew(time.Now().Add(time.Hour)) // as if its clock were wrong
		sleep(31 * time.Second)
		for name, err := range map[string]error{
			"Delete":  r.Delete(t.Context(), d),
			"Extend":  r.Extend(t.Context(), time.Minute, d),
			"Release": r.Release(t.Context(), 0, d),
		} {
			wantError(t, name, err, broker.ErrLeaseLost)
		}
		r.take(t, "orders.fifo", 1)
	})
}

func TestSettledStaysSettled(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a", "b")
		ds := r.take(t, "jobs", 2)
		if err := errors.Join(r.Delete(t.Context(), ds[0]), r.Release(t.Context(), time.Minute, ds[1])); err != nil {
			t.Fatal(err)
		}
		r.called()
		if err := r.Delete(t.Context(), ds[0]); err != nil {
			t.Errorf("deleting again: %v", err)
		}
		wantError(t, "deleting what was released", r.Delete(t.Context(), ds[1]), broker.ErrLeaseLost)
		for _, d := range ds {
			wantError(t, "Extend", r.Extend(t.Context(), 0, d), broker.ErrLeaseLost)
			wantError(t, "Release", r.Release(t.Context(), 0, d), broker.ErrLeaseLost)
			wantError(t, "Reject", r.Reject(t.Context(), "", d), broker.ErrLeaseLost)
		}
		if c := r.called(); len(c) != 0 {
			t.Errorf("calls were made: %v", c)
		}
	})
}

func TestExtend(t *testing.T) {
	for _, c := range []struct {
		lease, want time.Duration
	}{
		{0, 45 * time.Second}, // the queue's own
		{100 * time.Second, 100 * time.Second},
		{1500 * time.Millisecond, 2 * time.Second},
	} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "jobs", "VisibilityTimeout", "45")
			r.publish(t, "jobs", "", "a")
			d := r.take(t, "jobs", 1)[0]
			sleep(40 * time.Second)
			if err := r.Extend(t.Context(), c.lease, d); err != nil {
				t.Fatal(err)
			}
			if got := time.Until(d.Handle.(broker.Leased).LeaseEnd()); got != c.want {
				t.Errorf("Extend(%v): %v are left, want %v", c.lease, got, c.want)
			}
			sleep(c.want - time.Second)
			r.none(t, "jobs")
			sleep(time.Second)
			r.take(t, "jobs", 1)
		})
	}
}

func TestTwelveHours(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		begin := time.Now()
		end := func() time.Duration { return d.Handle.(broker.Leased).LeaseEnd().Sub(begin) }
		for end() < 12*time.Hour {
			if err := r.Extend(t.Context(), 5*time.Hour, d); err != nil {
				t.Fatalf("%v after the receive: %v", time.Since(begin), err)
			}
			sleep(min(4*time.Hour+59*time.Minute, time.Until(begin.Add(12*time.Hour-time.Second/2))))
		}
		r.none(t, "jobs")
		wantError(t, "Extend at the end", r.Extend(t.Context(), time.Hour, d), broker.ErrLeaseLost)
		sleep(time.Second)
		if d := r.take(t, "jobs", 1)[0]; d.Attempt != 2 {
			t.Errorf("attempt %d, want 2", d.Attempt)
		}
	})
}

// SQS counts the 12 hours from its own receive, which is before the answer
// arrives, to when an extension arrives: it refuses none that is asked for while
// there is something left.
func TestTwelveHoursOverANetwork(t *testing.T) {
	for _, c := range []struct {
		name, queue, key string
		request, answer  time.Duration // on their way
		extension        time.Duration // on its way, beside that
		lost             int           // answers to receives
		early            time.Duration // what may be missing from the 12 hours
	}{
		{"50 ms", "jobs", "", 50 * time.Millisecond, 50 * time.Millisecond, 0, 0, time.Second},
		{"a slow answer", "jobs", "", 0, 10 * time.Second, 0, 0, time.Second},
		{"slow requests", "jobs", "", 4 * time.Second, 0, 0, 0, 10 * time.Second},
		{"slow extensions", "jobs", "", 50 * time.Millisecond, 0, 3 * time.Second, 0, 10 * time.Second},
		{"lost answers", "orders.fifo", "k", 0, 10 * time.Second, 0, 3, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, c.queue)
				r.publish(t, c.queue, c.key, "a")
				lost := c.lost
				r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					time.Sleep(c.request)
					if action == "ChangeMessageVisibilityBatch" {
						time.Sleep(c.extension)
					}
					if action != "ReceiveMessage" {
						return false
					}
					if lost > 0 {
						lost--
						next.ServeHTTP(discard{}, req)
						time.Sleep(c.answer)
						panic(http.ErrAbortHandler)
					}
					next.ServeHTTP(w, req)
					time.Sleep(c.answer)
					return true
				})
				begin := time.Now()
				if c.lost > 0 {
					_, err := r.Receive(t.Context(), c.queue, 1, broker.Lease(10*time.Minute))
					wantError(t, "Receive", err, broker.ErrUnavailable)
				}
				d := r.take(t, c.queue, 1, broker.Lease(10*time.Minute))[0]
				for end := begin.Add(12*time.Hour - c.early); time.Now().Before(end); {
					if err := r.Extend(t.Context(), 10*time.Minute, d); err != nil {
						t.Fatalf("%v before the end: %v", time.Until(begin.Add(12*time.Hour)), err)
					}
					if left := time.Until(end); left > 20*time.Minute {
						time.Sleep(9 * time.Minute)
					} else {
						time.Sleep(20*time.Second + 50*time.Millisecond)
					}
				}
			})
		})
	}
}

func TestRelease(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		if err := r.Release(t.Context(), 0, r.take(t, "jobs", 1)...); err != nil {
			t.Fatal(err)
		}
		d := r.take(t, "jobs", 1)[0]
		wantError(t, "13 h", r.Release(t.Context(), 13*time.Hour, d), errors.ErrUnsupported)
		wantError(t, "-1", r.Release(t.Context(), -1, d), broker.ErrInvalid)
		wantError(t, "Extend by -1", r.Extend(t.Context(), -1, d), broker.ErrInvalid)
		sleep(20 * time.Second)
		if err := r.Release(t.Context(), 12*time.Hour, d); err != nil { // 20 s more than is left
			t.Fatal(err)
		}
		sleep(12*time.Hour - 21*time.Second)
		r.none(t, "jobs")
		sleep(time.Second)
		r.take(t, "jobs", 1)
	})
}

// Released last first, no earlier message overtakes a later one in hand.
func TestReleaseKeepsOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "orders.fifo")
		want := []string{"1", "2", "3", "4", "5"}
		r.publish(t, "orders.fifo", "k", want...)
		ds := r.take(t, "orders.fifo", 5)
		slices.Reverse(ds)
		if err := r.Release(t.Context(), 0, ds...); err != nil {
			t.Fatal(err)
		}
		if got := bodies(r.take(t, "orders.fifo", 5)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestForeignDelivery(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		other, err := New(r.client, nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := other.Receive(t.Context(), "jobs", 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(theirs, nil, &broker.Delivery{ID: "by hand"}) {
			for name, err := range map[string]error{
				"Delete": r.Delete(t.Context(), d), "Extend": r.Extend(t.Context(), 0, d),
				"Release": r.Release(t.Context(), 0, d), "Reject": r.Reject(t.Context(), "", d),
			} {
				if _, ok := errors.AsType[*broker.FieldError](err); !ok {
					t.Errorf("%s: got %v, want a *FieldError", name, err)
				}
			}
		}
	})
}

func TestSettlingManyOfSeveralQueues(t *testing.T) {
	for _, c := range []struct {
		name, action string
		do           func(r *rig, ds ...*broker.Delivery) error
	}{
		{"delete", "DeleteMessageBatch", func(r *rig, ds ...*broker.Delivery) error { return r.Delete(context.Background(), ds...) }},
		{"extend", "ChangeMessageVisibilityBatch", func(r *rig, ds ...*broker.Delivery) error {
			return r.Extend(context.Background(), time.Minute, ds...)
		}},
		{"release", "ChangeMessageVisibilityBatch", func(r *rig, ds ...*broker.Delivery) error {
			return r.Release(context.Background(), time.Minute, ds...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				var ds []*broker.Delivery
				for i, queue := range []string{"jobs", "more"} {
					r.create(t, queue)
					for range 15 - 3*i {
						r.publish(t, queue, "", "a")
					}
					ds = append(ds, r.take(t, queue, 10)...)
					ds = append(ds, r.take(t, queue, 5-3*i)...)
				}
				// One of each queue in turn.
				slices.SortStableFunc(ds, func(a, b *broker.Delivery) int { return int(a.ID[7]) - int(b.ID[7]) })
				ds[3].Handle.(*handle).native.ReceiptHandle = aws.String("broken")
				ds[20] = nil
				r.called()
				err := c.do(r, ds...)
				batch, ok := errors.AsType[*broker.BatchError](err)
				if !ok {
					t.Fatalf("got %v, want a *BatchError", err)
				}
				for i, item := range batch.Errs {
					switch i {
					case 3:
						wantError(t, "the broken handle", item, broker.ErrLeaseLost)
					case 20:
						wantError(t, "nil", item, broker.ErrInvalid)
					default:
						if item != nil {
							t.Errorf("delivery %d: %v", i, item)
						}
					}
				}
				if got := r.called()[c.action]; got != 4 { // 15 and 12, one fewer in one of them
					t.Errorf("%d calls, want 4", got)
				}
			})
		})
	}
}

func TestSettlingCallThatFailsAsAWhole(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a", "b")
		ds := r.take(t, "jobs", 2)
		r.fail("DeleteMessageBatch", 400, "AccessDeniedException")
		err := r.Delete(t.Context(), ds...)
		for i := range ds {
			wantError(t, fmt.Sprint("delivery ", i), broker.ItemError(err, i), broker.ErrDenied)
		}
		r.setFault(nil)
		if err := r.Delete(t.Context(), ds...); err != nil { // it is not settled, so it can be tried again
			t.Error(err)
		}
	})
}

// deleteAPI answers DeleteMessageBatch with nothing.
type deleteAPI struct{ API }

func (deleteAPI) DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	return &sqs.DeleteMessageBatchOutput{Successful: []types.DeleteMessageBatchResultEntry{{Id: aws.String("77")}}}, nil
}

func TestUnansweredDelete(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		b, err := New(deleteAPI{r.client}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ds, err := b.Receive(t.Context(), "jobs", 1)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "Delete", b.Delete(t.Context(), ds...), broker.ErrOutcomeUnknown)
	})
}

// What is given twice to one call is as if it were given to two.
func TestSettlingTwiceInOneCall(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		for _, c := range []struct {
			name   string
			do     func(ds ...*broker.Delivery) error
			second error
		}{
			{"extend", func(ds ...*broker.Delivery) error { return r.Extend(t.Context(), time.Minute, ds...) }, nil},
			{"delete", func(ds ...*broker.Delivery) error { return r.Delete(t.Context(), ds...) }, nil},
			{"release", func(ds ...*broker.Delivery) error { return r.Release(t.Context(), time.Hour, ds...) }, broker.ErrLeaseLost},
			{"reject", func(ds ...*broker.Delivery) error { return r.Reject(t.Context(), "spoilt", ds...) }, broker.ErrLeaseLost},
		} {
			r.publish(t, "jobs", "", "a", "b")
			ds := r.take(t, "jobs", 2)
			a, b := ds[0], ds[1]
			err := c.do(a, b, a, nil)
			if err := errors.Join(broker.ItemError(err, 0), broker.ItemError(err, 1)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if got := broker.ItemError(err, 2); !errors.Is(got, c.second) {
				t.Errorf("%s: the second time: got %v, want %v", c.name, got, c.second)
			}
			wantError(t, "nil", broker.ItemError(err, 3), broker.ErrInvalid)
			_ = r.Delete(t.Context(), ds...)

			r.publish(t, "jobs", "", "c")
			ds = r.take(t, "jobs", 1)
			r.setFault(func(_ string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
				writeError(w, http.StatusBadRequest, "AccessDeniedException")
				return true
			})
			err = c.do(ds[0], ds[0])
			for i := range 2 {
				wantError(t, c.name+" that fails", broker.ItemError(err, i), broker.ErrDenied)
			}
			r.setFault(nil)
			_ = r.Delete(t.Context(), ds...)
		}
		if got := bodies(r.take(t, "dead", 2)); len(got) != 2 {
			t.Errorf("got %v", got)
		}
		r.none(t, "dead")
	})
}
