package main

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// group is who works the queues off.
const group = "order-workers"

// openJetStream creates streams and consumers and a broker on them. The SDK
// never does so by itself: this is the program's business, and in a real system
// that of whoever deploys it.
func openJetStream(ctx context.Context, t target) (broker.Broker, func(context.Context) error, error) {
	url := "nats" + strings.TrimPrefix(t.server, "jetstream")
	run := "ORDERS-" + rand.Text()[:8] // streams of its own, so that runs do not read each other's orders
	b, err := natsbroker.ConnectJetStream(ctx, url, jetStreamTables(run))
	if err != nil {
		return nil, nil, err
	}
	set := &streamSet{broker: b, run: run}
	if err := set.createAll(ctx); err != nil {
		wrapped, cancel := wrapUp(ctx)
		defer cancel()
		return nil, nil, errors.Join(err, set.remove(wrapped), b.Close(wrapped))
	}
	return b, set.removeOnItsOwn(url), nil
}

// jetStreamTables say which subject and which consumer the names in the story
// stand for.
func jetStreamTables(run string) *natsbroker.JetStreamOptions {
	o := &natsbroker.JetStreamOptions{
		Subjects: map[string]string{placed: run + "." + placed},
		Queues:   map[string]string{},
		// A stream has no keys. The consumer of orders.fifo has one message in
		// hand at a time instead, which keeps the order of all customers.
		Ignore: broker.FieldKey,
	}
	for _, pattern := range patterns {
		o.Subjects[pattern] = run + "." + pattern
	}
	for _, q := range workQueues {
		for _, name := range []string{q.name, q.dead} {
			o.Subjects[name] = run + ".queue." + name
			o.Queues[name] = streamName(run, name) + "/" + group
		}
		o.Queues[o.Subjects[q.dead]] = o.Queues[q.dead] // as its consumer's metadata names it
	}
	return o
}

// streamName is a stream's name, which may have no dots.
func streamName(run, queue string) string { return run + "-" + strings.ReplaceAll(queue, ".", "-") }

// streamSet is the streams of one run.
type streamSet struct {
	broker *natsbroker.JetStream
	run    string
	made   []string
}

func (s *streamSet) createAll(ctx context.Context) error {
	events := jetstream.StreamConfig{Name: s.run, Subjects: []string{s.run + ".orders.>"}}
	if err := s.create(ctx, events, nil); err != nil {
		return err
	}
	for _, q := range workQueues {
		dead := &jetstream.ConsumerConfig{Durable: group, AckPolicy: jetstream.AckExplicitPolicy, AckWait: visibility}
		if err := s.create(ctx, s.queue(q.dead), dead); err != nil {
			return err
		}
		workers := &jetstream.ConsumerConfig{
			Durable: group, AckPolicy: jetstream.AckExplicitPolicy, AckWait: visibility,
			Metadata: natsbroker.DeadLetters{Subject: s.run + ".queue." + q.dead, MaxAttempts: maxReceives}.Metadata(nil),
		}
		if q.fifo {
			workers.MaxAckPending = 1
		}
		if err := s.create(ctx, s.queue(q.name), workers); err != nil {
			return err
		}
	}
	return nil
}

// queue is a stream that keeps each message until it is deleted.
func (s *streamSet) queue(name string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamName(s.run, name), Subjects: []string{s.run + ".queue." + name},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
	}
}

func (s *streamSet) create(ctx context.Context, stream jetstream.StreamConfig, consumer *jetstream.ConsumerConfig) error {
	if _, err := s.broker.EnsureStream(ctx, stream); err != nil {
		return err
	}
	s.made = append(s.made, stream.Name)
	if consumer == nil {
		return nil
	}
	_, err := s.broker.EnsureConsumer(ctx, stream.Name, *consumer)
	return err
}

// remove deletes the streams, and with them their consumers.
func (s *streamSet) remove(ctx context.Context) error {
	var errs []error
	for _, name := range s.made {
		errs = append(errs, s.broker.API().DeleteStream(ctx, name))
	}
	return errors.Join(errs...)
}

// removeOnItsOwn removes the streams over a connection of its own: the story
// closes its broker first, so that nobody reads what is removed.
func (s *streamSet) removeOnItsOwn(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		b, err := natsbroker.ConnectJetStream(ctx, url, nil)
		if err != nil {
			return err
		}
		s.broker = b
		return errors.Join(s.remove(ctx), b.Close(ctx))
	}
}
