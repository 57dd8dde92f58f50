package natsbroker

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// EnsureStream creates a stream if there is none of that name; otherwise it
// compares the existing one with cfg and reports the differences, changing
// nothing. Numbers, durations, strings and lists that are zero in cfg are left
// to the server and not compared; policies and switches are compared, since
// their zero values are meaningful. Of Metadata only the keys in cfg are
// compared. Several processes may call it at once.
func (j *JetStream) EnsureStream(ctx context.Context, cfg jetstream.StreamConfig) (broker.Ensured, error) {
	const op = "ensure stream"
	if err := j.ready(ctx, op, cfg.Name); err != nil {
		return broker.Ensured{}, err
	}
	if !natsrules.ValidName(cfg.Name) {
		return broker.Ensured{}, &broker.FieldError{Field: "Name", Value: cfg.Name, Limit: natsrules.NameLimit}
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	return j.ensure(op, cfg.Name, func() (any, error) {
		s, err := j.api.Stream(ctx, cfg.Name)
		if err != nil {
			return nil, err
		}
		return s.CachedInfo().Config, nil
	}, func() error {
		_, err := j.api.CreateStream(ctx, cfg)
		return err
	}, cfg)
}

// EnsureConsumer creates a durable pull consumer if there is none of that name
// (cfg.Durable or cfg.Name); otherwise it compares the existing one with cfg as
// EnsureStream does. The stream must exist, and a filter must match one of its
// subjects: the server would accept a filter that never delivers anything.
// [DeadLetters].Metadata adds a dead-letter subject, which the consumer must
// not deliver and a stream must capture, as far as that can be determined;
// max_deliver must be above MaxAttempts or unlimited.
func (j *JetStream) EnsureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (broker.Ensured, error) {
	const op = "ensure consumer"
	if cfg.Durable == "" {
		cfg.Durable = cfg.Name
	}
	cfg.Name = cfg.Durable
	name := stream + "/" + cfg.Durable
	if err := j.ready(ctx, op, name); err != nil {
		return broker.Ensured{}, err
	}
	n, ok := natsrules.ParseConsumer(name)
	if !ok {
		return broker.Ensured{}, &broker.FieldError{Field: "Durable", Value: name, Limit: natsrules.ConsumerLimit}
	}
	if _, err := readConsumer(n, &cfg); err != nil {
		return broker.Ensured{}, err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	if err := j.checkFilter(ctx, op, name, stream, &cfg); err != nil {
		return broker.Ensured{}, err
	}
	switch err := j.checkDeadLetters(ctx, stream, &cfg); {
	case errors.Is(err, broker.ErrInvalid):
		return broker.Ensured{}, err
	case err != nil:
		return broker.Ensured{}, j.failure(op, name, err)
	}
	return j.ensure(op, name, func() (any, error) {
		info, err := j.consumerInfo(ctx, n)
		if err != nil {
			return nil, err
		}
		return info.Config, nil
	}, func() error {
		_, err := j.api.CreateConsumer(ctx, stream, cfg)
		return err
	}, cfg)
}

// checkFilter refuses a filter that delivers nothing.
func (j *JetStream) checkFilter(ctx context.Context, op, name, stream string, c *jetstream.ConsumerConfig) error {
	if len(filters(c)) == 0 {
		return nil
	}
	s, err := j.api.Stream(ctx, stream)
	if err != nil {
		return j.failure(op, name, err)
	}
	config := &s.CachedInfo().Config
	if dead := deadFilter(config, c); dead != "" {
		return &broker.FieldError{Field: "FilterSubject", Value: dead, Limit: natsrules.FilterLimit(config.Name, config.Subjects)}
	}
	return nil
}

// ensure reads the configuration, and creates the stream or consumer if it is
// missing. If another process has created it in the meantime, it is read again.
func (j *JetStream) ensure(op, name string, read func() (any, error), create func() error, want any) (broker.Ensured, error) {
	for tries := 0; ; tries++ {
		has, err := read()
		if err == nil {
			return broker.Ensured{Drift: natsrules.Differences(settings(want), settings(has))}, nil
		}
		if !notFound(err) {
			return broker.Ensured{}, j.failure(op, name, err)
		}
		err = create()
		if err == nil {
			return broker.Ensured{Created: true}, nil
		}
		made := errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, jetstream.ErrConsumerExists)
		if !made || tries > 0 {
			return broker.Ensured{}, j.failure(op, name, err)
		}
	}
}

// settings returns the fields of a configuration by their names in JetStream's
// API.
func settings(config any) natsrules.Settings {
	s := natsrules.Settings{}
	v := reflect.ValueOf(config)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		s[name] = v.Field(i).Interface()
	}
	return s
}
