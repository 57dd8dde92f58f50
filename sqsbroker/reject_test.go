package sqsbroker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
)

func TestReject(t *testing.T) {
	for _, c := range []struct{ queue, dead, key, receives string }{
		{"jobs", "dead", "", "3"},
		{"orders.fifo", "dead.fifo", "k", `"3"`},
	} {
		t.Run(c.queue, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, c.dead)
				r.create(t, c.queue, "RedrivePolicy", redriveTo(c.dead, c.receives))
				_, err := r.Publish(t.Context(), broker.Message{
					Subject: c.queue, Body: []byte("a"), Key: c.key, DedupID: c.key, Header: broker.Header{"trace": "1"},
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Release(t.Context(), 0, r.take(t, c.queue, 1)...); err != nil {
					t.Fatal(err)
				}
				source := r.take(t, c.queue, 1)[0]
				if err := r.Reject(t.Context(), "it is\nspoilt", source); err != nil {
					t.Fatal(err)
				}
				d := r.take(t, c.dead, 1)[0]
				if string(d.Body) != "a" || d.Key != c.key || d.Attempt != 1 || d.Header["trace"] != "1" ||
					d.Header["candidmq-reject-reason"] != "it is spoilt" || d.Header["candidmq-reject-source"] != c.queue || d.Header["candidmq-reject-attempts"] != "2" {
					t.Errorf("dead letter: got %+v", d)
				}
				sleep(time.Hour)
				r.none(t, c.queue)
				if err := r.Delete(t.Context(), source); err == nil {
					t.Error("a rejected message can be deleted")
				}
			})
		})
	}
}

func TestRejectWithoutDeadLetter(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		wantError(t, "Reject", r.Reject(t.Context(), "r", d), errors.ErrUnsupported)
		r.none(t, "jobs")
		if err := r.Delete(t.Context(), d); err != nil { // it stayed leased
			t.Error(err)
		}
		r.create(t, "secret", "RedrivePolicy", redriveTo("jobs", "3"))
		r.publish(t, "secret", "", "a")
		r.fail("GetQueueAttributes", 400, "AccessDeniedException")
		sleep(time.Minute)
		wantError(t, "Reject, attributes denied", r.Reject(t.Context(), "r", r.take(t, "secret", 1)...), errors.ErrUnsupported)
	})
}

func TestRejectIntoAMissingQueue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		_, err := r.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: aws.String(r.server.QueueURL("dead"))})
		if err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute + time.Second)
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		wantError(t, "Reject", r.Reject(t.Context(), "r", d), broker.ErrNotFound)
		if err := r.Extend(t.Context(), 0, d); err != nil {
			t.Errorf("the message is not leased any more: %v", err)
		}
	})
}

func TestRejectCopiesBeforeItDeletes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead.fifo")
		r.create(t, "orders.fifo", "RedrivePolicy", redriveTo("dead.fifo", "3"))
		r.publish(t, "orders.fifo", "k", "a")
		d := r.take(t, "orders.fifo", 1)[0]
		r.fail("DeleteMessageBatch", 400, "RequestThrottled")
		wantError(t, "Reject", r.Reject(t.Context(), "r", d), broker.ErrThrottled)
		r.setFault(nil)
		if err := r.Reject(t.Context(), "r", d); err != nil {
			t.Fatal(err)
		}
		r.take(t, "dead.fifo", 1) // the second copy was a duplicate
		sleep(31 * time.Second)
		r.take(t, "dead.fifo", 1)
		r.none(t, "orders.fifo")
	})
}

