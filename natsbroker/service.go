package natsbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/reply"
)

// Service registers a Broker's responders as one instance of a NATS service
// (ADR-32): `nats micro list`, `info` and `stats` and other clients find it,
// with an endpoint for each [Broker.Respond]. It answers on $SRV.PING,
// $SRV.INFO and $SRV.STATS, for which it has nine subscriptions, from the first
// Respond until Close. An endpoint is named after its subject, with characters
// that a name cannot have replaced by _.
type Service struct {
	Name        string // letters, digits, - and _; "" means no service
	Version     string // a semantic version, such as "1.4.0"
	Description string
	Metadata    map[string]string
}

// check returns all problems of s in one error.
func (s *Service) check() error {
	if s.Name == "" && s.Version == "" && s.Description == "" && len(s.Metadata) == 0 {
		return nil
	}
	var errs []error
	if s.Name == "" || endpointName(s.Name) != s.Name {
		errs = append(errs, &broker.FieldError{Field: "Service.Name", Value: s.Name, Limit: "letters, digits, - and _"})
	}
	if !isVersion(s.Version) {
		errs = append(errs, &broker.FieldError{Field: "Service.Version", Value: s.Version, Limit: "a semantic version, such as 1.4.0"})
	}
	return errors.Join(errs...)
}

// isVersion reports whether v begins with three numbers, optionally followed by
// - or + and more text.
func isVersion(v string) bool {
	if i := strings.IndexAny(v, "-+"); i >= 0 {
		if i == len(v)-1 {
			return false
		}
		v = v[:i]
	}
	numbers := strings.Split(v, ".")
	for _, n := range numbers {
		if n == "" || strings.Trim(n, "0123456789") != "" || len(n) > 1 && n[0] == '0' {
			return false
		}
	}
	return len(numbers) == 3
}

// endpointName derives a name from a subject.
func endpointName(subject string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, subject)
}

// service is a running Service.
type service struct {
	broker      *Broker
	identity    micro.ServiceIdentity
	description string
	started     time.Time

	starting chan struct{} // has room for the goroutine that makes the subscriptions
	answers  bool          // they are made; used by that goroutine

	mu        sync.Mutex
	endpoints []*endpoint
}

// newService returns nil if no service is configured.
func newService(b *Broker, s Service) *service {
	if s.Name == "" {
		return nil
	}
	metadata := map[string]string{} // not nil, for clients that expect an object
	maps.Copy(metadata, s.Metadata)
	return &service{
		broker: b, description: s.Description, started: time.Now().UTC(), starting: make(chan struct{}, 1),
		identity: micro.ServiceIdentity{
			Name: s.Name, Version: s.Version, Metadata: metadata,
			ID: strings.TrimPrefix(nats.NewInbox(), nats.InboxPrefix),
		},
	}
}

// start makes the subscriptions, once. Concurrent callers wait, within ctx.
func (s *service) start(ctx context.Context) error {
	if err := s.await(ctx); err != nil {
		return s.broker.failure("respond", "", fmt.Errorf("service %s: %w", s.identity.Name, err))
	}
	defer func() { <-s.starting }()
	if s.answers {
		return nil
	}
	var subs []*broker.Subscription
	for verb, answer := range map[micro.Verb]func() any{micro.PingVerb: s.ping, micro.InfoVerb: s.info, micro.StatsVerb: s.stats} {
		h := reply.Handler(func(context.Context, *broker.Delivery) (broker.Message, error) {
			body, err := json.Marshal(answer())
			return broker.Message{Body: body}, err
		}, s.broker.reply)
		for _, subject := range s.subjects(verb) {
			sub, err := s.broker.subscribe(ctx, "respond", subject, h, nil)
			if err != nil {
				return errors.Join(fmt.Errorf("service %s: %w", s.identity.Name, err), drainAll(ctx, subs))
			}
			subs = append(subs, sub)
		}
	}
	s.answers = true
	return nil
}

func (s *service) await(ctx context.Context) error {
	ctx, cancel := s.broker.withDeadline(ctx)
	defer cancel()
	select {
	case s.starting <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subjects returns the subjects of a verb: for all services, for those of the
// name, and for this instance.
func (s *service) subjects(verb micro.Verb) []string {
	all := micro.APIPrefix + "." + verb.String()
	named := all + "." + s.identity.Name
	return []string{all, named, named + "." + s.identity.ID}
}

func drainAll(ctx context.Context, subs []*broker.Subscription) error {
	var errs []error
	for _, sub := range subs {
		_, err := sub.Drain(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// endpoint is a responder with its statistics.
type endpoint struct {
	subject, group string
	sub            *broker.Subscription // set before the endpoint is listed

	mu        sync.Mutex
	requests  int
	failures  int
	lastError string
	took      time.Duration
}

func newEndpoint(native string, opts []broker.SubscribeOption) *endpoint {
	e := &endpoint{subject: native}
	for _, opt := range opts {
		if group, ok := opt.(broker.Group); ok {
			e.group = string(group)
		}
	}
	return e
}

// counted returns h with its requests counted.
func (e *endpoint) counted(h broker.ReplyHandler) broker.ReplyHandler {
	return func(ctx context.Context, d *broker.Delivery) (m broker.Message, err error) {
		begun := time.Now()
		err = &broker.ReplyError{Description: "panic"} // unless it returns
		defer func() { e.count(time.Since(begun), err) }()
		return h(ctx, d)
	}
}

// count records a request. Of an error, only the part that its requester gets
// is shown.
func (e *endpoint) count(took time.Duration, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests++
	e.took += took
	if err == nil {
		return
	}
	e.failures++
	sent := &broker.ReplyError{Description: "internal error"}
	if on, ok := errors.AsType[*broker.ReplyError](err); ok {
		sent = on
	}
	e.lastError = cmp.Or(sent.Code, "500") + ":" + sent.Description
}

func (s *service) add(e *endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, e)
}

// live returns the endpoints that have not ended; the others are forgotten.
func (s *service) live() []*endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	var live []*endpoint
	for _, e := range s.endpoints {
		select {
		case <-e.sub.Done():
		default:
			live = append(live, e)
		}
	}
	s.endpoints = live
	return live
}

func (s *service) ping() any {
	return micro.Ping{ServiceIdentity: s.identity, Type: micro.PingResponseType}
}

func (s *service) info() any {
	info := micro.Info{ServiceIdentity: s.identity, Type: micro.InfoResponseType, Description: s.description, Endpoints: []micro.EndpointInfo{}}
	for _, e := range s.live() {
		info.Endpoints = append(info.Endpoints, micro.EndpointInfo{
			Name: endpointName(e.subject), Subject: e.subject, QueueGroup: e.group, Metadata: map[string]string{},
		})
	}
	return info
}

func (s *service) stats() any {
	stats := micro.Stats{ServiceIdentity: s.identity, Type: micro.StatsResponseType, Started: s.started, Endpoints: []*micro.EndpointStats{}}
	for _, e := range s.live() {
		stats.Endpoints = append(stats.Endpoints, e.stats())
	}
	return stats
}

func (e *endpoint) stats() *micro.EndpointStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &micro.EndpointStats{
		Name: endpointName(e.subject), Subject: e.subject, QueueGroup: e.group,
		NumRequests: e.requests, NumErrors: e.failures, LastError: e.lastError,
		ProcessingTime: e.took, AverageProcessingTime: e.took / time.Duration(max(1, e.requests)),
	}
}
