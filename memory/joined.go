package memory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Broker joins an [SQS] and a [CoreNATS] for a quick start with a single
// broker: a destination that is one of its queues is SQS, every other one is a
// subject of core NATS. It does not simulate a single real backend, so the
// tests of a service should use the one that stands for the production backend.
// Describe reports which contract a destination has.
//
// A queue exists from [SQS.CreateQueue] on; any other name is a subject.
type Broker struct {
	queues   *SQS
	subjects *CoreNATS
	activity *activity
}

var (
	_ broker.Broker    = (*Broker)(nil)
	_ broker.Requester = (*Broker)(nil)
	_ broker.Responder = (*Broker)(nil)
	_ broker.Receiver  = (*Broker)(nil)
	_ broker.Flusher   = (*Broker)(nil)
	_ broker.Pinger    = (*Broker)(nil)
)

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// Logger is used by subscriptions; nil discards.
	Logger *slog.Logger
	// SQS and CoreNATS configure the two parts; their Logger takes precedence.
	SQS      SQSOptions
	CoreNATS CoreNATSOptions
}

// New returns a Broker without queues. A nil o is the zero Options.
func New(o *Options) *Broker {
	if o == nil {
		o = &Options{}
	}
	queues, subjects := o.SQS, o.CoreNATS
	setDefault(&queues.Logger, o.Logger)
	setDefault(&subjects.Logger, o.Logger)
	a := &activity{}
	return &Broker{queues: newSQS(&queues, a), subjects: newCoreNATS(&subjects, a), activity: a}
}

// SQS returns the part with the queues, for creating, inspecting and failing
// them.
func (b *Broker) SQS() *SQS { return b.queues }

// CoreNATS returns the part with the subjects.
func (b *Broker) CoreNATS() *CoreNATS { return b.subjects }

// at is the part that a destination belongs to.
func (b *Broker) at(destination string) broker.Broker {
	if b.queues.has(destination) {
		return b.queues
	}
	return b.subjects
}

// Publish implements [broker.Publisher].
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	return b.at(m.Subject).Publish(ctx, m)
}

// PublishBatch implements [broker.Publisher]. The messages for subjects are
// sent first, then those for queues.
func (b *Broker) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	receipts, errs := make([]broker.Receipt, len(ms)), make([]error, len(ms))
	b.checkBatch(ctx, ms, errs)
	if refusedAll(ms, errs) {
		return receipts, broker.NewBatchError(errs)
	}
	for _, part := range []broker.Broker{b.subjects, b.queues} {
		var places []int
		var own []broker.Message
		for i, m := range ms {
			if b.at(m.Subject) == part {
				places = append(places, i)
				own = append(own, m)
			}
		}
		got, err := part.PublishBatch(ctx, own)
		for j, i := range places {
			receipts[i], errs[i] = got[j], broker.ItemError(err, j)
		}
	}
	return receipts, broker.NewBatchError(errs)
}

// checkBatch finds what the parts would refuse of a batch.
func (b *Broker) checkBatch(ctx context.Context, ms []broker.Message, errs []error) {
	for i, m := range ms {
		if b.queues.has(m.Subject) {
			_, errs[i] = b.queues.checkMessage(ctx, &m)
		} else {
			errs[i] = b.subjects.prepare(&m)
		}
	}
}

// Subscribe implements [broker.Subscriber].
func (b *Broker) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	return b.at(subject).Subscribe(ctx, subject, h, opts...)
}

// Describe implements [broker.Describer].
func (b *Broker) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	return b.at(destination).Describe(ctx, destination)
}

// Request implements [broker.Requester], for subjects.
func (b *Broker) Request(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
	if err := b.checkSubject(m.Subject); err != nil {
		return nil, err
	}
	return b.subjects.Request(ctx, m)
}

// Respond implements [broker.Responder], for subjects.
func (b *Broker) Respond(ctx context.Context, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.checkSubject(subject); err != nil {
		return nil, err
	}
	return b.subjects.Respond(ctx, subject, h, opts...)
}

func (b *Broker) checkSubject(destination string) error {
	if !b.queues.has(destination) {
		return nil
	}
	return &broker.UnsupportedError{
		Backend: backend, What: "request-reply on queue " + destination, Why: "SQS has none", Instead: "a subject",
	}
}

// Receive implements [broker.Receiver], for queues.
func (b *Broker) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	return b.queues.Receive(ctx, queue, limit, opts...)
}

// Delete implements [broker.Receiver].
func (b *Broker) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return b.queues.Delete(ctx, ds...)
}

// Extend implements [broker.Receiver].
func (b *Broker) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	return b.queues.Extend(ctx, lease, ds...)
}

// Release implements [broker.Receiver].
func (b *Broker) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	return b.queues.Release(ctx, delay, ds...)
}

// Reject implements [broker.Receiver].
func (b *Broker) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return b.queues.Reject(ctx, reason, ds...)
}

// Flush implements [broker.Flusher].
func (b *Broker) Flush(ctx context.Context) error { return b.subjects.Flush(ctx) }

// Ping implements [broker.Pinger].
func (b *Broker) Ping(ctx context.Context) error {
	return errors.Join(b.subjects.Ping(ctx), b.queues.Ping(ctx))
}

// WaitIdle waits until both parts are idle at once; see [SQS.WaitIdle] and
// [CoreNATS.WaitIdle].
func (b *Broker) WaitIdle(ctx context.Context) error {
	err := b.activity.wait(ctx, func() bool { return b.subjects.idle() && b.queues.idle() })
	if err == nil {
		return nil
	}
	return errors.Join(b.subjects.notIdle(err), b.queues.notIdle(err))
}

// Close implements [broker.Broker]. Both parts drain concurrently.
func (b *Broker) Close(ctx context.Context) error {
	subjects := make(chan error)
	go func() { subjects <- b.subjects.Close(ctx) }()
	err := b.queues.Close(ctx)
	return errors.Join(err, <-subjects)
}
