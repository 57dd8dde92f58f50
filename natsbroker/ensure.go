package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// Ensured says what an Ensure call found.
type Ensured struct {
	// Created: there was none, and now there is one as asked for.
	Created bool
	// Drift is how the one that was there differs from what was asked for.
	// Nothing of it was changed.
	Drift []Difference
}

// Difference is one setting that differs.
type Difference struct {
	Field string // as JetStream's API names it, such as "max_age"
	Want  string
	Has   string
}

// String shows the field and both values.
func (d Difference) String() string { return fmt.Sprintf("%s is %s, want %s", d.Field, d.Has, d.Want) }

// EnsureStream creates a stream if there is none of that name, or else compares
// it with cfg and reports the differences, changing nothing. Numbers, durations,
// texts and lists that cfg leaves at zero are the server's to choose and are not
// compared; policies and switches are, since their zero values mean something. Of
// Metadata only the keys of cfg are compared. It may be called by several
// processes at once.
func (j *JetStream) EnsureStream(ctx context.Context, cfg jetstream.StreamConfig) (Ensured, error) {
	const op = "ensure stream"
	if err := j.ready(ctx, op, cfg.Name); err != nil {
		return Ensured{}, err
	}
	if !validName(cfg.Name) {
		return Ensured{}, &broker.FieldError{Field: "Name", Value: cfg.Name, Limit: nameLimit}
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
// (cfg.Durable, or cfg.Name), or else compares it with cfg as EnsureStream does.
// The stream must exist, and a filter match one of its subjects: the server would
// take one by which nothing is ever delivered. [DeadLetters].Metadata adds a
// dead-letter subject.
func (j *JetStream) EnsureConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (Ensured, error) {
	const op = "ensure consumer"
	if cfg.Durable == "" {
		cfg.Durable = cfg.Name
	}
	cfg.Name = cfg.Durable
	name := stream + "/" + cfg.Durable
	if err := j.ready(ctx, op, name); err != nil {
		return Ensured{}, err
	}
	n, ok := parseConsumer(name)
	if !ok {
		return Ensured{}, &broker.FieldError{Field: "Durable", Value: name, Limit: consumerLimit}
	}
	if _, err := readConsumer(n, &cfg); err != nil {
		return Ensured{}, err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	if err := j.checkFilter(ctx, op, name, stream, &cfg); err != nil {
		return Ensured{}, err
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

// checkFilter refuses a filter by which nothing is delivered.
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
		return &broker.FieldError{Field: "FilterSubject", Value: dead, Limit: filterLimit(config)}
	}
	return nil
}

// ensure reads, and creates what is not there. If somebody else has created it
// meanwhile it is read again.
func (j *JetStream) ensure(op, name string, read func() (any, error), create func() error, want any) (Ensured, error) {
	for tries := 0; ; tries++ {
		has, err := read()
		if err == nil {
			return Ensured{Drift: differences(want, has)}, nil
		}
		if !notFound(err) {
			return Ensured{}, j.failure(op, name, err)
		}
		err = create()
		if err == nil {
			return Ensured{Created: true}, nil
		}
		made := errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, jetstream.ErrConsumerExists)
		if !made || tries > 0 {
			return Ensured{}, j.failure(op, name, err)
		}
	}
}

// differences compares two configurations of one type.
func differences(want, has any) []Difference {
	var all []Difference
	w, h := reflect.ValueOf(want), reflect.ValueOf(has)
	for i := range w.NumField() {
		field, _, _ := strings.Cut(w.Type().Field(i).Tag.Get("json"), ",")
		if !asked(w, i) || sameSetting(w.Field(i), h.Field(i)) {
			continue
		}
		all = append(all, Difference{Field: field, Want: shown(w.Field(i)), Has: shown(h.Field(i))})
	}
	return all
}

// asked reports whether a field of a configuration asks for something: it is set,
// or its zero value is a choice.
func asked(config reflect.Value, i int) bool {
	f := config.Field(i)
	if !f.IsZero() {
		return true
	}
	switch {
	case f.Kind() == reflect.Bool:
		// Schedules turn rollups on by themselves.
		schedules := config.FieldByName("AllowMsgSchedules")
		return config.Type().Field(i).Name != "AllowRollup" || !schedules.Bool()
	case f.CanInt() && f.Type() != reflect.TypeFor[time.Duration]():
		return f.Type().PkgPath() != "" // a policy, by its name
	}
	return false
}

// sameSetting compares two values; of a map only the wanted keys, since the server adds
// its own.
func sameSetting(want, has reflect.Value) bool {
	if want.Kind() != reflect.Map {
		return reflect.DeepEqual(want.Interface(), has.Interface())
	}
	for _, key := range want.MapKeys() {
		if v := has.MapIndex(key); !v.IsValid() || !v.Equal(want.MapIndex(key)) {
			return false
		}
	}
	return true
}

// shown is a value for people.
func shown(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return fmt.Sprintf("%v", v.Interface())
}