func TestRejectKeepsForeignAttributes(t *testing.T) {
	for _, c := range []struct {
		attrs, body int
		want        []string // headers of the reject that fit
		more        int      // attributes
	}{
		{1, 10, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}, 3},
		{8, 10, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}, 1}, // packed
		{9, 10, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}, 1},
		{10, 10, nil, 0}, // none is text that could be packed
		{1, 1<<20 - 30, nil, 0},
		// 16 bytes of attribute, 29 of reason, 32 of source and 31 of attempts.
		{1, 1<<20 - 108, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}, 3},
		{1, 1<<20 - 77, []string{"candidmq-reject-reason", "candidmq-reject-source"}, 2},
		{1, 1<<20 - 76, []string{"candidmq-reject-reason", "candidmq-reject-attempts"}, 2},
		{1, 1<<20 - 75, []string{"candidmq-reject-reason"}, 1},
	} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "dead")
			r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
			attrs := map[string]types.MessageAttributeValue{}
			for i := range c.attrs {
				attrs[fmt.Sprintf("a%d", i)] = types.MessageAttributeValue{DataType: aws.String("Binary.label"), BinaryValue: []byte{0, 255}}
			}
			_, err := r.client.SendMessage(t.Context(), &sqs.SendMessageInput{
				QueueUrl: aws.String(r.server.QueueURL("jobs")), MessageAttributes: attrs,
				MessageBody: aws.String(strings.Repeat("x", c.body)), MessageGroupId: aws.String("tenant"),
				MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
					"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Reject(t.Context(), "r", r.take(t, "jobs", 1)...); err != nil {
				t.Fatal(err)
			}
			d := r.take(t, "dead", 1)[0]
			var native types.Message
			if !d.As(&native) || len(native.MessageAttributes) != c.attrs+c.more ||
				string(native.MessageAttributes["a0"].BinaryValue) != "\x00\xff" || *native.MessageAttributes["a0"].DataType != "Binary.label" {
				t.Errorf("%d attributes: got %v", c.attrs, native.MessageAttributes)
			}
			if d.Tenant != "tenant" || !strings.HasPrefix(native.Attributes["AWSTraceHeader"], "Root=") {
				t.Errorf("got %v", native.Attributes)
			}
			if got := slices.Sorted(maps.Keys(d.Header)); !slices.Equal(got, slices.Sorted(slices.Values(append(c.want, "AWSTraceHeader")))) {
				t.Errorf("%d attributes: got %v, want %v", c.attrs, got, c.want)
			}
		})
	}
}

// A message with as many headers as there can be attributes, or more, keeps them
// all and tells why it was rejected, so that Redrive knows where it came from.
func TestRejectOfAFullMessage(t *testing.T) {
	for _, n := range []int{8, 9, 10, 11, 30} {
		for _, body := range []string{"text", "no text: \xff"} {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "dead")
				r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
				m := broker.Message{Subject: "jobs", Body: []byte(body)}
				for i := range n {
					m.Header.Set(fmt.Sprintf("h%02d", i), "v")
				}
				if _, err := r.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				if err := r.Reject(t.Context(), "spoilt", r.take(t, "jobs", 1)...); err != nil {
					t.Fatal(err)
				}
				want := maps.Clone(m.Header)
				want["candidmq-reject-reason"], want["candidmq-reject-source"], want["candidmq-reject-attempts"] = "spoilt", "jobs", "1"
				dead := r.take(t, "dead", 1)[0]
				if string(dead.Body) != body || !maps.Equal(dead.Header, want) {
					t.Errorf("dead letter of %d headers: got %q, %v", n, dead.Body, dead.Header)
				}
				if err := r.Release(t.Context(), 0, dead); err != nil {
					t.Fatal(err)
				}
				sleep(time.Second)
				if _, err := r.Redrive(t.Context(), "dead", RedriveOptions{}); err != nil {
					t.Errorf("Redrive of %d headers: %v", n, err)
				}
				if d := r.take(t, "jobs", 1)[0]; string(d.Body) != body || !maps.Equal(d.Header, want) {
					t.Errorf("redriven, of %d headers: got %q, %v", n, d.Body, d.Header)
				}
			})
		}
	}
}

