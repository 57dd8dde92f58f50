package sqstest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Every modelled error that the endpoint can give is found by its Go type.
func TestErrorsHaveTheSDKsTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, &sqstest.Options{MaxInFlight: 1})
		defer e.srv.Close()
		ctx, url := t.Context(), e.queue("q", nil)
		e.send(url, "a")
		e.send(url, "b")
		e.receive(url, 1)
		entry := types.SendMessageBatchRequestEntry{Id: str("a"), MessageBody: str("x")}
		batch := func(es ...types.SendMessageBatchRequestEntry) error {
			_, err := e.c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: es})
			return err
		}
		create := func(name string, a attrs) error {
			_, err := e.c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: a})
			return err
		}
		purge := func() error {
			_, err := e.c.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url})
			return err
		}
		big := types.SendMessageBatchRequestEntry{Id: str("big"), MessageBody: str(strings.Repeat("x", 1<<20))}
		gone := e.queue("gone", nil)
		_, overLimit := e.c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url})
		_, contents := e.c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("\x00")})
		_, noQueue := e.c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: str(e.srv.QueueURL("none"))})
		_, noResource := e.c.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: str(e.srv.ARN("none"))})
		_, err := e.c.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &gone})
		e.ok("DeleteQueue", err)
		e.ok("PurgeQueue", purge())

		is[*types.BatchEntryIdsNotDistinct](t, batch(entry, entry))
		is[*types.BatchRequestTooLong](t, batch(entry, big))
		is[*types.EmptyBatchRequest](t, batch([]types.SendMessageBatchRequestEntry{}...))
		is[*types.InvalidAttributeName](t, create("x", attrs{"Foo": "1"}))
		is[*types.InvalidAttributeValue](t, create("x", attrs{"DelaySeconds": "-1"}))
		is[*types.InvalidBatchEntryId](t, batch(types.SendMessageBatchRequestEntry{Id: str(":"), MessageBody: str("x")}))
		is[*types.InvalidMessageContents](t, contents)
		is[*types.OverLimit](t, overLimit)
		is[*types.PurgeQueueInProgress](t, purge())
		is[*types.QueueDeletedRecently](t, create("gone", nil))
		is[*types.QueueDoesNotExist](t, noQueue)
		is[*types.QueueNameExists](t, create("q", attrs{"DelaySeconds": "1"}))
		is[*types.ReceiptHandleIsInvalid](t, e.delete(url, types.Message{ReceiptHandle: str("x")}))
		is[*types.ResourceNotFoundException](t, noResource)
		is[*types.TooManyEntriesInBatchRequest](t, batch(slices.Repeat([]types.SendMessageBatchRequestEntry{entry}, 11)...))
	})
}

func is[T error](t *testing.T, err error) {
	t.Helper()
	if want, ok := errors.AsType[T](err); !ok {
		t.Errorf("got %v, want a %T", err, want)
	}
}

// The calls are counted by action, those that fail and those that are no action
// as well; looking at a queue is no call.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		defer e.srv.Close()
		if err := e.srv.CreateQueue("q", nil); err != nil {
			t.Fatal(err)
		}
		e.send("q", "a")
		e.send("q", "b")
		e.raw("SendMessage", "no JSON")
		e.raw("Fly", "{}")
		e.receive("q", 10)
		if _, err := e.srv.Messages("q", 10); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(e.srv.Calls()), "map[:1 ReceiveMessage:1 SendMessage:3]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestLooking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		defer e.srv.Close()
		url := e.queue("q.fifo", nil)
		e.sendTo(url, "a", "1", "in flight")
		e.sendTo(url, "b", "2", "visible")
		e.receive(url, 1)
		stats, err := e.srv.Stats("q.fifo")
		if want := (sqstest.Stats{Visible: 1, InFlight: 1}); err != nil || stats != want {
			t.Errorf("stats: got %+v, %v, want %+v", stats, err, want)
		}
		ms, err := e.srv.Messages("q.fifo", 10)
		if err != nil || len(ms) != 2 || ms[0].Body != "in flight" || ms[0].Receives != 1 || ms[1].Group != "b" || ms[1].DedupID != "2" {
			t.Errorf("messages: got %+v, %v", ms, err)
		}
		if ms, err = e.srv.Messages("q.fifo", 1); err != nil || len(ms) != 1 {
			t.Errorf("one message: got %+v, %v", ms, err)
		}
		if _, err := e.srv.Stats("none"); err == nil {
			t.Error("stats of no queue: no error")
		}
	})
}

// A test may put itself in front of the handler of a server.
func TestWrap(t *testing.T) {
	srv := sqstest.NewServer(&sqstest.Options{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PurgeQueue") {
				http.Error(w, "refused", http.StatusTeapot)
				return
			}
			h.ServeHTTP(w, r)
		})
	}})
	defer srv.Close()
	if err := srv.CreateQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	_, err := srv.Client().PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: str(srv.QueueURL("q"))})
	if err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %v, want a 418", err)
	}
}

