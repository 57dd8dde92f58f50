package sqsbroker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

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
	}{
		{1, 10, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}},
		{8, 10, []string{"candidmq-reject-reason", "candidmq-reject-source"}},
		{9, 10, []string{"candidmq-reject-reason"}},
		{10, 10, nil},
		{1, 1<<20 - 30, nil},
		// 16 bytes of attribute, 29 of reason, 32 of source and 31 of attempts.
		{1, 1<<20 - 108, []string{"candidmq-reject-reason", "candidmq-reject-source", "candidmq-reject-attempts"}},
		{1, 1<<20 - 77, []string{"candidmq-reject-reason", "candidmq-reject-source"}},
		{1, 1<<20 - 76, []string{"candidmq-reject-reason", "candidmq-reject-attempts"}},
		{1, 1<<20 - 75, []string{"candidmq-reject-reason"}},
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
			if !d.As(&native) || len(native.MessageAttributes) != c.attrs+len(c.want) ||
				string(native.MessageAttributes["a0"].BinaryValue) != "\x00\xff" || *native.MessageAttributes["a0"].DataType != "Binary.label" {
				t.Errorf("%d attributes: got %v", c.attrs, native.MessageAttributes)
			}
			if d.Tenant != "tenant" || !strings.HasPrefix(native.Attributes["AWSTraceHeader"], "Root=") {
				t.Errorf("got %v", native.Attributes)
			}
			for _, name := range c.want {
				if d.Header[name] == "" {
					t.Errorf("%d attributes: %s is missing", c.attrs, name)
				}
			}
		})
	}
}
