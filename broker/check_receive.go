package broker

import (
	"cmp"
	"time"
)

// leaseShort is a lease that is never too long: a crash costs little then.
const leaseShort = time.Minute

var receiveRules = []rule{
	{
		code: "not-offered", severity: SeverityError,
		bears:  func(c inspection) bool { return c.u.Receives },
		judge:  func(c inspection) verdict { return offered("received from", c.s.Receive.Offered) },
		remedy: "change what the cause names, or receive from another queue or consumer",
	},
	{
		code: "lease-too-short", severity: SeverityError, bears: inspection.leases, judge: inspection.leaseTooShort,
		remedy: "raise the lease (visibility timeout, ack_wait), renew it while handling (Consume does), or shorten the work",
	},
	{
		code: "not-idempotent", severity: SeverityError, bears: inspection.leases, judge: inspection.notIdempotent,
		remedy: "record what has been handled in an idempotency store, together with its effects",
	},
	{
		code: "lossy", severity: SeverityError, bears: inspection.receives, judge: inspection.lossy,
		remedy: "receive from a queue or stream (SQS, JetStream), or say that a loss does no harm",
	},
	{
		code: "ack-none", severity: SeverityError, bears: inspection.receives, judge: inspection.ackNone,
		remedy: "give the consumer explicit acknowledgements",
	},
	{
		code: "unlimited-deliver", severity: SeverityError, bears: inspection.leases, judge: inspection.unlimitedDeliver,
		remedy: "cap the attempts (max_deliver, maxReceiveCount), at 3 to 10",
	},
	{
		code: "slow-consumer", severity: SeverityError, bears: inspection.takesIn, judge: inspection.slowConsumer,
		remedy: "make handlers faster or run more of them, raise the pending limits, or receive from a stream or queue",
	},
	{
		code: "backlog-old", severity: SeverityError, bears: inspection.leases, judge: inspection.backlogOld,
		remedy: "check that consumers run and keep up; where the age is unknown, monitor the backend's own metric",
	},
	{
		code: "lease-too-long", severity: SeverityWarning, bears: inspection.leases, judge: inspection.leaseTooLong,
		remedy: "shorten the lease and renew it while handling (Consume does)",
	},
	{
		code: "attempts-odd", severity: SeverityWarning, bears: inspection.leases, judge: inspection.attemptsOdd,
		remedy: "allow 3 to 10 attempts",
	},
	{
		code: "short-poll", severity: SeverityWarning, bears: inspection.leases, judge: inspection.shortPoll,
		remedy: "wait for messages, on SQS 20s",
	},
	{
		code: "serialised", severity: SeverityWarning, bears: inspection.leases, judge: inspection.serialised,
		remedy: "raise the limit of messages in flight (max_ack_pending), or run fewer handlers",
	},
}

func offered(what string, f Fact[bool]) verdict {
	switch {
	case f.State == StateUnknown:
		return unknown("whether the destination can be "+what, f)
	case isZero(f):
		return wrong("the destination cannot be %s%s", what, source(f))
	}
	return fine
}

// leaseTooShort compares with the time for which a message can be held: its
// lease, or, with a heartbeat, the most that a lease can be renewed to.
func (c inspection) leaseTooShort() verdict {
	limit, what := c.s.Receive.MaxLease, "the time for which a lease can be renewed"
	if c.u.NoHeartbeat {
		limit, what = c.s.Receive.Lease, "the lease"
	}
	worst := c.u.WorstHandler
	switch {
	case worst == 0 && c.u.NoHeartbeat:
		return verdict{cause: "Usage.WorstHandler does not say how long a handler may take, " +
			"so whether it fits in the lease of " + say(limit) + " is unknown", milder: true}
	case worst == 0:
		return fine
	case limit.State == StateUnknown:
		return unknown(what, limit)
	case limit.State == StateKnown && limit.V <= worst:
		return wrong("%s is %s and a handler may take %s: the message is delivered again while it is being handled",
			what, say(limit), shortDuration(worst))
	}
	return fine
}

func (c inspection) leaseTooLong() verdict {
	lease, worst := c.s.Receive.Lease, c.u.WorstHandler
	switch {
	case worst == 0:
		return fine
	case lease.State == StateUnknown:
		return unknown("the lease", lease)
	case lease.State == StateUnlimited,
		lease.State == StateKnown && lease.V > leaseShort && lease.V/10 > worst:
		return wrong("the lease is %s and a handler takes at most %s: a crash hides its messages that long",
			say(lease), shortDuration(worst))
	}
	return fine
}

func (c inspection) notIdempotent() verdict {
	g := c.s.Receive.Guarantee
	switch {
	case c.u.Idempotent:
		return fine
	case g.State == StateUnknown:
		return unknown("whether messages may be delivered twice", g)
	case isKnown(g, GuaranteeAtLeastOnce):
		return wrong("delivery is %s: a message may be handled twice", say(g))
	}
	return fine
}

