package natsbroker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// A replica that is not current is reported above these values: a busy stream
// has some operations on their way at any time, and replicas speak to each other
// every second.
const (
	farBehind = 1000 // operations
	longAgo   = 10 * time.Second
)

var _ broker.Inspector = (*JetStream)(nil)

// Inspect returns the findings of [Broker.Inspect] on the connection, and these
// on a consumer with its stream, on the stream of a subject, or on both if one
// name stands for both:
//
//	consumer-shape   error    Receive refuses the consumer (a push consumer, for example), its filter matches
//	                          nothing, it is paused, or it is durable and yet removed when nobody reads it
//	no-leader        error    the stream or consumer has no leader: nothing can be published, or received
//	replica-offline  warning  a replica is offline, has not been heard from for 10 s, or is 1000 operations behind
//
// [broker.Check] reports by itself, as not-offered, a sealed stream and, for those
// who receive, a consumer that Receive refuses.
//
// Inspect of a consumer takes CONSUMER.INFO and STREAM.INFO; that of a subject
// takes STREAM.LIST, a trace from nats-server 2.11 on, and STREAM.INFO. Each is
// waited for at most 2 s, or half of the time that ctx leaves. What is not
// answered (a denied request never is), and everything while the connection is
// down, is reported one level milder, with the reason. A consumer that does not
// exist is an error, [broker.ErrNotFound]; a subject without a stream is no
// finding.
func (j *JetStream) Inspect(ctx context.Context, destination string) (broker.Findings, error) {
	const op = "inspect"
	if err := j.ready(ctx, op, destination); err != nil {
		return nil, err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	i := inspection{destination: destination, found: j.core.findings(destination)}
	name := j.resolve(destination)
	var err error
	if name.isSubject {
		err = j.inspectSubject(ctx, &i, name.subject)
	}
	if err == nil && name.isConsumer {
		err = j.inspectConsumer(ctx, &i, name.consumer)
	}
	switch {
	case err == nil:
		return i.found, nil
	case errors.Is(err, broker.ErrInvalid):
		return nil, err
	}
	return nil, j.failure(op, destination, err)
}

func (j *JetStream) inspectSubject(ctx context.Context, i *inspection, native string) error {
	if err := natsrules.CheckSubject(native); err != nil {
		return err
	}
	c, err := j.capture(ctx, native)
	switch {
	case err != nil:
		return err
	case c.stream != "" || c.unreached != "":
		return j.inspectStream(ctx, i, cmp.Or(c.stream, c.unreached))
	case leaderless(c.listErr):
		i.noLeader("JetStream itself", c.listErr.Error())
	case c.listErr != nil || !j.conn.IsConnected():
		i.groupUnknown("what stores the subject", c.from)
	}
	return nil
}

func (j *JetStream) inspectStream(ctx context.Context, i *inspection, name string) error {
	look, cancel := briefly(ctx)
	defer cancel()
	s, err := j.api.Stream(look, name)
	switch {
	case err == nil:
		i.group("stream "+name, s.CachedInfo().Cluster)
	case !errors.Is(err, jetstream.ErrStreamNotFound): // which it may be by now
		return i.notRead(ctx, "stream "+name, err)
	}
	return nil
}

func (j *JetStream) inspectConsumer(ctx context.Context, i *inspection, n consumerName) error {
	info, stream, err := j.readBoth(ctx, n)
	if info == nil {
		if why := silence(ctx, err); why != "" && !leaderless(err) {
			i.add("consumer-shape", broker.SeverityWarning, "the consumer's configuration is unknown: "+why, checkAgain)
		}
		return i.notRead(ctx, "consumer "+n.String(), err)
	}
	i.consumer(n, info)
	i.group("consumer "+n.String(), info.Cluster)
	if stream == nil {
		return i.notRead(ctx, "stream "+n.Stream, err)
	}
	if dead := deadFilter(&stream.Config, &info.Config); dead != "" {
		i.add("consumer-shape", broker.SeverityError, natsrules.DeadOffer(dead), "change the filter, or the stream's subjects")
	}
	i.group("stream "+n.Stream, stream.Cluster)
	return nil
}

// inspection collects findings on a destination.
type inspection struct {
	destination string
	found       broker.Findings
}

// add adds a finding, once: a name may stand for a consumer and for a subject of
// the same stream.
func (i *inspection) add(code string, severity broker.Severity, cause, remedy string) {
	f := broker.Finding{Code: code, Severity: severity, Destination: i.destination, Cause: cause, Remedy: remedy}
	if !slices.Contains(i.found, f) {
		i.found = append(i.found, f)
	}
}

// consumer reports what keeps a consumer from delivering.
func (i *inspection) consumer(n consumerName, info *jetstream.ConsumerInfo) {
	add := func(cause, remedy string) { i.add("consumer-shape", broker.SeverityError, cause, remedy) }
	if _, err := readConsumer(n, &info.Config); err != nil {
		cause, remedy := err.Error(), "receive from another consumer"
		if e, ok := errors.AsType[*broker.UnsupportedError](err); ok {
			cause, remedy = e.Why, "use "+e.Instead
		}
		add(cause, remedy)
	}
	if info.Paused {
		add(fmt.Sprintf("the consumer is paused and delivers nothing for another %v (pause_until)", info.PauseRemaining.Round(time.Second)),
			"resume it (nats consumer resume), or wait")
	}
	if idle := info.Config.InactiveThreshold; idle > 0 && info.Config.Durable != "" {
		add(fmt.Sprintf("the consumer is durable, but the server removes it, with its position, when nobody has read it for %v (inactive_threshold)", idle),
			"set inactive_threshold to 0; if the stream's consumer_limits demand one, make it longer than any outage")
	}
}

// group reports on the servers that hold a stream or a consumer. One that is
// not in a cluster has none.
func (i *inspection) group(of string, c *jetstream.ClusterInfo) {
	switch {
	case c == nil:
		return
	case c.Leader == "" && len(c.Replicas) > 0:
		i.noLeader(of, "the server knows of none")
		return
	}
	for _, p := range c.Replicas {
		if what := trouble(p); what != "" {
			i.add("replica-offline", broker.SeverityWarning, fmt.Sprintf("the replica of %s on %s %s", of, p.Name, what),
				"check again in a moment; if it stays so, start or restart that server, or move the replica (nats stream cluster peer-remove)")
		}
	}
}

// trouble returns why a replica would not take over, or "".
func trouble(p *jetstream.PeerInfo) string {
	switch {
	case p.Offline:
		return "is offline"
	case p.Current:
		return ""
	case p.Active == 0:
		return "has not been heard from by this leader"
	case p.Active > longAgo:
		return fmt.Sprintf("has not been heard from for %v", p.Active.Round(time.Second))
	case p.Lag > farBehind:
		return fmt.Sprintf("is %d operations behind", p.Lag)
	}
	return ""
}

// checkAgain is the remedy for what could not be read.
const checkAgain = "check again while connected, with permission for CONSUMER.INFO, STREAM.INFO and STREAM.LIST of JetStream's API"

func (i *inspection) noLeader(of, why string) {
	i.add("no-leader", broker.SeverityError, "there is no leader of "+of+": "+why, "start servers until a majority is there; upgrade those that do not support what is configured")
}

func (i *inspection) groupUnknown(of, why string) {
	i.add("no-leader", broker.SeverityWarning, "whether "+of+" has a leader is unknown: "+why, checkAgain)
	i.add("replica-offline", broker.SeverityInfo, "whether all replicas of "+of+" are there is unknown: "+why, checkAgain)
}

// notRead reports what was not read, or returns an error that says something
// else.
func (i *inspection) notRead(ctx context.Context, of string, err error) error {
	why := silence(ctx, err)
	switch {
	case why == "":
		return err
	case leaderless(err):
		i.noLeader(of, why)
	default:
		i.groupUnknown(of, why)
	}
	return nil
}
