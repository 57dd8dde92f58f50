package brokertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// publishing is a mutant that changes messages before they are sent.
func publishing(change func(*broker.Message)) func(*queues) {
	return func(q *queues) {
		q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			change(&m)
			return q.SQS.Publish(ctx, m)
		}
	}
}

// publishingTo is the same for subjects.
func publishingTo(change func(*broker.Message)) func(*subjects) {
	return func(s *subjects) {
		s.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			change(&m)
			return s.CoreNATS.Publish(ctx, m)
		}
	}
}

// outcomes is a mutant whose receipts claim o.
func outcomes(o broker.Outcome) func(*queues) {
	return func(q *queues) {
		q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			r, err := q.SQS.Publish(ctx, m)
			if err == nil {
				r.Outcome = o
			}
			return r, err
		}
		q.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
			rs, err := q.SQS.PublishBatch(ctx, ms)
			for i := range rs {
				if rs[i].Outcome != broker.OutcomeUnknown {
					rs[i].Outcome = o
				}
			}
			return rs, err
		}
	}
}

// outcomesOf is the same for subjects.
func outcomesOf(o broker.Outcome) func(*subjects) {
	return func(s *subjects) {
		batchOutcomesOf(o)(s)
		s.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			r, err := s.CoreNATS.Publish(ctx, m)
			if err == nil {
				r.Outcome = o
			}
			return r, err
		}
	}
}

// batchOutcomesOf is the same for batches alone.
func batchOutcomesOf(o broker.Outcome) func(*subjects) {
	return func(s *subjects) {
		s.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
			rs, err := s.CoreNATS.PublishBatch(ctx, ms)
			for i := range rs {
				if rs[i].Outcome != broker.OutcomeUnknown {
					rs[i].Outcome = o
				}
			}
			return rs, err
		}
	}
}

