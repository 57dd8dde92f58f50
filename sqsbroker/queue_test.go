package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

func TestQueueIsLookedUpOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		release := make(chan struct{})
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			if action == "GetQueueUrl" {
				<-release
			}
			next.ServeHTTP(w, req)
			return true
		})
		r.called()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { r.publish(t, "jobs", "", "a") })
		}
		synctest.Wait()
		close(release)
		all.Wait()
		r.publish(t, "jobs", "", "a")
		if c := r.called(); c["GetQueueUrl"] != 1 || c["GetQueueAttributes"] != 1 {
			t.Errorf("got %v", c)
		}
	})
}

// The caller that happens to make the call may give up; the others go on.
func TestLookupOutlivesItsFirstCaller(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			if action == "GetQueueUrl" {
				time.Sleep(10 * time.Second)
			}
			next.ServeHTTP(w, req)
			return true
		})
		first, cancel := context.WithCancel(t.Context())
		m := broker.Message{Subject: "jobs", Body: []byte("a")}
		errs := make(chan error)
		go func() {
			_, err := r.Publish(first, m)
			errs <- err
		}()
		synctest.Wait()
		var others sync.WaitGroup
		for range 3 {
			others.Go(func() { r.publish(t, "jobs", "", "b") })
		}
		impatient, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := r.Publish(impatient, m)
		wantError(t, "an impatient caller", err, context.DeadlineExceeded)
		cancel()
		wantError(t, "the first caller", <-errs, context.Canceled)
		others.Wait()
		r.setFault(nil)
		r.take(t, "jobs", 3)
	})
}

func TestQueueThatIsGoneIsForgotten(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs", "VisibilityTimeout", "5")
		r.publish(t, "jobs", "", "a")
		_, err := r.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: aws.String(r.server.QueueURL("jobs"))})
		if err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute + time.Second)
		_, err = r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, broker.ErrNotFound)
		if n := len(r.queues); n != 0 {
			t.Errorf("%d queues are remembered", n)
		}
		r.create(t, "jobs", "VisibilityTimeout", "7")
		r.called()
		r.publish(t, "jobs", "", "b")
		if got := time.Until(r.take(t, "jobs", 1)[0].LeaseEnd); got != 7*time.Second {
			t.Errorf("lease %v, want the new queue's 7s", got)
		}
		if c := r.called(); c["GetQueueUrl"] != 1 {
			t.Errorf("got %v, want one GetQueueUrl", c)
		}
	})
}

// Attributes that are known hold up nobody for long when reading them again
// takes its time, and are read again later.
func TestKnownAttributesStand(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, req *http.Request){
		"hanging":   func(_ http.ResponseWriter, req *http.Request) { hang(req) },
		"throttled": func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusForbidden, "RequestThrottled") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs", "VisibilityTimeout", "40")
				r.none(t, "jobs")
				r.set(t, "jobs", "VisibilityTimeout", "50")
				r.setFault(func(action string, w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
					if action == "GetQueueAttributes" {
						fault(w, req)
					}
					return action == "GetQueueAttributes"
				})
				time.Sleep(fresh)
				receive := func(atMost, lease time.Duration) {
					t.Helper()
					r.publish(t, "jobs", "", "a")
					begin := time.Now()
					d := r.take(t, "jobs", 1)[0]
					if took := time.Since(begin); took > atMost {
						t.Errorf("a message that was there came after %v", took)
					}
					if got := time.Until(d.LeaseEnd); got != lease {
						t.Errorf("lease %v, want %v", got, lease)
					}
				}
				receive(refreshTime, 40*time.Second)
				receive(0, 40*time.Second) // no further try within a minute
				r.setFault(nil)
				time.Sleep(fresh)
				receive(0, 50*time.Second)
			})
		})
	}
}

func TestQueueByNameURLAndARN(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for _, subject := range []string{"jobs", r.server.QueueURL("jobs"), arnOf("jobs")} {
			r.publish(t, subject, "", "a")
			d := r.take(t, subject, 1)[0]
			if d.Subject != subject || d.Source != "jobs" {
				t.Errorf("%s: got subject %q, source %q", subject, d.Subject, d.Source)
			}
			if err := r.Delete(t.Context(), d); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestNew(t *testing.T) {
	_, err := New(nil, nil)
	wantError(t, "no client", err, broker.ErrInvalid)
	_, err = New(&sqs.Client{}, &Options{Queues: map[string]string{"a": "no name", "b": "jobs", "c": "arn:x"}})
	var first *broker.FieldError
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 2 || !errors.As(err, &first) || first.Field != "Options.Queues[a]" {
		t.Errorf("got %v, want an error for a and one for c", err)
	}
}

func TestConnectNeedsARegion(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	_, err := Connect(t.Context(), nil)
	wantError(t, "Connect", err, broker.ErrInvalid)
	if _, ok := errors.AsType[*aws.MissingRegionError](err); !ok {
		t.Errorf("got %v, want a *MissingRegionError", err)
	}
}

func TestPing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		if err := r.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		r.fail("ListQueues", 403, "AccessDeniedException")
		if err := r.Ping(t.Context()); err != nil {
			t.Errorf("Ping without the permission: %v", err)
		}
		r.fail("ListQueues", 403, "ExpiredTokenException")
		wantError(t, "Ping with old credentials", r.Ping(t.Context()), broker.ErrDenied)
		r.setFault(func(_ string, _ http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			hang(req)
			return true
		})
		begin := time.Now()
		wantError(t, "Ping without an answer", r.Ping(t.Context()), context.DeadlineExceeded)
		if got := time.Since(begin); got != broker.DefaultRequestTimeout {
			t.Errorf("gave up after %v, want %v", got, broker.DefaultRequestTimeout)
		}
	})
}
