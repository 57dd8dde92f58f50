package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// farBehind is how many operations a replica may be behind its leader without
// being reported: a busy stream has some on their way at any time.
const farBehind = 1000

// Inspect returns the findings of [Broker.Inspect] on the connection, and these
// on a consumer with its stream, on the stream of a subject, or on both if one
// name stands for both:
//
//	consumer-shape   error    the consumer is paused, or the server removes it when nobody reads it
//	replica-offline  warning  a replica is offline, or more than 1000 operations behind
//
// It takes the requests CONSUMER.INFO and STREAM.INFO for a consumer, and
// STREAM.LIST for a subject. A denied request is not answered: it is waited for
// at most 2 s, and what could not be read is reported one level milder, with
// the reason.
func (j *JetStream) Inspect(ctx context.Context, destination string) (broker.Findings, error) {
	const op = "inspect"
	if err := j.ready(ctx, op, destination); err != nil {
		return nil, err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	i := inspection{destination: destination, found: j.core.findings(destination)}
	name, isQueue := j.queueName(destination)
	native, isSubject := j.options.Subjects[destination]
	if !isQueue && !isSubject {
		native, isSubject = destination, true
	}
	var err error
	if isSubject {
		err = j.inspectSubject(ctx, &i, native)
	}
	if err == nil && isQueue {
		err = j.inspectConsumer(ctx, &i, name)
	}
	switch {
	case err == nil:
		return i.found, nil
	case errors.Is(err, broker.ErrInvalid):
		return nil, err
	}
	return nil, j.failure(op, destination, err)
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

func (j *JetStream) inspectConsumer(ctx context.Context, i *inspection, n consumerName) error {
	info, stream, err := j.readBoth(ctx, n)
	if why := unread(ctx, err); why != "" {
		const remedy = "allow CONSUMER.INFO and STREAM.INFO of JetStream's API"
		i.add("consumer-shape", broker.SeverityWarning, "the consumer's configuration is unknown: "+why, remedy)
		i.replicasUnknown(why, remedy)
		return nil
	}
	if err != nil {
		return err
	}
	if info.Paused {
		i.add("consumer-shape", broker.SeverityError,
			fmt.Sprintf("the consumer is paused and delivers nothing for another %v (pause_until)", info.PauseRemaining.Round(time.Second)),
			"resume it (nats consumer resume), or wait")
	}
	if idle := info.Config.InactiveThreshold; idle > 0 {
		i.add("consumer-shape", broker.SeverityError,
			fmt.Sprintf("the server removes the consumer, with its position, when nobody has read it for %v (inactive_threshold)", idle),
			"a durable consumer without inactive_threshold")
	}
	i.replicas("stream "+n.Stream, stream.Cluster)
	i.replicas("consumer "+n.String(), info.Cluster)
	return nil
}

func (j *JetStream) inspectSubject(ctx context.Context, i *inspection, native string) error {
	if err := natsrules.CheckSubject(native); err != nil {
		return err
	}
	if !j.conn.IsConnected() {
		i.replicasUnknown(j.down().Error(), "connect")
		return nil
	}
	stream, err := listed(ctx, j.api, native)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		i.replicasUnknown(err.Error(), "allow STREAM.LIST of JetStream's API")
	case stream != nil:
		i.replicas("stream "+stream.Config.Name, stream.Cluster)
	}
	return nil
}

// replicas reports the replicas of a stream or a consumer that would not take
// over as they are. A server that is not in a cluster has none.
func (i *inspection) replicas(of string, c *jetstream.ClusterInfo) {
	if c == nil {
		return
	}
	const remedy = "start the server, or move the replica to another one (nats stream cluster peer-remove)"
	for _, p := range c.Replicas {
		switch {
		case p.Offline:
			i.add("replica-offline", broker.SeverityWarning, fmt.Sprintf("the replica of %s on %s is offline", of, p.Name), remedy)
		case !p.Current && p.Lag > farBehind:
			i.add("replica-offline", broker.SeverityWarning, fmt.Sprintf("the replica of %s on %s is %d operations behind", of, p.Name, p.Lag),
				"check again; if it does not catch up, restart that server")
		}
	}
}

func (i *inspection) replicasUnknown(why, remedy string) {
	i.add("replica-offline", broker.SeverityInfo, "whether all replicas are there is unknown: "+why, remedy)
}
