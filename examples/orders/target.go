package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

// target is the broker that a -broker URL names.
type target struct {
	scheme string
	server string // nats, jetstream: the URL
	prefix string // sqs: of the names of queues
	params url.Values
}

// schemes are the brokers there are, each with the parameters that its URL may
// have.
var schemes = map[string][]string{
	"jetstream": nil,
	"memory":    nil,
	"nats":      nil,
	"sqs":       {"endpoint", "region"},
}

// parseTarget checks a -broker URL. It does no I/O. URLs may hold a password,
// so its errors show single parts only.
func parseTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		scheme, _, _ := strings.Cut(raw, ":")
		return target{}, &broker.FieldError{Field: "-broker", Value: scheme + ":…", Limit: "a URL"}
	}
	allowed, known := schemes[u.Scheme]
	if !known {
		return target{}, &broker.FieldError{
			Field: "-broker scheme", Value: u.Scheme, Limit: "one of " + strings.Join(slices.Sorted(maps.Keys(schemes)), ", "),
		}
	}
	t := target{scheme: u.Scheme, server: raw, prefix: u.Host, params: u.Query()}
	return t, errors.Join(t.checkAddress(u), t.checkParams(allowed))
}

func (t target) onNATS() bool { return t.scheme == "nats" || t.scheme == "jetstream" }

func (t target) checkAddress(u *url.URL) error {
	rest := u.Opaque + strings.Trim(u.Path, "/") + u.Fragment
	switch {
	case rest != "":
		return &broker.FieldError{Field: "-broker path", Value: rest, Limit: "none for " + t.scheme + ":"}
	case t.scheme == "memory" && u.Host != "":
		return &broker.FieldError{Field: "-broker host", Value: u.Host, Limit: "none for memory:"}
	case t.onNATS() && u.Host == "":
		return &broker.FieldError{Field: "-broker host", Limit: t.scheme + "://HOST:PORT"}
	case !t.onNATS() && u.User != nil:
		return &broker.FieldError{Field: "-broker user", Limit: "none for " + t.scheme + ":"}
	case t.scheme == "sqs":
		return checkPrefix(t.prefix)
	}
	return nil
}

// maxPrefix leaves room in a queue's 80 characters for what the program adds.
const maxPrefix = 40

func checkPrefix(prefix string) error {
	odd := func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", r)
	}
	if len(prefix) > maxPrefix || strings.ContainsFunc(prefix, odd) {
		return &broker.FieldError{
			Field: "-broker prefix", Value: prefix,
			Limit: fmt.Sprintf("at most %d of A-Z, a-z, 0-9, '_' and '-'", maxPrefix),
		}
	}
	return nil
}

func (t target) checkParams(allowed []string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.params)) {
		if !slices.Contains(allowed, name) {
			limit := "no parameters"
			if len(allowed) > 0 {
				limit = "one of " + strings.Join(allowed, ", ")
			}
			errs = append(errs, &broker.FieldError{
				Field: "-broker parameter", Value: name, Limit: limit + " for " + t.scheme + ":",
			})
		}
	}
	if endpoint := t.params.Get("endpoint"); t.params.Has("endpoint") {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, &broker.FieldError{
				Field: "-broker endpoint", Value: endpoint, Limit: "an http or https URL",
			})
		}
	}
	return errors.Join(errs...)
}

// open connects. remove deletes what open has created; it is never nil where
// err is.
func (t target) open(ctx context.Context) (b broker.Broker, remove func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	switch t.scheme {
	case "nats":
		b, err := natsbroker.Connect(ctx, t.server, nil)
		if err != nil {
			return nil, nil, err
		}
		return b, nothing, nil
	case "jetstream":
		return openJetStream(ctx, t)
	case "sqs":
		return openSQS(ctx, t)
	}
	b, err = openMemory()
	return b, nothing, err
}

// openMemory makes the broker that plays SQS for the queues created on it, and
// core NATS for every other subject.
func openMemory() (broker.Broker, error) {
	b := memory.New(nil)
	for _, q := range workQueues {
		err := errors.Join(
			b.SQS().CreateQueue(q.dead, memory.QueueOptions{Retention: deadRetention}),
			b.SQS().CreateQueue(q.name, memory.QueueOptions{
				Visibility: visibility, DeadLetter: q.dead, MaxReceives: maxReceives,
			}),
		)
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}