// The handler works under any server and path; URLs start with BaseURL.
func TestHandlerMounted(t *testing.T) {
	h := sqstest.NewHandler(&sqstest.Options{BaseURL: "https://queues.example/sqs", Region: "eu-north-1", Account: "111122223333"})
	defer h.Close()
	mux := http.NewServeMux()
	mux.Handle("/sqs/", h)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	c := sqs.New(sqs.Options{BaseEndpoint: str(srv.URL + "/sqs/"), Region: "eu-north-1", HTTPClient: srv.Client()})
	made, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: str("q")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *made.QueueUrl, "https://queues.example/sqs/111122223333/q"; got != want {
		t.Errorf("URL: got %s, want %s", got, want)
	}
	if got, want := h.ARN("q"), "arn:aws:sqs:eu-north-1:111122223333:q"; got != want {
		t.Errorf("ARN: got %s, want %s", got, want)
	}
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: str("x")}); err != nil {
		t.Error(err)
	}
}

// Close ends waiting polls and may be called again; later calls fail.
func TestCloseEndsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		url := e.queue("q", nil)
		begin := time.Now()
		var done sync.WaitGroup
		for range 20 {
			done.Go(func() {
				_, err := e.c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
				if err == nil {
					t.Error("a poll succeeded on a closed server")
				}
			})
		}
		synctest.Wait()
		e.srv.Close()
		done.Wait()
		e.srv.Close()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		if _, err := e.c.ListQueues(t.Context(), &sqs.ListQueuesInput{}); err == nil {
			t.Error("a call succeeded on a closed server")
		}
	})
}

// Close ends a running move task too.
func TestCloseEndsMoveTasks(t *testing.T) {
	srv := sqstest.NewServer(nil)
	e := envOf(t, srv)
	_, dead := pair(e, "", 1)
	e.send(dead, "x")
	one := int32(1)
	startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: str(e.arn("dead")), MaxNumberOfMessagesPerSecond: &one})
	srv.Close()
}

// So it does when the task's queue is gone and its clock stands still.
func TestCloseForgetsTasksOfDeletedQueues(t *testing.T) {
	srv := sqstest.NewServer(&sqstest.Options{Clock: sqstest.NewManualClock(time.Now())})
	e := envOf(t, srv)
	_, dead := pair(e, "", 1)
	startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: str(e.arn("dead"))})
	_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &dead})
	e.ok("DeleteQueue", err)
	srv.Close()
}

func TestMemoryServerOutlivesItsDialers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sqstest.NewMemoryServer(nil)
		c := srv.Client(func(o *sqs.Options) { o.RetryMaxAttempts = 1 })
		srv.Close()
		if _, err := c.ListQueues(t.Context(), &sqs.ListQueuesInput{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: got %v, want net.ErrClosed", err)
		}
	})
}

// A body of more than any request needs is refused without reading it all.
func TestHugeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		defer e.srv.Close()
		a := e.raw("SendMessage", `{"MessageBody":"`+strings.Repeat("x", 10<<20)+`"}`)
		if a.status != http.StatusRequestEntityTooLarge || a.name() != "RequestEntityTooLargeException" {
			t.Errorf("got %d %s", a.status, a.raw)
		}
	})
}

// Clients that do not get on with their request are dropped; a long poll is
// none of them.
func TestSlowClients(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 100\r\n"
	for _, sent := range []string{"", "POST / HTTP/1.1\r\n", head, head + "\r\n", head + "\r\n{"} {
		t.Run(fmt.Sprintf("%d bytes", len(sent)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, nil)
				defer e.srv.Close()
				conn := dial(t, e.srv)
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				answer, err := io.ReadAll(bufio.NewReader(conn))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > 31*time.Second {
					t.Errorf("dropped after %v with %q", took, answer)
				}
			})
		})
	}
}

// A client that is slow with its request has its long poll in full.
func TestSlowRequestThenLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		defer e.srv.Close()
		e.queue("q", nil)
		body := `{"QueueUrl":"q","WaitTimeSeconds":20}`
		conn := dial(t, e.srv)
		begin := time.Now()
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: %d\r\n\r\n{", len(body))
		e.ok("head", err)
		time.Sleep(25 * time.Second)
		_, err = io.WriteString(conn, body[1:])
		e.ok("body", err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		e.ok("answer", err)
		_ = resp.Body.Close()
		equal(t, "status", resp.StatusCode, http.StatusOK)
		equal(t, "took", time.Since(begin), 45*time.Second)
	})
}

func dial(t *testing.T, srv *sqstest.Server) net.Conn {
	t.Helper()
	conn, err := srv.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
