package broker

import "time"

// settling is how long a change of configuration may take to take effect, for
// most attributes (SQS API CreateQueue; the retention takes up to 15 minutes).
const settling = time.Minute

var storageRules = []rule{
	{
		code: "drops-unprocessed", severity: SeverityError, bears: inspection.relies, judge: inspection.dropsOldest,
		remedy: "have a full destination refuse messages (discard new), and size it for the longest outage",
	},
	{
		code: "drops-unprocessed", severity: SeverityError, bears: inspection.relies, judge: inspection.outlivedByOutage,
		remedy: "keep messages for longer than the longest outage",
	},
	{
		code: "volatile", severity: SeverityWarning, bears: inspection.relies, judge: inspection.volatile,
		remedy: "store on disk, and confirm after writing",
	},
	{
		code: "single-replica", severity: SeverityWarning, bears: inspection.relies, judge: inspection.singleReplica,
		remedy: "keep three replicas",
	},
	{
		code: "plaintext", severity: SeverityWarning, judge: inspection.plaintext,
		remedy: "connect with TLS",
	},
	{
		code: "unencrypted", severity: SeverityWarning, bears: inspection.stores, judge: inspection.unencrypted,
		remedy: "turn on encryption at rest",
	},
	{code: "just-changed", severity: SeverityInfo, judge: inspection.justChanged, remedy: "check again in a minute"},
}

// dropsOldest concerns work queues: in a log with many readers, the oldest part
// is meant to be dropped.
func (c inspection) dropsOldest() verdict {
	full, readers := c.s.WhenFull, c.s.Receive.Distribution
	switch {
	case full.State == StateUnknown:
		return unknown("what happens when the destination is full", full)
	case !isKnown(full, FullDropsOldest):
		return fine
	case readers.State == StateUnknown:
		return unknown("whether the destination, which drops its oldest messages when full, is a work queue,", readers)
	case isKnown(readers, DistributionCompeting):
		return wrong("a full destination %s: a message is discarded before anybody has handled it", say(full))
	}
	return fine
}

func (c inspection) outlivedByOutage() verdict {
	kept, outage := c.s.Retention, c.u.MaxOutage
	switch {
	case outage == 0:
		return fine
	case kept.State == StateUnknown:
		return unknown("for how long messages are kept", kept)
	case kept.State == StateKnown && kept.V < outage:
		return wrong("messages are kept for %s and receivers may be away for %s: the first messages are gone by then",
			say(kept), shortDuration(outage))
	}
	return fine
}

func (c inspection) volatile() verdict {
	d := c.s.Durability
	switch {
	case d.State == StateUnknown:
		return unknown("what stored messages survive", d)
	case isKnown(d, DurabilityMemory):
		return wrong("messages are kept in %s: a restart of the server loses them", say(d))
	case isKnown(d, DurabilityDiskAsync):
		return wrong("messages are confirmed before they are written, %s: a crash of the server loses some", say(d))
	}
	return fine
}

// singleReplica says nothing of managed storage, whose replication the provider
// does not disclose.
func (c inspection) singleReplica() verdict {
	n := c.s.Replicas
	switch {
	case isKnown(c.s.Durability, DurabilityManaged):
		return fine
	case n.State == StateUnknown:
		return unknown("how many copies of a message there are", n)
	case n.State == StateKnown && n.V <= 1:
		return wrong("the number of copies of a message is %s: with one server the messages are gone or out of reach", say(n))
	}
	return fine
}

func (c inspection) plaintext() verdict {
	f := c.s.InTransit
	switch f.State {
	case StateUnknown:
		return unknown("whether the connection is encrypted", f)
	case StateNone:
		return wrong("the connection is not encrypted%s: bodies and credentials can be read in transit", source(f))
	}
	return fine
}

func (c inspection) unencrypted() verdict {
	f := c.s.AtRest
	switch f.State {
	case StateUnknown:
		return unknown("whether stored messages are encrypted", f)
	case StateNone:
		return wrong("stored messages are not encrypted%s", source(f))
	}
	return fine
}

// justChanged says nothing where the fact is unknown: no severity is below
// information.
func (c inspection) justChanged() verdict {
	if f := c.h.Unchanged; f.State == StateKnown && f.V < settling {
		f.V = f.V.Round(time.Second)
		return wrong("the configuration changed %s ago: it may not have taken effect, or not show yet", say(f))
	}
	return fine
}
