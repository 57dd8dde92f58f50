package sqsbroker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

func TestEnsureQueue(t *testing.T) {
	inBubble(t, &Options{Queues: map[string]string{"orders.placed": "orders.fifo"}}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		if report, err := r.EnsureQueue(ctx, "dead.fifo", QueueOptions{Retention: 14 * 24 * time.Hour}); err != nil || !report.Created {
			t.Fatalf("got %+v, %v", report, err)
		}
		o := QueueOptions{
			Visibility: time.Minute, Delay: time.Second, Retention: time.Hour, Wait: 20 * time.Second, MaxMessage: 1 << 18,
			DeadLetter: "dead.fifo", ContentBasedDedup: true, DedupScope: broker.ScopeKey,
			Other: map[string]string{"SqsManagedSseEnabled": "true"},
		}
		begin := time.Now()
		report, err := r.EnsureQueue(ctx, "orders.placed", o)
		if err != nil || !report.Created || report.Address != r.server.QueueURL("orders.fifo") || len(report.Drift) != 0 {
			t.Fatalf("got %+v, %v", report, err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v, want a second until it can be used", took)
		}
		s, err := r.Describe(ctx, "orders.placed")
		if err != nil || s.Receive.Lease.V != time.Minute || s.Publish.QueueDelay.V != time.Second || s.Retention.V != time.Hour ||
			s.Publish.MaxMessage.V != 1<<18 || s.Receive.MaxAttempts.V != 10 || s.Receive.DeadLetter.V != arnOf("dead.fifo") ||
			s.Publish.DedupScope.V != broker.ScopeKey || s.Publish.RateScope.V != broker.ScopeKey || s.AtRest.V != broker.AtRestSSESQS {
			t.Errorf("got %+v, %v", s, err)
		}

		r.called()
		if report, err = r.EnsureQueue(ctx, "orders.placed", o); err != nil || report.Created || len(report.Drift) != 0 {
			t.Errorf("again: got %+v, %v", report, err)
		}
		o.Visibility, o.MaxReceives = 2*time.Minute, 3
		report, err = r.EnsureQueue(ctx, "orders.placed", o)
		if c := r.called(); err != nil || c["CreateQueue"]+c["SetQueueAttributes"] != 0 {
			t.Errorf("got %v, %v", c, err)
		}
		want := []broker.Drift{
			{Field: "RedrivePolicy", Want: redriveTo("dead.fifo", "3"), Has: redriveTo("dead.fifo", "10")},
			{Field: "VisibilityTimeout", Want: "120", Has: "60"},
		}
		if !slices.Equal(report.Drift, want) {
			t.Errorf("got %+v, want %+v", report.Drift, want)
		}
		if report, err = r.UpdateQueue(ctx, "orders.placed", o); err != nil || !slices.Equal(report.Drift, want) {
			t.Errorf("update: got %+v, %v", report, err)
		}
		if report, err = r.EnsureQueue(ctx, "orders.placed", o); err != nil || len(report.Drift) != 0 {
			t.Errorf("after the update: got %+v, %v", report, err)
		}
		if report, err = r.UpdateQueue(ctx, "more", QueueOptions{}); err != nil || !report.Created {
			t.Errorf("update of what is not there: got %+v, %v", report, err)
		}
	})
}

// High throughput is given up together with the scope that it needs, and a queue
// that never had it has no drift.
func TestUpdateQueueToTheQueuesOwnScope(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		own := QueueOptions{DedupScope: broker.ScopeDestination}
		r.create(t, "plain.fifo")
		if report, err := r.EnsureQueue(t.Context(), "plain.fifo", own); err != nil || len(report.Drift) != 0 {
			t.Errorf("got %+v, %v", report, err)
		}
		if _, err := r.EnsureQueue(t.Context(), "fast.fifo", QueueOptions{DedupScope: broker.ScopeKey}); err != nil {
			t.Fatal(err)
		}
		want := []broker.Drift{
			{Field: "DeduplicationScope", Want: "queue", Has: "messageGroup"},
			{Field: "FifoThroughputLimit", Want: "perQueue", Has: "perMessageGroupId"},
		}
		if report, err := r.UpdateQueue(t.Context(), "fast.fifo", own); err != nil || !slices.Equal(report.Drift, want) {
			t.Errorf("got %+v, %v; want %+v", report, err, want)
		}
		if report, err := r.EnsureQueue(t.Context(), "fast.fifo", own); err != nil || len(report.Drift) != 0 {
			t.Errorf("after the update: got %+v, %v", report, err)
		}
	})
}

