package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// lookLimit bounds each request about a configuration or a state. If the
// permission for one is missing, the server does not answer it at all.
const lookLimit = 2 * time.Second

// briefly returns a context for one such request, which leaves time for the
// others, however short ctx is.
func briefly(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := lookLimit
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, limit)
}

// Headers that make a server report what it would do with a message, without
// doing it (ADR-41). Before 2.11 a server treats them like any other header and
// delivers the message.
const (
	traceDestHeader = "Nats-Trace-Dest"
	traceOnlyHeader = "Nats-Trace-Only"
)

// capture is what is known about the stream that stores a subject.
type capture struct {
	stream string                  // "": see known
	known  bool                    // whether there is one, or none
	config *jetstream.StreamConfig // nil where it may not be read, or there is none
	from   string                  // what it was read from, or why it is not known
	// unlisted means that no stream has the subject in its configuration, and
	// that no more can be known because the server cannot be traced.
	unlisted bool
	// unreached is a stream that has the subject in its configuration and that a
	// trace does not find, as if it had no leader.
	unreached string
	listErr   error // why the streams' configurations could not be read

	live      broker.Fact[int]  // subscriptions that a message would be delivered to now
	unread    broker.Fact[bool] // the stream would discard the message, since no consumer wants it
	consumers int               // of the stream, where config is there
}

// readCapture asks in two ways which stream stores a literal subject, since
// each can be wrong or denied. The streams' own configuration, by STREAM.LIST,
// does not include mappings and imports of accounts. A trace does, and takes
// precedence if the server supports it.
func readCapture(ctx context.Context, nc *nats.Conn, api jetstream.JetStream, native string) (capture, error) {
	listed, listErr := listed(ctx, api, native)
	if err := ctx.Err(); err != nil {
		return capture{}, err
	}
	t, traceErr := traceSubject(ctx, nc, native)
	if err := ctx.Err(); err != nil {
		return capture{}, err
	}
	c := storing(listed, listErr, &t, traceErr)
	c.listErr, c.live, c.unread = listErr, t.live(traceErr), t.unread(traceErr)
	return c, nil
}

// storing combines the results of the list and the trace.
func storing(listed *jetstream.StreamInfo, listErr error, t *traced, traceErr error) capture {
	const both, list, trace = "STREAM.LIST and a trace", "STREAM.LIST", "a trace"
	switch {
	case traceErr == nil && t.stream != "":
		c := capture{stream: t.stream, known: true, from: trace}
		if listed != nil && listed.Config.Name == t.stream {
			c.config, c.consumers, c.from = &listed.Config, listed.State.Consumers, both
		}
		return c
	case traceErr == nil && t.elsewhere:
		return capture{from: mappedAway}
	case traceErr == nil && t.refused != "":
		return capture{from: t.refusal()}
	case traceErr == nil && listed != nil:
		name := listed.Config.Name
		return capture{unreached: name, from: fmt.Sprintf("%s has it in stream %s, which %s does not reach: it may have no leader", list, name, trace)}
	case traceErr == nil && leaderless(listErr):
		return capture{from: fmt.Sprintf("%s reaches no stream, and %s: %v", trace, list, listErr)}
	case traceErr == nil && listErr != nil:
		return capture{known: true, from: trace}
	case traceErr == nil:
		return capture{known: true, from: both}
	case listErr != nil:
		return capture{from: fmt.Sprintf("%s: %v; %s: %v", list, listErr, trace, traceErr)}
	case listed != nil:
		return capture{stream: listed.Config.Name, known: true, config: &listed.Config, consumers: listed.State.Consumers, from: list}
	}
	return capture{unlisted: true, from: fmt.Sprintf("%s has none, and mappings are not visible: %v", list, traceErr)}
}

// capture returns what stores a subject of core NATS. While the connection is
// down nothing is asked: a trace that waits for the reconnect might reach a
// server that delivers it.
func (b *Broker) capture(ctx context.Context, native string) (capture, error) {
	if !b.conn.IsConnected() {
		why := nats.ErrDisconnected.Error()
		return capture{from: why, live: broker.Unknown[int](why), unread: broker.Unknown[bool](why)}, nil
	}
	api, err := jetstream.New(b.conn)
	if err != nil {
		return capture{}, err
	}
	return readCapture(ctx, b.conn, api, native)
}

