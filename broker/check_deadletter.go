package broker

var deadLetterRules = []rule{
	{
		code: "no-dead-letter", severity: SeverityError, bears: inspection.leases, judge: inspection.noDeadLetter,
		remedy: "create a dead-letter queue, and name it with 3 to 10 attempts in the redrive policy",
	},
	{
		code: "stranded", severity: SeverityError, bears: inspection.leases, judge: inspection.stranded,
		remedy: "capture the consumer's MAX_DELIVERIES advisory in a stream",
	},
	{
		code: "dlq-missing", severity: SeverityError, bears: inspection.leases, judge: inspection.deadLetterMissing,
		remedy: "create the dead-letter destination, or name another",
	},
	{
		code: "dlq-retention", severity: SeverityError, bears: inspection.deadLetters, judge: inspection.deadLetterRetention,
		remedy: "keep dead letters for the longest time possible (SQS: 14 days), and messages shorter than that",
	},
	{
		code: "dlq-not-empty", severity: SeverityError, bears: inspection.deadLetters, judge: inspection.deadLettersThere,
		remedy: "inspect the dead letters, fix the cause, then redrive or delete them",
	},
	{
		code: "dlq-old", severity: SeverityError, bears: inspection.deadLetters, judge: inspection.deadLetterOld,
		remedy: "inspect the dead letters before they disappear, then redrive or delete them",
	},
	{
		code: "no-alarm-visible", severity: SeverityInfo, bears: inspection.deadLetters, judge: inspection.noAlarmVisible,
		remedy: "set an alarm on the number of dead letters, and say so in Usage.DeadLetterAlarm",
	},
}

// deadLetters: there is a dead-letter destination, so far as is known. That it
// is missing is for deadLetterMissing to say.
func (c inspection) deadLetters() bool {
	return c.leases() && c.s.Receive.DeadLetter.State == StateKnown && !isKnown(c.h.DeadLetterExists, false)
}

// strands: a message whose attempts are used up stays where it is.
func (c inspection) strands() bool { return isKnown(c.s.Receive.Exhausted, ExhaustedStranded) }

// noDeadLetter leaves to stranded and deadLetterMissing what is theirs.
func (c inspection) noDeadLetter() verdict {
	target := c.s.Receive.DeadLetter
	switch {
	case c.strands(), isKnown(c.h.DeadLetterExists, false):
		return fine
	case target.State == StateUnknown:
		return unknown("where a message that always fails goes", target)
	case target.State == StateNone:
		return wrong("there is no dead-letter destination%s: a message that always fails has nowhere to go", source(target))
	}
	return fine
}

// stranded needs an end of the attempts; unlimitedDeliver has the rest.
func (c inspection) stranded() verdict {
	target, attempts := c.s.Receive.DeadLetter, c.s.Receive.MaxAttempts
	switch {
	case !c.strands(), attempts.State != StateKnown:
		return fine
	case target.State == StateUnknown:
		return unknown("what reports a message whose attempts are used up", target)
	case target.State == StateNone:
		return wrong("after its attempts, %s, a message stays, is never delivered again, and is not reported%s",
			say(attempts), source(target))
	}
	return fine
}

// deadLetterMissing says nothing where it is unknown, since its content is
// unknown too then, and deadLettersThere says so.
func (c inspection) deadLetterMissing() verdict {
	if !isKnown(c.h.DeadLetterExists, false) {
		return fine
	}
	return wrong("the dead-letter destination that the configuration names does not exist%s: "+
		"a message that always fails has nowhere to go", source(c.h.DeadLetterExists))
}

// deadLetterRetention: where a message keeps its age when it is moved, one that
// has nearly used up the source's retention has that much less of the other.
func (c inspection) deadLetterRetention() verdict {
	keeps, there, here := c.h.DeadLetterKeepsAge, c.h.DeadLetterRetention, c.s.Retention
	switch {
	case isZero(keeps), there.State == StateUnlimited, there.State == StateNone:
		return fine
	case there.State == StateUnknown:
		return unknown("for how long dead letters are kept", there)
	case keeps.State == StateUnknown:
		return unknown("whether a dead letter keeps its age", keeps)
	case here.State == StateUnknown:
		return unknown("the retention of the source, which dead letters must outlast,", here)
	case here.State == StateUnlimited, here.State == StateKnown && there.V <= here.V:
		return wrong("dead letters keep their age%s and are kept for %s in all, messages here for %s: "+
			"one may disappear as soon as it is moved", source(keeps), say(there), say(here))
	}
	return fine
}

func (c inspection) deadLettersThere() verdict {
	n := c.h.DeadLetterReady
	switch {
	case n.State == StateUnknown:
		return unknown("how many messages are in the dead-letter destination "+c.s.Receive.DeadLetter.V, n)
	case n.State == StateKnown && n.V > 0:
		return wrong("%s messages are in the dead-letter destination %s", say(n), c.s.Receive.DeadLetter.V)
	}
	return fine
}

// deadLetterOld says nothing where it is unknown whether there are dead letters:
// deadLettersThere does.
func (c inspection) deadLetterOld() verdict {
	n, age, kept := c.h.DeadLetterReady, c.h.DeadLetterOldest, c.h.DeadLetterRetention
	switch {
	case n.State == StateUnknown, isZero(n), age.State == StateNone:
		return fine
	case kept.State == StateUnlimited, kept.State == StateNone:
		return fine // none will disappear
	case age.State == StateUnknown:
		return unknown("the age of the oldest dead letter", age)
	case kept.State == StateUnknown:
		return unknown("for how long dead letters are kept", kept)
	case age.V < kept.V/2:
		return fine
	}
	return wrong("the oldest dead letter is %s old and disappears at %s", say(age), say(kept))
}

func (c inspection) noAlarmVisible() verdict {
	if c.u.DeadLetterAlarm {
		return fine
	}
	return wrong("whether an alarm is set for messages that arrive in %s cannot be seen from here", c.s.Receive.DeadLetter.V)
}