// Attributes that others made stay as they are, but for what has the name of a
// header of Reject. Where others have a candidmq-headers of their own, nothing is
// packed.
func TestRejectAmongForeignAttributes(t *testing.T) {
	for _, c := range []struct {
		more int
		want broker.Header
	}{
		{1, broker.Header{"candidmq-reject-reason": "spoilt", "candidmq-reject-source": "jobs", "candidmq-reject-attempts": "1"}},
		{2, broker.Header{}},
	} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "dead")
			r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
			theirs := map[string]types.MessageAttributeValue{
				"n":                      {DataType: aws.String("Number.int"), StringValue: aws.String("12")},
				"b":                      {DataType: aws.String("Binary.png"), BinaryValue: []byte{0, 1, 255}},
				"s":                      {DataType: aws.String("String.x"), StringValue: aws.String("é")},
				"t":                      {DataType: aws.String("String"), StringValue: aws.String("t")},
				"candidmq-headers":       {DataType: aws.String("Number"), StringValue: aws.String("7")},
				"candidmq-body-encoding": {DataType: aws.String("String"), StringValue: aws.String("base64")}, // which the body is not
				"candidmq-reject-reason": {DataType: aws.String("Binary"), BinaryValue: []byte("spoilt")},
			}
			for i := range c.more {
				theirs[fmt.Sprint("more", i)] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
			}
			_, err := r.client.SendMessage(t.Context(), &sqs.SendMessageInput{
				QueueUrl: aws.String(r.server.QueueURL("jobs")), MessageBody: aws.String("x"), MessageAttributes: theirs,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Reject(t.Context(), "spoilt", r.take(t, "jobs", 1)...); err != nil {
				t.Fatal(err)
			}
			var native types.Message
			r.take(t, "dead", 1)[0].As(&native)
			got := native.MessageAttributes
			for name, value := range c.want {
				theirs[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
			}
			if len(c.want) == 0 {
				delete(theirs, "candidmq-reject-reason")
			}
			if !reflect.DeepEqual(got, theirs) {
				t.Errorf("got %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(theirs)))
			}
		})
	}
}