func (c *capture) storedBy() broker.Fact[string] {
	switch {
	case c.stream != "":
		return broker.Known(c.stream, c.from)
	case c.known:
		return broker.None[string](c.from)
	}
	return broker.Unknown[string](c.from)
}

// withoutReader returns whether a message is kept even if nobody reads.
func (c *capture) withoutReader() broker.Fact[bool] {
	switch {
	case c.config != nil:
		return broker.Known(c.config.Retention != jetstream.InterestPolicy, "retention of stream "+c.stream)
	case c.stream != "":
		return broker.Unknown[bool]("the configuration of stream " + c.stream + " could not be read")
	case c.known:
		return broker.Known(false, c.from)
	}
	return broker.Unknown[bool](c.from)
}

// requestReply returns whether the first reply to a request is a responder's: a
// stream acknowledges what it stores, and its acknowledgement is a reply.
func (c *capture) requestReply() broker.Fact[bool] {
	switch {
	case c.config != nil:
		return broker.Known(c.config.NoAck, "no_ack of stream "+c.stream)
	case c.stream != "":
		return broker.Unknown[bool]("the configuration of stream " + c.stream + " could not be read")
	case c.known, c.unlisted:
		return broker.Known(true, docsAsk+"; "+c.from)
	}
	return broker.Unknown[bool](c.from)
}

// interested returns how many consumers keep a message in a stream with
// interest retention. For other streams it is unknown: they keep messages for
// nobody in particular.
func (c *capture) interested() broker.Fact[int] {
	switch {
	case c.config == nil || c.config.Retention != jetstream.InterestPolicy:
		return broker.Unknown[int]("a stream's consumers may read or not")
	case c.unread.State == broker.StateUnknown:
		return broker.Unknown[int](c.unread.From)
	case c.unread.V:
		return broker.Known(0, "a trace: no consumer of stream "+c.stream+" wants the message")
	}
	return broker.Known(max(c.consumers, 1), "the consumers of stream "+c.stream+", of which at least one wants the message, by a trace")
}

// listeners returns who gets a message published on core NATS: subscriptions,
// and consumers for which a stream with interest retention keeps it.
func (c *capture) listeners() broker.Fact[int] {
	if c.config == nil || c.config.Retention != jetstream.InterestPolicy || c.live.State != broker.StateKnown {
		return c.live
	}
	kept := c.interested()
	if kept.State == broker.StateKnown {
		kept.V += c.live.V
		kept.From += "; " + c.live.From
	}
	return kept
}

// listStream finds the stream in the configurations, or returns nil.
func listStream(ctx context.Context, api jetstream.JetStream, native string) (*jetstream.StreamConfig, error) {
	info, err := listed(ctx, api, native)
	if info == nil {
		return nil, err
	}
	return &info.Config, nil
}

// listed is listStream with the stream's state.
func listed(ctx context.Context, api jetstream.JetStream, native string) (*jetstream.StreamInfo, error) {
	ctx, cancel := briefly(ctx)
	defer cancel()
	info, err := findStream(ctx, api, native)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, nil // no JetStream, no stream
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("no answer, as with a missing permission: %w", err)
	}
	return info, err
}

// traced is the result of a trace.
type traced struct {
	stream    string // the stream that would store the message
	refused   string // why the server would not take it
	elsewhere bool   // it would go to another subject or account
	discarded bool   // by the stream, since no consumer wants it

	readers []reader // subscriptions that would get it, of a queue group one
	blind   string   // why there may be others
}

// reader is a client's subscription that would get a message.
type reader struct{ subject, queue string }

const mappedAway = "the account maps the subject to another, or imports it: a trace does not follow that to its end"

func (t *traced) refusal() string { return "the server would refuse the publish: " + t.refused }

