package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Need is one guarantee that a service relies on. The functions named Need…
// create them.
type Need struct {
	name  string
	facts func(Semantics) []fact // the facts it depends on, shown in a gap
	met   func(Semantics) bool
}

// String returns the need in words, such as "a lease of at least 30s".
func (n Need) String() string { return n.name }

// Gap is a need that a destination does not meet.
type Gap struct {
	Needs   string // in words
	Has     string // the destination's values
	Because string // where they were read, or why they are unknown
}

// RequireError lists the needs that a destination does not meet. It matches
// [errors.ErrUnsupported].
type RequireError struct {
	Destination string
	Gaps        []Gap
}

// Error has a line for each gap: needs, has, because.
func (e *RequireError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not offer what is needed:", quote(e.Destination))
	for _, g := range e.Gaps {
		fmt.Fprintf(&b, "\n  needs %s / has %s / because %s", g.Needs, g.Has, g.Because)
	}
	return b.String()
}

// Unwrap returns errors.ErrUnsupported.
func (e *RequireError) Unwrap() error { return errors.ErrUnsupported }

// Require compares what the code relies on with what the destination offers.
// Call it once, at start-up, so that a service does not start on a broker that
// can lose its orders:
//
//	err := broker.Require(ctx, b, "orders",
//		broker.NeedAtLeastOnce(), broker.NeedStored(), broker.NeedDeadLetter())
//
// All needs that are not met are named in one [*RequireError]; an unknown fact
// does not meet a need. An error of Describe is returned unchanged.
func Require(ctx context.Context, d Describer, destination string, needs ...Need) error {
	s, err := d.Describe(ctx, destination)
	if err != nil {
		return err
	}
	var gaps []Gap
	for _, n := range needs {
		if !n.met(s) {
			gaps = append(gaps, n.gap(s))
		}
	}
	if len(gaps) == 0 {
		return nil
	}
	return &RequireError{Destination: destination, Gaps: gaps}
}

func (n Need) gap(s Semantics) Gap {
	var has, because []string
	for _, f := range n.facts(s) {
		has = append(has, f.String())
		because = append(because, cmp.Or(f.from(), "it was not read"))
	}
	return Gap{Needs: n.name, Has: strings.Join(has, ", "), Because: strings.Join(because, ", ")}
}

// need creates a Need that depends on one fact.
func need[T comparable](name string, of func(Semantics) Fact[T], met func(Fact[T]) bool) Need {
	return Need{
		name:  name,
		facts: func(s Semantics) []fact { return []fact{of(s)} },
		met:   func(s Semantics) bool { return met(of(s)) },
	}
}

// isOneOf is met by a known value among those given.
func isOneOf[T comparable](values ...T) func(Fact[T]) bool {
	return func(f Fact[T]) bool {
		for _, v := range values {
			if f.State == StateKnown && f.V == v {
				return true
			}
		}
		return false
	}
}

// atLeast is met by a known value of at least v, and by no limit.
func atLeast[T cmp.Ordered](v T) func(Fact[T]) bool {
	return func(f Fact[T]) bool {
		return f.State == StateUnlimited || f.State == StateKnown && f.V >= v
	}
}

// NeedAtLeastOnce is met where a message is kept until it is settled.
func NeedAtLeastOnce() Need {
	return need("delivery at least once",
		func(s Semantics) Fact[Guarantee] { return s.Receive.Guarantee }, isOneOf(GuaranteeAtLeastOnce))
}

// NeedStored is met where a nil error of Publish means that the message is
// stored, and kept even without a reader (or a reader is currently seen).
func NeedStored() Need {
	return Need{
		name: "confirmed storing, even without a reader",
		facts: func(s Semantics) []fact {
			return []fact{s.Publish.Confirm, s.Publish.WithoutReader}
		},
		met: func(s Semantics) bool {
			kept := isOneOf(true)(s.Publish.WithoutReader) || s.Publish.Readers.State == StateKnown && s.Publish.Readers.V > 0
			return isOneOf(ConfirmStored)(s.Publish.Confirm) && kept
		},
	}
}

// NeedReceived is met where a nil error of Publish means at least that the
// server has the message: the outcome is [OutcomeReceived] or stronger. A
// message that is not stored may still reach no one.
func NeedReceived() Need {
	return need("confirmation that the server has the message",
		func(s Semantics) Fact[Confirm] { return s.Publish.Confirm }, isOneOf(ConfirmReceived, ConfirmStored))
}

// NeedDurable is met by any of the given durabilities.
func NeedDurable(accepted ...Durability) Need {
	return need(fmt.Sprintf("durability of %v", accepted),
		func(s Semantics) Fact[Durability] { return s.Durability }, isOneOf(accepted...))
}

// NeedReplicas is met by at least n copies of each message.
func NeedReplicas(n int) Need {
	return need(fmt.Sprintf("at least %d replicas", n),
		func(s Semantics) Fact[int] { return s.Replicas }, atLeast(n))
}

// NeedOrder is met where first deliveries arrive in order for each key, or in
// total order.
func NeedOrder() Need {
	return need("order for each key",
		func(s Semantics) Fact[Ordering] { return s.Receive.Ordering }, isOneOf(OrderingPerKey, OrderingTotal))
}

// NeedTotalOrder is met where all first deliveries arrive in one order.
func NeedTotalOrder() Need {
	return need("total order",
		func(s Semantics) Fact[Ordering] { return s.Receive.Ordering }, isOneOf(OrderingTotal))
}

// NeedStrictOrder is met where the order survives competing receivers and
// redelivery.
func NeedStrictOrder() Need {
	return need("order that survives redelivery",
		func(s Semantics) Fact[bool] { return s.Receive.Strict }, isOneOf(true))
}

