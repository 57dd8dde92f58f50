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

// lookLimit bounds each of the two questions of a capture. Where the
// permission for one is missing, the server does not answer it at all.
const lookLimit = 2 * time.Second

// The headers that make a server report what it would do with a message,
// without doing it (ADR-41). Before 2.11 a server takes them for any other and
// delivers the message.
const (
	traceDestHeader = "Nats-Trace-Dest"
	traceOnlyHeader = "Nats-Trace-Only"
)

// capture is what is known of the stream that stores a subject.
type capture struct {
	stream string                  // "": see known
	known  bool                    // whether there is one, or none
	config *jetstream.StreamConfig // nil where it may not be read, or there is none
	from   string                  // what it was read from, or why it is not known
	// unlisted: no stream has the subject in its configuration, and no more can
	// be known because the server cannot be traced.
	unlisted bool
}

// readCapture asks two ways which stream stores a literal subject, since each
// can be wrong or denied. The streams' own configuration, by STREAM.LIST, does
// not see mappings and imports of accounts. A trace does see them, and is the
// authority where the server can do it.
func readCapture(ctx context.Context, nc *nats.Conn, api jetstream.JetStream, native string) (capture, error) {
	listed, listErr := listStream(ctx, api, native)
	if err := ctx.Err(); err != nil {
		return capture{}, err
	}
	t, traceErr := traceSubject(ctx, nc, native)
	if err := ctx.Err(); err != nil {
		return capture{}, err
	}
	const both, list, trace = "STREAM.LIST and a trace", "STREAM.LIST", "a trace"
	switch {
	case traceErr == nil && t.stream != "":
		c := capture{stream: t.stream, known: true, from: trace}
		if listed != nil && listed.Name == t.stream {
			c.config, c.from = listed, both
		}
		return c, nil
	case traceErr == nil && t.elsewhere:
		return capture{from: "the account maps the subject to another, or imports it: a trace does not see the end of that"}, nil
	case traceErr == nil && t.refused != "":
		return capture{from: "the server would refuse the publish: " + t.refused}, nil
	case traceErr == nil:
		return capture{known: true, from: both}, nil
	case listErr != nil:
		return capture{from: fmt.Sprintf("%s: %v; %s: %v", list, listErr, trace, traceErr)}, nil
	case listed != nil:
		return capture{stream: listed.Name, known: true, config: listed, from: list}, nil
	}
	return capture{unlisted: true, from: fmt.Sprintf("%s has none, and mappings stay unseen: %v", list, traceErr)}, nil
}

// capture is what stores a subject of core NATS. While the connection is down
// nothing is asked: a trace that waits for the reconnect might reach a server
// that delivers it.
func (b *Broker) capture(ctx context.Context, native string) (capture, error) {
	if !b.conn.IsConnected() {
		return capture{from: nats.ErrDisconnected.Error()}, nil
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

// withoutReader is whether a message is kept though nobody reads.
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

// requestReply is whether the first reply to a request is a responder's: a
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

// listStream finds the stream in the configurations, nil if there is none.
func listStream(ctx context.Context, api jetstream.JetStream, native string) (*jetstream.StreamConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	info, err := findStream(ctx, api, native)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, nil // no JetStream, no stream
	case err != nil:
		return nil, fmt.Errorf("no answer, which is how a missing permission looks: %w", err)
	case info == nil:
		return nil, nil
	}
	return &info.Config, nil
}

// traced is what a trace tells.
type traced struct {
	stream    string // the stream that would store the message
	refused   string // why the server would not take it
	elsewhere bool   // it would go to another subject or account
}

var errNoTrace = errors.New("the server cannot be traced (nats-server 2.11 and headers are needed)")

// traceSubject asks the servers what they would do with a message. Nothing is
// stored or delivered. It needs the permission to publish to the subject.
func traceSubject(ctx context.Context, nc *nats.Conn, native string) (traced, error) {
	if !traceable(nc) {
		return traced{}, errNoTrace
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
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

// traceable reports whether the server connected to knows trace-only messages.
func traceable(nc *nats.Conn) bool {
	return nc.HeadersSupported() && versionAtLeast(nc.ConnectedServerVersion(), 2, 11)
}

// versionAtLeast compares a version such as "2.11.4-beta.1". One that is not
// understood is taken for an old one.
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
		Kind       int    `json:"kind"`
		Error      string `json:"error"`
		Stream     string `json:"stream"`
		NoInterest bool   `json:"nointerest"`
	} `json:"events"`
}

// collectTrace reads the reports, which arrive in any order, until the one of
// the server that took the message is there and all those that it and the others
// announced.
func collectTrace(ctx context.Context, sub *nats.Subscription) (traced, error) {
	var t traced
	entered := false
	for due := 1; due > 0 || !entered; due-- {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return t, fmt.Errorf("no trace came: %w", err)
		}
		var e traceEvent
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			return t, fmt.Errorf("the trace is not understood: %w", err)
		}
		due += e.Hops
		entered = t.read(&e) || entered
	}
	return t, nil
}

// read reports whether the event is of the server that took the message.
func (t *traced) read(e *traceEvent) (entered bool) {
	for _, ev := range e.Events {
		switch ev.Type {
		case "in":
			const client = 0
			entered = entered || ev.Kind == client
			if ev.Error != "" {
				t.refused = ev.Error
			}
		case "sm", "si", "se":
			t.elsewhere = true
		case "js":
			t.stream = ev.Stream
			if ev.Error != "" {
				t.refused = ev.Error
			}
		}
	}
	return entered
}