// live returns how many subscriptions there are. err is why there is no trace.
func (t *traced) live(err error) broker.Fact[int] {
	switch {
	case err != nil:
		return broker.Unknown[int](err.Error())
	case t.elsewhere:
		return broker.Unknown[int](mappedAway)
	case t.refused != "" && t.stream == "":
		return broker.Unknown[int](t.refusal())
	case t.blind != "":
		return broker.Unknown[int]("a trace: " + t.blind)
	}
	return broker.Known(len(t.readers), "a trace: subscriptions now, a queue group as one")
}

func (t *traced) unread(err error) broker.Fact[bool] {
	switch {
	case err != nil:
		return broker.Unknown[bool](err.Error())
	case t.refused != "":
		return broker.Unknown[bool](t.refusal())
	}
	return broker.Known(t.discarded, "a trace")
}

var errNoTrace = errors.New("the server cannot be traced (nats-server 2.11 and headers are needed)")

// traceSubject asks the servers what they would do with a message. Nothing is
// stored or delivered. It needs permission to publish to the subject.
func traceSubject(ctx context.Context, nc *nats.Conn, native string) (traced, error) {
	if !traceable(nc) {
		return traced{}, errNoTrace
	}
	ctx, cancel := briefly(ctx)
	defer cancel()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return traced{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	msg := &nats.Msg{Subject: native, Header: nats.Header{traceDestHeader: {inbox}, traceOnlyHeader: {"true"}}}
	if err := nc.PublishMsg(msg); err != nil {
		return traced{}, err
	}
	return collectTrace(ctx, sub)
}

// traceable reports whether the connected server supports trace-only messages.
func traceable(nc *nats.Conn) bool {
	return nc.HeadersSupported() && versionAtLeast(nc.ConnectedServerVersion(), 2, 11)
}

// versionAtLeast compares a version such as "2.11.4-beta.1". One that cannot be
// parsed is considered old.
func versionAtLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	return err1 == nil && err2 == nil && (a > major || a == major && b >= minor)
}

// traceEvent is one server's report.
type traceEvent struct {
	Hops   int `json:"hops"` // reports of other servers that are to come
	Events []struct {
		Type       string `json:"type"` // in: ingress, sm: mapping, si: import, se: export, js: stream, eg: egress
		Kind       int    `json:"kind"` // of the connection that it comes from or goes to
		Error      string `json:"error"`
		Stream     string `json:"stream"`
		NoInterest bool   `json:"nointerest"`
		Sub        string `json:"sub"`
		Queue      string `json:"queue"`
	} `json:"events"`
}

// clientKind is a client's connection; the server's own subscriptions, and
// those to other servers, are of other kinds.
const clientKind = 0

// collectTrace reads the reports, which arrive in any order, until it has the
// one of the server that took the message and all those that it and the others
// announced.
func collectTrace(ctx context.Context, sub *nats.Subscription) (traced, error) {
	var t traced
	entered := false
	for due := 1; due > 0 || !entered; due-- {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return t, fmt.Errorf("no trace arrived: %w", err)
		}
		var e traceEvent
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			return t, fmt.Errorf("the trace cannot be parsed: %w", err)
		}
		due += e.Hops
		entered = t.read(&e) || entered
	}
	return t, nil
}

// read reports whether the event is from the server that took the message.
func (t *traced) read(e *traceEvent) (entered bool) {
	for _, ev := range e.Events {
		switch ev.Type {
		case "in":
			entered = entered || ev.Kind == clientKind
			if ev.Error != "" {
				t.refused = ev.Error
			}
		case "sm", "si", "se":
			t.elsewhere = true
		case "js":
			t.stream, t.discarded = ev.Stream, ev.NoInterest
			if ev.Error != "" {
				t.refused = ev.Error
			}
		case "eg":
			switch {
			case ev.Kind == clientKind && ev.Error == "":
				t.readers = append(t.readers, reader{ev.Sub, ev.Queue})
			case ev.Kind != clientKind && ev.Error != "": // such as a server that is too old
				t.blind = ev.Error
			}
		}
	}
	return entered
}