// NeedDedup is met by a deduplication window of at least window, in which ids
// are compared over at least the given scope.
func NeedDedup(window time.Duration, scope Scope) Need {
	width := map[Scope]int{ScopeKey: 1, ScopeDestination: 2, ScopeStream: 3}
	return Need{
		name: fmt.Sprintf("deduplication for at least %s over the %s", shortDuration(window), scope),
		facts: func(s Semantics) []fact {
			return []fact{s.Publish.DedupWindow, s.Publish.DedupScope}
		},
		met: func(s Semantics) bool {
			has := s.Publish.DedupScope
			return atLeast(window)(s.Publish.DedupWindow) &&
				has.State == StateKnown && width[has.V] >= width[scope] && width[scope] > 0
		},
	}
}

// NeedLease is met by a lease of at least d.
func NeedLease(d time.Duration) Need {
	return need("a lease of at least "+shortDuration(d),
		func(s Semantics) Fact[time.Duration] { return s.Receive.Lease }, atLeast(d))
}

// NeedMaxLease is met where a heartbeat can hold a message for at least d.
func NeedMaxLease(d time.Duration) Need {
	return need("leases renewable to at least "+shortDuration(d),
		func(s Semantics) Fact[time.Duration] { return s.Receive.MaxLease }, atLeast(d))
}

// NeedAttempts is met where a message is tried at least low and at most high
// times.
func NeedAttempts(low, high int) Need {
	return need(fmt.Sprintf("%d to %d attempts", low, high),
		func(s Semantics) Fact[int] { return s.Receive.MaxAttempts },
		func(f Fact[int]) bool { return f.State == StateKnown && low <= f.V && f.V <= high })
}

// NeedDeadLetter is met where a message whose attempts are used up is moved to
// a known dead-letter destination.
func NeedDeadLetter() Need {
	return need("a dead-letter destination",
		func(s Semantics) Fact[string] { return s.Receive.DeadLetter },
		func(f Fact[string]) bool { return f.State == StateKnown })
}

// NeedDelay is met where a message can be delayed by d.
func NeedDelay(d time.Duration) Need {
	return need("delays of up to "+shortDuration(d),
		func(s Semantics) Fact[time.Duration] { return s.Publish.MaxDelay }, atLeast(d))
}

// NeedTTL is met where a message can carry a time to live.
func NeedTTL() Need {
	return need("a time to live for each message",
		func(s Semantics) Fact[time.Duration] { return s.Publish.MessageTTL },
		func(f Fact[time.Duration]) bool { return f.State == StateKnown || f.State == StateUnlimited })
}

// NeedSchedule is met where the server delivers on a schedule.
func NeedSchedule() Need {
	return need("delivery on a schedule",
		func(s Semantics) Fact[bool] { return s.Publish.Schedule }, isOneOf(true))
}

// NeedMaxMessage is met where a message of n bytes, headers included, fits.
func NeedMaxMessage(n int64) Need {
	return need(fmt.Sprintf("messages of up to %d bytes", n),
		func(s Semantics) Fact[int64] { return s.Publish.MaxMessage }, atLeast(n))
}

// NeedHeaders is met where a message may carry n headers.
func NeedHeaders(n int) Need {
	return need(fmt.Sprintf("%d headers", n),
		func(s Semantics) Fact[int] { return s.Publish.MaxHeaders }, atLeast(n))
}

// NeedInFlight is met where n messages may be leased at a time.
func NeedInFlight(n int) Need {
	return need(fmt.Sprintf("%d messages in flight", n),
		func(s Semantics) Fact[int] { return s.Receive.InFlight }, atLeast(n))
}

// NeedRetention is met where messages are kept for at least d.
func NeedRetention(d time.Duration) Need {
	return need("retention of at least "+shortDuration(d),
		func(s Semantics) Fact[time.Duration] { return s.Retention }, atLeast(d))
}

// NeedNoDrop is met where a full destination does not discard messages.
func NeedNoDrop() Need {
	return need("no dropping when full",
		func(s Semantics) Fact[Full] { return s.WhenFull },
		func(f Fact[Full]) bool { return f.State == StateNone || f.State == StateKnown && f.V == FullRejects })
}

// NeedFanOut is met where every subscription can get every message.
func NeedFanOut() Need {
	return need("fan-out",
		func(s Semantics) Fact[Distribution] { return s.Receive.Distribution }, isOneOf(DistributionFanOut, DistributionBoth))
}

// NeedCompeting is met where consumers can share the messages.
func NeedCompeting() Need {
	return need("competing consumers",
		func(s Semantics) Fact[Distribution] { return s.Receive.Distribution }, isOneOf(DistributionCompeting, DistributionBoth))
}

// NeedReplay is met where messages can be read again.
func NeedReplay() Need {
	return need("replay",
		func(s Semantics) Fact[bool] { return s.Receive.Replay }, isOneOf(true))
}

// NeedRequestReply is met where Request works.
func NeedRequestReply() Need {
	return need("request-reply",
		func(s Semantics) Fact[bool] { return s.Publish.RequestReply }, isOneOf(true))
}

// NeedEncrypted is met where stored messages are encrypted.
func NeedEncrypted() Need {
	return need("encryption at rest",
		func(s Semantics) Fact[AtRest] { return s.AtRest },
		func(f Fact[AtRest]) bool { return f.State == StateKnown })
}

// NeedTLS is met where the connection is encrypted.
func NeedTLS() Need {
	return need("TLS",
		func(s Semantics) Fact[string] { return s.InTransit },
		func(f Fact[string]) bool { return f.State == StateKnown })
}