func publishMutants() []mutant {
	return []mutant{{
		name: "ignores delay", caught: "delay/holds", also: []string{"delay/longest"},
		on: onQueues("", publishing(func(m *broker.Message) {
			if m.Delay > 0 && m.Delay < 1<<40 {
				m.Delay = 0
			}
		})),
	}, {
		name: "takes a negative delay for none", caught: "input/negative-times",
		on: onQueues("", publishing(func(m *broker.Message) { m.Delay = max(m.Delay, 0) })),
	}, {
		name: "drops a TTL that it cannot honour", caught: "publish/ttl-as-declared",
		on: onSubjects(publishingTo(func(m *broker.Message) { m.TTL = max(min(m.TTL, 0), m.TTL-1<<50) })),
	}, {
		name: "drops a tenant", caught: "publish/tenant-carried-or-refused",
		on: onQueues("", publishing(func(m *broker.Message) { m.Tenant = "" })),
	}, {
		name: "drops a key that it cannot honour", caught: "publish/key-as-declared",
		on: onQueues("", publishing(func(m *broker.Message) { m.Key = "" })),
	}, {
		name: "drops a deduplication id", caught: "publish/id-as-declared",
		on: onQueues("", publishing(func(m *broker.Message) { m.DedupID = "" })),
	}, {
		name: "makes a binary body text", caught: "headers/binary",
		on: onSubjects(publishingTo(func(m *broker.Message) { m.Body = bytes.ToValidUTF8(m.Body, []byte("?")) })),
	}, {
		name: "drops headers that are not ASCII", caught: "headers/text",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			h := broker.Header{}
			for k, v := range m.Header {
				if !strings.ContainsFunc(k+v, func(r rune) bool { return r > 126 }) || strings.ContainsFunc(k, func(r rune) bool { return r > 126 }) {
					h[k] = v
				}
			}
			m.Header = h
		})),
	}, {
		name: "mangles a header", caught: "headers/carried",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			h := broker.Header{}
			for k, v := range m.Header {
				h[k] = strings.ReplaceAll(v, "  ", " ")
			}
			m.Header = h
		})),
	}, {
		name: "drops a header", caught: "publish/arrives",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			m.Header = maps.Clone(m.Header)
			delete(m.Header, "trace-2")
		})),
	}, {
		name: "repairs bad headers", caught: "input/header",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			m.Header = maps.Clone(m.Header)
			for k, v := range m.Header {
				m.Header[k] = strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(v))
			}
		})),
	}, {
		name: "repairs bad subjects", caught: "input/subject",
		on: onSubjects(publishingTo(func(m *broker.Message) { m.Subject = strings.ReplaceAll(m.Subject, " ", "_") })),
	}, {
		name: "cuts what is too large", caught: "limits/message-size",
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				r, err := q.SQS.Publish(ctx, m)
				if errors.Is(err, broker.ErrTooLarge) && len(m.Header) == 0 {
					m.Body = m.Body[:1024]
					return q.SQS.Publish(ctx, m)
				}
				return r, err
			}
		}),
	}, {
		name: "refuses the largest message", caught: "limits/message-size",
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				if len(m.Body) == 1<<20 {
					return broker.Receipt{}, &broker.FieldError{Field: "Body", Limit: "less", TooLarge: true}
				}
				return q.SQS.Publish(ctx, m)
			}
		}),
	}, {
		name: "drops headers that are too many for it", caught: "limits/headers",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			m.Header = maps.Clone(m.Header)
			for i := 50; i < len(m.Header); i++ {
				delete(m.Header, fmt.Sprint("h", i))
			}
		})),
	}, {
		name: "shares the body with its publisher", caught: "publish/copies-bytes",
		on: onQueues("", sharesBytes),
	}, {
		name: "goes on though its context has ended", caught: "errors/ended-context",
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				return q.SQS.Publish(context.WithoutCancel(ctx), m)
			}
		}),
	}, {
		name: "calls a missing queue unavailable", caught: "errors/not-found",
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				r, err := q.SQS.Publish(ctx, m)
				if errors.Is(err, broker.ErrNotFound) {
					err = &broker.Error{Backend: "memory", Op: "publish", Kind: broker.ErrUnavailable}
				}
				return r, err
			}
		}),
	}, {
		name: "does not say why", caught: "errors/unsupported-says-why",
		also: []string{"publish/id-as-declared", "publish/ttl-as-declared", "delay/longest"},
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				r, err := q.SQS.Publish(ctx, m)
				if errors.Is(err, errors.ErrUnsupported) {
					err = errors.ErrUnsupported
				}
				return r, err
			}
		}),
	}, {
		name: "confirms less than it claims", caught: "publish/confirms-as-declared",
		on: onQueues("", outcomes(broker.OutcomeSent)),
	}, {
		name: "confirms more than it claims", caught: "publish/confirms-as-declared",
		on: onSubjects(outcomesOf(broker.OutcomeReceived)),
	}, {
		name: "sends and claims that it is received", caught: "publish/confirms-as-declared",
		on: onConfirmed(outcomesOf(broker.OutcomeSent)),
	}, {
		name: "confirms all but batches", caught: "publish/confirms-as-declared", also: []string{"batch/receipts"},
		on: onConfirmed(batchOutcomesOf(broker.OutcomeSent)),
	}, {
		name: "claims that a duplicate was stored", caught: "dedup/receipt",
		on: onQueues(".fifo", outcomes(broker.OutcomeStored)),
	}, {
		name: "keeps messages while claiming to lose them", caught: "publish/kept-without-reader",
		on: onSubjects(neverLoses),
	}, {
		name: "fails a batch without saying which item", caught: "batch/partial-failure",
		also: []string{"batch/refused-whole"},
		on: onQueues("", func(q *queues) {
			q.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				rs, err := q.SQS.PublishBatch(ctx, ms)
				if _, ok := errors.AsType[*broker.BatchError](err); ok {
					err = &broker.BatchError{}
				}
				return rs, err
			}
		}),
	}, {
		name: "sends the rest of a refused batch", caught: "batch/refused-whole",
		on: onQueues("", func(q *queues) {
			q.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				rs, errs := make([]broker.Receipt, len(ms)), make([]error, len(ms))
				for i, m := range ms {
					rs[i], errs[i] = q.SQS.Publish(ctx, m)
				}
				return rs, broker.NewBatchError(errs)
			}
		}),
	}, {
		name: "stores a batch in another order", caught: "batch/order",
		on: onQueues(".fifo", func(q *queues) {
			q.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				ms = slices.Clone(ms)
				slices.Reverse(ms)
				rs, err := q.SQS.PublishBatch(ctx, ms)
				slices.Reverse(rs)
				return rs, err
			}
		}),
	}, {
		name: "loses one message of a long batch", caught: "batch/receipts",
		on: onQueues("", func(q *queues) {
			q.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				if len(ms) <= 20 {
					return q.SQS.PublishBatch(ctx, ms)
				}
				rs, err := q.SQS.PublishBatch(ctx, ms[:20])
				return append(rs, rs[:len(ms)-20]...), err
			}
		}),
	}, {
		name: "refuses an empty batch", caught: "batch/empty",
		on: onSubjects(func(s *subjects) {
			s.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				if len(ms) == 0 {
					return nil, &broker.FieldError{Field: "ms", Limit: "not empty"}
				}
				return s.CoreNATS.PublishBatch(ctx, ms)
			}
		}),
	}}
}

// sharesBytes delivers the slice that was published.
func sharesBytes(q *queues) {
	var mu sync.Mutex
	published := map[string][]byte{} // by id
	q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		r, err := q.SQS.Publish(ctx, m)
		mu.Lock()
		defer mu.Unlock()
		published[r.ID] = m.Body
		return r, err
	}
	q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
		ds, err := q.SQS.Receive(ctx, name, limit, opts...)
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			if body := published[d.ID]; body != nil {
				d.Body = body
			}
		}
		return ds, err
	}
}

// neverLoses sends again, to the first who subscribes, what nobody heard.
func neverLoses(s *subjects) {
	var mu sync.Mutex
	unheard := map[string][]broker.Message{}
	s.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		if sem, err := s.CoreNATS.Describe(ctx, m.Subject); err == nil && sem.Publish.Readers.V == 0 {
			mu.Lock()
			unheard[m.Subject] = append(unheard[m.Subject], m)
			mu.Unlock()
		}
		return s.CoreNATS.Publish(ctx, m)
	}
	s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
		sub, err := s.CoreNATS.Subscribe(ctx, name, h, opts...)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			_, _ = s.CoreNATS.PublishBatch(ctx, unheard[name])
			delete(unheard, name)
		}
		return sub, err
	}
}