// lossy leaves to ackNone the cases that a change of the consumer would fix.
func (c inspection) lossy() verdict {
	g := c.s.Receive.Guarantee
	switch {
	case c.u.LossOK:
		return fine
	case g.State == StateUnknown:
		return unknown("whether messages may be lost", g)
	case isKnown(g, GuaranteeAtMostOnce) && !c.waitsForReader():
		return wrong("delivery is %s: a message without a receiver, or whose handler fails, is lost", say(g))
	}
	return fine
}

// ackNone is a destination that keeps messages until they are delivered and not
// until they are settled. Where the guarantee is unknown, lossy says so.
func (c inspection) ackNone() verdict {
	g := c.s.Receive.Guarantee
	if c.u.LossOK || !isKnown(g, GuaranteeAtMostOnce) || !c.waitsForReader() {
		return fine
	}
	return wrong("messages are kept until they are delivered, and delivery is %s: one whose handler fails is lost", say(g))
}

func (c inspection) waitsForReader() bool { return isKnown(c.s.Receive.Slow, SlowWaits) }

// unlimitedDeliver leaves to noDeadLetter the case with one fix for both: an
// SQS queue without a redrive policy, where attempts end because there is a
// dead-letter queue. On JetStream these are two settings.
func (c inspection) unlimitedDeliver() verdict {
	attempts := c.s.Receive.MaxAttempts
	switch {
	case attempts.State == StateUnknown:
		return unknown("how often a failing message is tried", attempts)
	case attempts.State == StateUnlimited && (c.strands() || c.s.Receive.DeadLetter.State != StateNone):
		return wrong("attempts are %s: a message that always fails is tried forever", say(attempts))
	}
	return fine
}

// attemptsOdd leaves an unknown number to unlimitedDeliver.
func (c inspection) attemptsOdd() verdict {
	attempts := c.s.Receive.MaxAttempts
	switch {
	case attempts.State != StateKnown:
		return fine
	case attempts.V <= 1:
		return wrong("the number of attempts is %s: one lost lease or restart uses up a good message's attempts", say(attempts))
	case attempts.V > 100:
		return wrong("the number of attempts is %s: a message that always fails is handled that often", say(attempts))
	}
	return fine
}

func (c inspection) shortPoll() verdict {
	if w := c.u.Wait; w != nil {
		if *w > 0 {
			return fine
		}
		return wrong("receives do not wait for a message (Usage.Wait): " +
			"they cost money when empty, and may find nothing although there are messages")
	}
	own := c.s.Receive.Wait
	switch {
	case own.State == StateUnknown:
		return unknown("how long a receive without Wait waits", own)
	case isZero(own):
		return verdict{cause: "a receive without Wait waits " + say(own), milder: true}
	}
	return fine
}

func (c inspection) serialised() verdict {
	limit, handlers := c.s.Receive.InFlight, max(c.u.Concurrency, 1)
	switch {
	case limit.State == StateUnknown && handlers > 1:
		return unknown("how many messages may be in flight", limit)
	case limit.State == StateKnown && limit.V < handlers:
		return wrong("at most %s messages may be in flight, so %d of %d handlers stay idle",
			say(limit), handlers-limit.V, handlers)
	}
	return fine
}

// takesIn: messages come in faster than they are asked for.
func (c inspection) takesIn() bool {
	slow := c.s.Receive.Slow
	return (c.u.Receives || c.u.Responds) && (slow.State == StateUnknown || isKnown(slow, SlowDrops))
}

// slowConsumer is reported even where a loss does no harm: that covers a
// message now and then, not a subscriber that cannot keep up.
func (c inspection) slowConsumer() verdict {
	dropped := c.h.Dropped
	switch {
	case dropped.State == StateUnknown:
		return unknown("how many messages were dropped", dropped)
	case dropped.State == StateKnown && dropped.V > 0:
		return wrong("%s messages were dropped: they arrived faster than they were handled", say(dropped))
	}
	return fine
}

func (c inspection) backlogOld() verdict {
	age, retention, limit := c.h.OldestAge, c.s.Retention, c.u.MaxAge
	switch {
	case isZero(c.h.Ready) && isZero(c.h.InFlight), age.State == StateNone:
		return fine
	case limit == 0 && retention.State == StateUnknown:
		return unknown("the retention, by which the age of the backlog is judged,", retention)
	case limit == 0 && retention.State != StateKnown:
		return fine // no age is too old
	case age.State == StateUnknown:
		return unknown("the age of the oldest message", age)
	}
	limit = cmp.Or(limit, retention.V/2)
	if age.V < limit {
		return fine
	}
	return wrong("the oldest message is %s old, and should become at most %s old", say(age), shortDuration(limit))
}