// A consumer whose delete fails tries to reject the message again and again. The
// dead-letter queue has it once all the same.
func TestRejectWhoseDeleteFails(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "100"), "VisibilityTimeout", "60")
		client := newFailAPI(r.client, false, map[string]int{"delete": 1 << 30})
		b, err := New(client, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(t, "jobs", "", "a")
		_, err = b.Subscribe(t.Context(), "jobs", func(context.Context, *broker.Delivery) error {
			return broker.Reject(errors.New("spoilt"))
		}, workers)
		if err != nil {
			t.Fatal(err)
		}
		sleep(25 * time.Second)
		client.mu.Lock()
		if client.sent["delete"] < 20 {
			t.Errorf("only %d deletes were tried", client.sent["delete"])
		}
		client.mu.Unlock()
		if s, err := r.server.Stats("dead"); err != nil || s.Visible != 1 {
			t.Errorf("in the dead-letter queue: %+v, %v; want one copy", s, err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// damage lets the answers to one action bear the digest of other attributes.
func damage(action, digest string) func(string, http.ResponseWriter, *http.Request, http.Handler) bool {
	return func(a string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
		if a == action {
			rewrite(w, req, next, func(answer map[string]any) {
				answer[digest] = strings.Repeat("0", 32)
			})
		}
		return a == action
	}
}

// rewrite changes the answer of the endpoint.
func rewrite(w http.ResponseWriter, req *http.Request, next http.Handler, change func(map[string]any)) {
	seen := httptest.NewRecorder()
	next.ServeHTTP(seen, req)
	var answer map[string]any
	if json.Unmarshal(seen.Body.Bytes(), &answer) == nil {
		change(answer)
	}
	body, _ := json.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(seen.Code)
	_, _ = w.Write(body)
}

// The original of a damaged copy is not deleted.
func TestCopiesAreVerified(t *testing.T) {
	for _, name := range []string{digest, systemDigest} {
		t.Run(name, func(t *testing.T) { copiesAreVerified(t, name) })
	}
}

func copiesAreVerified(t *testing.T, name string) {
	t.Helper()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		r.publish(t, "jobs", "", "a")
		d := r.take(t, "jobs", 1)[0]
		r.setFault(damage("SendMessage", name))
		wantError(t, "Reject", r.Reject(t.Context(), "spoilt", d), broker.ErrUnavailable, broker.ErrOutcomeUnknown)
		if err := r.Extend(t.Context(), time.Minute, d); err != nil {
			t.Errorf("the message is not leased any more: %v", err)
		}
		r.setFault(nil)
		if err := r.Reject(t.Context(), "spoilt", d); err != nil {
			t.Fatal(err)
		}
		if s, err := r.server.Stats("dead"); err != nil || s.Visible != 2 { // the damaged one is not trusted
			t.Errorf("in the dead-letter queue: %+v, %v", s, err)
		}

		sleep(time.Second)
		r.setFault(damage("SendMessage", name))
		report, err := r.Redrive(t.Context(), "dead", RedriveOptions{})
		wantError(t, "Redrive", err, broker.ErrUnavailable, broker.ErrOutcomeUnknown)
		if s, err := r.server.Stats("dead"); err != nil || s.Visible != 2 || report.Moved != 0 {
			t.Errorf("in the dead-letter queue: %+v, %v; %+v", s, err, report)
		}
	})
}

// An SQS-compatible server may have attributes of a type that SQS does not know.
// What is text in them is read, and the copy that SQS refuses is bad input: the
// message stays.
func TestUnknownAttributeType(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		r.publish(t, "jobs", "", "a")
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			if action == "ReceiveMessage" {
				rewrite(w, req, next, func(answer map[string]any) {
					for _, m := range answer["Messages"].([]any) {
						m.(map[string]any)["MessageAttributes"] = map[string]any{"when": map[string]any{"DataType": "Date", "StringValue": "today"}}
					}
				})
			}
			return action == "ReceiveMessage"
		})
		d := r.take(t, "jobs", 1)[0]
		if d.Header["when"] != "today" {
			t.Errorf("got %v", d.Header)
		}
		err := r.Reject(t.Context(), "spoilt", d)
		wantError(t, "Reject", err, broker.ErrInvalid)
		if e, ok := errors.AsType[*broker.Error](err); !ok || e.Retryable || e.OutcomeUnknown {
			t.Errorf("got %#v", e)
		}
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "InvalidParameterValue" || !strings.Contains(api.ErrorMessage(), "type") {
			t.Errorf("AWS's error is not reachable in %v", err)
		}
		if err := r.Extend(t.Context(), 0, d); err != nil {
			t.Errorf("the message is not leased any more: %v", err)
		}
	})
}

// Reject needs what its documentation names, and nothing else.
func TestRejectPermissions(t *testing.T) {
	needed := []string{"DeleteMessageBatch jobs", "GetQueueAttributes jobs", "SendMessage dead"}
	for _, denied := range append(needed, "") {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "dead")
			r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
			r.publish(t, "jobs", "", "a")
			d := r.take(t, "jobs", 1, broker.Lease(time.Hour))[0]
			sleep(time.Minute) // what was read is old
			r.setFault(func(action string, w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
				body, _ := io.ReadAll(req.Body)
				req.Body = io.NopCloser(bytes.NewReader(body))
				var in struct{ QueueURL string }
				_ = json.Unmarshal(body, &in)
				call := action + " " + path.Base(in.QueueURL)
				refused := call == denied || action != "GetQueueUrl" && !slices.Contains(needed, call)
				if refused {
					writeError(w, 403, "AccessDenied")
				}
				return refused
			})
			err := r.Reject(t.Context(), "spoilt", d)
			switch denied {
			case "":
				if err != nil {
					t.Errorf("with what is documented: %v", err)
				}
			case "GetQueueAttributes jobs":
				wantError(t, denied, err, errors.ErrUnsupported)
				if !strings.Contains(fmt.Sprint(err), "sqs:GetQueueAttributes") {
					t.Errorf("got %v, which does not name the permission", err)
				}
			default:
				wantError(t, denied, err, broker.ErrDenied)
			}
		})
	}
}
