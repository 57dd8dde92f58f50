package broker

var publishRules = []rule{
	{
		code: "not-offered", severity: SeverityError,
		bears:  func(c inspection) bool { return c.u.Publishes },
		judge:  func(c inspection) verdict { return offered("published to", c.s.Publish.Offered) },
		remedy: "publish to the destination that feeds it",
	},
	{
		code: "persistence-cliff", severity: SeverityError, bears: inspection.publishes, judge: inspection.persistenceCliff,
		remedy: "add the subject to a stream, publish to a queue, or say that a loss does no harm",
	},
	{
		code: "unread-discarded", severity: SeverityError, bears: inspection.publishes, judge: inspection.unreadDiscarded,
		remedy: "create the consumer before the first publish, or keep messages by limits",
	},
	{
		code: "fifo-no-id", severity: SeverityError, bears: inspection.publishes, judge: inspection.noID,
		remedy: "set Message.DedupID, or have the queue deduplicate by content",
	},
	{
		code: "retry-past-window", severity: SeverityWarning, bears: inspection.publishes, judge: inspection.retryPastWindow,
		remedy: "stop trying before the deduplication window ends",
	},
}

var requestRules = []rule{
	{
		code: "request-on-stream", severity: SeverityError, judge: inspection.requestOnStream,
		bears:  func(c inspection) bool { return c.u.Requests || c.u.Responds },
		remedy: "request on another subject, which no stream captures",
	},
	{
		code: "no-responder", severity: SeverityWarning, bears: inspection.requests, judge: inspection.noResponder,
		remedy: "start a responder first, and try again on ErrNoResponders",
	},
	{
		code: "request-deadline", severity: SeverityInfo, bears: inspection.requests, judge: inspection.requestDeadline,
		remedy: "give each request a context with a deadline",
	},
}

func (c inspection) persistenceCliff() verdict {
	by := c.s.Publish.StoredBy
	switch {
	case c.u.LossOK:
		return fine
	case by.State == StateUnknown:
		return unknown("whether anything stores published messages", by)
	case by.State == StateNone:
		return wrong("nothing stores published messages%s: a message without a listener is lost", source(by))
	}
	return fine
}

// unreadDiscarded leaves to persistenceCliff what nothing stores.
func (c inspection) unreadDiscarded() verdict {
	by, kept, readers := c.s.Publish.StoredBy, c.s.Publish.WithoutReader, c.s.Publish.Readers
	switch {
	case c.u.LossOK, by.State == StateNone, by.State == StateUnknown:
		return fine
	case kept.State == StateUnknown:
		return unknown("whether messages without a reader are kept", kept)
	case !isZero(kept):
		return fine
	case readers.State == StateUnknown:
		return unknown("whether there is a reader, without which messages are discarded,", readers)
	case isZero(readers):
		return wrong("%s keeps only messages that have a reader%s, and there is none%s: messages are confirmed and discarded",
			by.V, source(kept), source(readers))
	}
	return fine
}

func (c inspection) noID() verdict {
	required := c.s.Publish.IDRequired
	switch {
	case c.u.SetsID:
		return fine
	case required.State == StateUnknown:
		return unknown("whether a message must have a deduplication id", required)
	case isKnown(required, true):
		return wrong("every message must have a deduplication id%s, and none is set", source(required))
	}
	return fine
}

// retryPastWindow says nothing where there is no window: nobody relies on it
// there, and notIdempotent is said of the receivers.
func (c inspection) retryPastWindow() verdict {
	window, retries := c.s.Publish.DedupWindow, c.u.PublishRetryFor
	switch {
	case retries == 0:
		return fine
	case window.State == StateUnknown:
		return unknown("for how long duplicates are recognised", window)
	case window.State == StateKnown && window.V < retries:
		return wrong("duplicates are recognised for %s and publishing is tried for %s: a late retry is stored again",
			say(window), shortDuration(retries))
	}
	return fine
}

// requestOnStream: a stream acknowledges what it stores to the reply address,
// and that reply may come first.
func (c inspection) requestOnStream() verdict {
	works, by := c.s.Publish.RequestReply, c.s.Publish.StoredBy
	switch {
	case isKnown(works, true):
		return fine
	case by.State == StateKnown:
		return wrong("messages published here are stored by %s: "+
			"the first reply may be its acknowledgement, and a responder's arrives too late or never", say(by))
	case isZero(works):
		return wrong("requests do not work here%s", source(works))
	case by.State == StateUnknown:
		return unknown("whether a stream answers in the responder's place", by)
	}
	return fine
}

func (c inspection) noResponder() verdict {
	readers := c.s.Publish.Readers
	switch {
	case readers.State == StateUnknown:
		return unknown("whether there is a listener", readers)
	case isZero(readers):
		return wrong("there is no listener%s: a request fails with ErrNoResponders", source(readers))
	}
	return fine
}

func (c inspection) requestDeadline() verdict {
	if c.u.RequestTimeout > 0 {
		return fine
	}
	return wrong("requests have no deadline: the broker's default applies, %s unless set in its options",
		shortDuration(DefaultRequestTimeout))
}
