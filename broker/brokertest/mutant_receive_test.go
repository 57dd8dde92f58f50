package brokertest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// receiving is a mutant that changes what is received.
func receiving(change func(*broker.Delivery)) func(*queues) {
	return func(q *queues) {
		q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
			ds, err := q.SQS.Receive(ctx, name, limit, opts...)
			for _, d := range ds {
				change(d)
			}
			return ds, err
		}
	}
}

// pardons is a mutant that makes nil of ErrLeaseLost.
func pardons(err error) error {
	if errors.Is(err, broker.ErrLeaseLost) {
		return nil
	}
	return err
}

func receiveMutants() []mutant {
	return []mutant{{
		name: "drops one ack of many", caught: "receive/delete-many",
		on: onQueues("", func(q *queues) {
			q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error {
				if len(ds) > 10 {
					ds = ds[1:]
				}
				return q.SQS.Delete(ctx, ds...)
			}
		}),
	}, {
		name: "redelivers after delete", caught: "receive/deleted-is-gone",
		also: []string{"receive/delete-many", "receive/delete-twice", "batch/settling"},
		on: onQueues("", func(q *queues) {
			q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error {
				if len(ds) == 1 || len(ds) > 10 {
					return q.SQS.Release(ctx, 50*time.Second, ds...)
				}
				return q.SQS.Delete(ctx, ds...)
			}
		}),
	}, {
		name: "refuses a second delete", caught: "receive/delete-twice",
		also: []string{"batch/settling"},
		on: onQueues("", func(q *queues) {
			var mu sync.Mutex
			deleted := map[*broker.Delivery]bool{}
			q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				for _, d := range ds {
					if deleted[d] {
						return &broker.Error{Kind: broker.ErrLeaseLost}
					}
					deleted[d] = true
				}
				return q.SQS.Delete(ctx, ds...)
			}
		}),
	}, {
		name: "takes foreign deliveries", caught: "input/foreign-delivery",
		also: []string{"batch/settling"},
		on: onQueues("", func(q *queues) {
			q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error {
				var ours []*broker.Delivery
				for _, d := range ds {
					if d != nil && d.Handle != nil {
						ours = append(ours, d)
					}
				}
				return q.SQS.Delete(ctx, ours...)
			}
		}),
	}, {
		name: "reports a late delete as done", caught: "leases/late-is-lost",
		also: []string{"leases/stale-receipt"},
		on: onQueues(".fifo", func(q *queues) {
			q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error { return pardons(q.SQS.Delete(ctx, ds...)) }
		}),
	}, {
		name: "accepts a stale receipt", caught: "leases/stale-receipt",
		also: []string{"leases/late-is-lost", "receive/settled-is-final"},
		on: onQueues("", func(q *queues) {
			q.onRelease = func(ctx context.Context, delay time.Duration, ds []*broker.Delivery) error {
				return pardons(q.SQS.Release(ctx, delay, ds...))
			}
		}),
	}, {
		name: "extends nothing", caught: "leases/extend-holds",
		also: []string{"leases/extend-by-own"},
		on: onQueues("", func(q *queues) {
			q.onExtend = func(ctx context.Context, lease time.Duration, ds []*broker.Delivery) error {
				if len(ds) == 1 && ds[0] != nil && lease >= 0 && lease < time.Hour {
					if left := time.Until(ds[0].LeaseEnd); left > 0 {
						lease = left
					}
				}
				return q.SQS.Extend(ctx, lease, ds...)
			}
		}),
	}, {
		name: "extends by a lease of its own", caught: "leases/extend-by-own",
		on: onQueues("", func(q *queues) {
			q.onExtend = func(ctx context.Context, lease time.Duration, ds []*broker.Delivery) error {
				if lease == 0 {
					lease = time.Minute
				}
				return q.SQS.Extend(ctx, lease, ds...)
			}
		}),
	}, {
		name: "releases without the delay", caught: "redelivery/release-with-delay",
		on: onQueues("", func(q *queues) {
			q.onRelease = func(ctx context.Context, delay time.Duration, ds []*broker.Delivery) error {
				return q.SQS.Release(ctx, min(delay, 0), ds...)
			}
		}),
	}, {
		name: "releases late", caught: "redelivery/release",
		on: onQueues("", func(q *queues) {
			q.onRelease = func(ctx context.Context, delay time.Duration, ds []*broker.Delivery) error {
				if delay == 0 {
					delay = 5 * time.Second
				}
				return q.SQS.Release(ctx, delay, ds...)
			}
		}),
	}, {
		name: "deletes what is rejected", caught: "dead-letter/reject",
		on: onQueues("", func(q *queues) {
			q.onReject = func(ctx context.Context, reason string, ds []*broker.Delivery) error {
				if len(ds) == 1 && reason == "as the case wants" {
					if s, _ := q.SQS.Describe(ctx, ds[0].Source); s.Receive.DeadLetter.State == broker.StateKnown {
						return q.SQS.Delete(ctx, ds...)
					}
				}
				return q.SQS.Reject(ctx, reason, ds...)
			}
		}),
	}, {
		name: "deletes what it cannot reject", caught: "dead-letter/reject-needs-one",
		on: onQueues("", func(q *queues) {
			q.onReject = func(ctx context.Context, reason string, ds []*broker.Delivery) error {
				err := q.SQS.Reject(ctx, reason, ds...)
				if errors.Is(err, errors.ErrUnsupported) {
					return q.SQS.Delete(ctx, ds...)
				}
				return err
			}
		}),
	}, {
		name: "loses what is not settled in time", caught: "leases/expired-comes-again",
		also: []string{
			"leases/option-wins", "leases/extend-holds", "leases/extend-by-own", "leases/stale-receipt", "leases/longest",
		},
		on: onQueues("", losesExpired),
	}, {
		name: "counts an attempt twice", caught: "redelivery/attempts-counted",
		also: []string{"dead-letter/after-last-attempt", "receive/delivery-is-complete"},
		on:   onQueues("", receiving(func(d *broker.Delivery) { d.Attempt = 2*d.Attempt - 1 })),
	}, {
		name: "does not tell the lease's end", caught: "receive/delivery-is-complete",
		on: onQueues("", receiving(func(d *broker.Delivery) { d.LeaseEnd = time.Time{} })),
	}, {
		name: "does not tell the source", caught: "publish/arrives",
		also: []string{"receive/delivery-is-complete"},
		on:   onQueues("", receiving(func(d *broker.Delivery) { d.Source = "" })),
	}, {
		name: "gives one more than asked for", caught: "receive/gives-at-most-limit",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				if limit == 2 {
					limit = 3
				}
				return q.SQS.Receive(ctx, name, limit, opts...)
			}
		}),
	}, {
		name: "takes a maximum of 0 for 1", caught: "input/receive-limit",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				return q.SQS.Receive(ctx, name, max(limit, 1), opts...)
			}
		}),
	}, {
		name: "waits as long as it likes", caught: "receive/waits",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				if len(opts) == 0 {
					opts = append(opts, broker.Wait(5*time.Second))
				}
				return q.SQS.Receive(ctx, name, limit, opts...)
			}
		}),
	}, {
		name: "does not wake", caught: "receive/wakes",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				if len(opts) > 0 && opts[0] == broker.Wait(20*time.Second) && limit == 10 {
					select {
					case <-time.After(20 * time.Second):
					case <-ctx.Done():
					}
				}
				return q.SQS.Receive(ctx, name, limit, opts...)
			}
		}),
	}, {
		name: "waits though its context has ended", caught: "receive/context-ends",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				return q.SQS.Receive(context.WithoutCancel(ctx), name, limit, opts...)
			}
		}),
	}, {
		name: "ignores the lease that is asked for", caught: "leases/option-wins",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				var rest []broker.ReceiveOption
				for _, o := range opts {
					if o != broker.Lease(2*time.Second) {
						rest = append(rest, o)
					}
				}
				return q.SQS.Receive(ctx, name, limit, rest...)
			}
		}),
	}, {
		name: "takes numbers for seconds", caught: "input/options",
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				for i, o := range opts {
					switch o := o.(type) {
					case broker.Wait:
						if 0 < o && o < 1000 {
							opts[i] = o * broker.Wait(time.Second)
						}
					case broker.Lease:
						if 0 < o && o < 1000 {
							opts[i] = o * broker.Lease(time.Second)
						}
					}
				}
				return q.SQS.Receive(ctx, name, limit, opts...)
			}
		}),
	}, {
		name: "leases for half as long", caught: "leases/expired-comes-again",
		also: []string{"leases/extend-by-own", "leases/extend-holds", "leases/stale-receipt", "receive/delivery-is-complete"},
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				if len(opts) < 2 && name != "" {
					opts = append(opts, broker.Lease(15*time.Second))
				}
				return q.SQS.Receive(ctx, name, limit, opts...)
			}
		}),
	}, {
		name: "lets a lease go on for ever", caught: "leases/longest",
		on: onQueues("", func(q *queues) {
			q.onExtend = func(ctx context.Context, lease time.Duration, ds []*broker.Delivery) error {
				return q.SQS.Extend(ctx, min(lease, 12*time.Hour), ds...)
			}
		}),
	}}
}

// losesExpired deletes what comes again without having been released.
func losesExpired(q *queues) {
	var mu sync.Mutex
	released := map[string]bool{} // by id
	q.onRelease = func(ctx context.Context, delay time.Duration, ds []*broker.Delivery) error {
		mu.Lock()
		for _, d := range ds {
			released[d.ID] = true
		}
		mu.Unlock()
		return q.SQS.Release(ctx, delay, ds...)
	}
	q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
		ds, err := q.SQS.Receive(ctx, name, limit, opts...)
		mu.Lock()
		defer mu.Unlock()
		if len(ds) == 1 && ds[0].Attempt > 1 && !released[ds[0].ID] && !strings.HasPrefix(name, "dead-") {
			return nil, q.SQS.Delete(ctx, ds...)
		}
		return ds, err
	}
}
