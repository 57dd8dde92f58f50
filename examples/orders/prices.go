package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/candidmq/candidmq/broker"
)

const prices = "prices"

// catalogue is what the price service knows, in cents.
var catalogue = map[string]int{
	"assam-tea": 790, "bicycle-bell": 1450, "brass-compass": 3890, "cast-iron-pan": 4990,
	"desk-lamp": 5900, "enamel-mug": 1290, "field-notebook": 890, "fountain-pen": 6400,
	"hand-plane": 11900, "linen-apron": 3400, "pocket-knife": 2750, "wool-socks": 1600,
}

// quote answers one request for the price of the item named in its body.
func quote(_ context.Context, d *broker.Delivery) (broker.Message, error) {
	item := string(d.Body)
	price, known := catalogue[item]
	if !known {
		// The requester gets this as its error. Any other error would reach it
		// as "500" without details.
		return broker.Message{}, &broker.ReplyError{Code: "404", Description: fmt.Sprintf("no price for %q", item)}
	}
	return broker.Message{Body: []byte(strconv.Itoa(price))}, nil
}

// startResponders starts two instances of the price service. The group makes
// them share the requests; without it both would answer each.
func startResponders(ctx context.Context, r broker.Responder) ([]*broker.Subscription, error) {
	var subs []*broker.Subscription
	for range 2 {
		sub, err := r.Respond(ctx, prices, quote, broker.Group("price-service"))
		if err != nil {
			return subs, err
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// quotes are the answers of the price service.
type quotes struct {
	requests, known int
	refused         []error
}

// askPrices asks for the price of each item, until ctx ends.
func askPrices(ctx context.Context, r broker.Requester, items []string) (quotes, error) {
	var q quotes
	for _, item := range items {
		if interrupted(ctx) {
			break
		}
		q.requests++
		if err := q.ask(ctx, r, item); err != nil {
			return q, fmt.Errorf("price of %s: %w", item, err)
		}
	}
	return q, nil
}

// ask asks for one price. A refusal is an answer too.
func (q *quotes) ask(ctx context.Context, r broker.Requester, item string) error {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	reply, err := r.Request(ctx, broker.Message{Subject: prices, Body: []byte(item)})
	if refusal, ok := errors.AsType[*broker.ReplyError](err); ok {
		q.refused = append(q.refused, refusal)
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(string(reply.Body)); err != nil {
		return err
	}
	q.known++
	return nil
}

// lookUpPrices is stage 2.
func (s *story) lookUpPrices(ctx context.Context) error {
	responder, err := broker.As[broker.Responder](s.broker)
	if err != nil {
		return err
	}
	requester, err := broker.As[broker.Requester](s.broker)
	if err != nil {
		return err
	}
	subs, err := startResponders(ctx, responder)
	var q quotes
	if err == nil {
		q, err = askPrices(ctx, requester, itemsOf(s.in.orders))
	}
	drainCtx, cancel := wrapUp(ctx)
	defer cancel()
	served := 0
	for _, sub := range subs {
		_, drainErr := sub.Drain(drainCtx)
		err = errors.Join(err, drainErr)
		served += int(sub.Counts().Received)
	}

	s.saw(prices, asPrices, requester)
	s.table.add(row{
		name: prices, published: count(q.requests), delivered: count(served),
		unaccounted: count(q.requests - q.known - len(q.refused)),
	})
	s.say("asked two responders for the prices of %d items, got %d", q.requests, q.known)
	for _, refusal := range q.refused {
		s.say("refused: %v", refusal)
	}
	return err
}

// itemsOf lists the items ordered, each once.
func itemsOf(orders []Order) []string {
	var items []string
	for _, o := range orders {
		items = append(items, o.Item)
	}
	slices.Sort(items)
	return slices.Compact(items)
}