func TestEnsureQueueRefuses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for name, c := range map[string]struct {
			queue string
			o     QueueOptions
			want  error
		}{
			"no name":         {"orders.placed", QueueOptions{}, broker.ErrInvalid},
			"half a second":   {"q", QueueOptions{Wait: time.Second / 2}, broker.ErrInvalid},
			"13 hours":        {"q", QueueOptions{Visibility: 13 * time.Hour}, broker.ErrInvalid},
			"a minute's less": {"q", QueueOptions{Retention: time.Second}, broker.ErrInvalid},
			"2 MiB":           {"q", QueueOptions{MaxMessage: 1 << 21}, broker.ErrInvalid},
			"receives alone":  {"q", QueueOptions{MaxReceives: 3}, broker.ErrInvalid},
			"Standard dedup":  {"q", QueueOptions{ContentBasedDedup: true}, broker.ErrInvalid},
			"odd scope":       {"q.fifo", QueueOptions{DedupScope: "x"}, broker.ErrInvalid},
		} {
			_, err := r.EnsureQueue(t.Context(), c.queue, c.o)
			wantError(t, name, err, c.want)
		}
		if c := r.called(); len(c) != 0 {
			t.Errorf("calls were made: %v", c)
		}
		_, err := r.EnsureQueue(t.Context(), "q", QueueOptions{DeadLetter: "none"})
		wantError(t, "no dead-letter queue", err, broker.ErrNotFound)
		_, err = r.EnsureQueue(t.Context(), "arn:aws:sqs:us-east-1:123456789012:q", QueueOptions{})
		wantError(t, "by ARN", err, broker.ErrNotFound)
		_, err = r.EnsureQueue(t.Context(), "q", QueueOptions{Other: map[string]string{"Nonsense": "1"}})
		wantError(t, "unknown attribute", err, broker.ErrInvalid)
		if c := r.called(); c["CreateQueue"] != 1 {
			t.Errorf("got %v", c)
		}
		b, err := New(struct{ API }{r.client}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.EnsureQueue(t.Context(), "q", QueueOptions{})
		wantError(t, "a client without CreateQueue", err, errors.ErrUnsupported)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err = r.EnsureQueue(ctx, "q", QueueOptions{})
		wantError(t, "no time to wait", err, context.DeadlineExceeded)
	})
}

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"30", "30", true},
		{"30", "31", false},
		{"", "30", false},
		{`{"deadLetterTargetArn":"a","maxReceiveCount":3}`, `{"maxReceiveCount":"3", "deadLetterTargetArn":"a"}`, true},
		{`{"deadLetterTargetArn":"a","maxReceiveCount":3}`, `{"deadLetterTargetArn":"b","maxReceiveCount":3}`, false},
		{`{"Version":"1","Statement":[]}`, `{"Statement": [], "Version": "1"}`, true},
		{`{"Version":"1"}`, `{"Version":"2"}`, false},
	} {
		if got := sameValue(c.a, c.b); got != c.want {
			t.Errorf("sameValue(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

// racingAPI lets somebody else make the queue first, with other attributes.
type racingAPI struct{ *sqs.Client }

func (a racingAPI) CreateQueue(ctx context.Context, in *sqs.CreateQueueInput, opts ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error) {
	other := *in
	other.Attributes = map[string]string{"VisibilityTimeout": "7"}
	if _, err := a.Client.CreateQueue(ctx, &other, opts...); err != nil {
		return nil, err
	}
	return a.Client.CreateQueue(ctx, in, opts...)
}

func TestEnsureQueueThatIsMadeMeanwhile(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		b, err := New(racingAPI{r.client}, nil)
		if err != nil {
			t.Fatal(err)
		}
		report, err := b.EnsureQueue(t.Context(), "q", QueueOptions{Visibility: time.Minute})
		if err != nil || report.Created || !slices.Equal(report.Drift, []broker.Drift{{Field: "VisibilityTimeout", Want: "60", Has: "7"}}) {
			t.Errorf("got %+v, %v", report, err)
		}
	})
}
