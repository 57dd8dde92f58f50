package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Order is one line of input.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Name     string `json:"name"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
	Amount   int64  `json:"amount"` // in the currency's smallest unit
	Currency string `json:"currency"`
	Note     string `json:"note"`
	// Fails makes trouble on purpose: "once" fails the first attempt to
	// process the order, "always" every one (a poison message).
	Fails string `json:"fails"`

	body []byte // the line itself, which is what gets published
}

// maxID is the longest order or customer id: they become a FIFO queue's
// deduplication id and message group.
const maxID = 128

func parseOrder(line []byte) (Order, error) {
	if !utf8.Valid(line) {
		return Order{}, errors.New("not UTF-8")
	}
	o := Order{body: line}
	if err := json.Unmarshal(line, &o); err != nil {
		return Order{}, fmt.Errorf("not an order in JSON: %w", err)
	}
	return o, o.check()
}

func (o Order) check() error {
	switch {
	case !isID(o.ID):
		return fmt.Errorf("id %.40q: 1 to %d ASCII characters without spaces", o.ID, maxID)
	case !isID(o.Customer):
		return fmt.Errorf("customer %.40q: 1 to %d ASCII characters without spaces", o.Customer, maxID)
	case o.Item == "":
		return errors.New("no item")
	case o.Quantity < 1:
		return fmt.Errorf("quantity %d: at least 1", o.Quantity)
	}
	return nil
}

func isID(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

// input is what was read.
type input struct {
	orders    []Order
	malformed []malformed
}

// malformed is a line that is not an order, and why.
type malformed struct {
	line   int
	reason error
}

// readOrders reads one order a line until the end of r or of ctx; lines may
// have any length, blank ones are skipped. What was read before an error, or
// before ctx ended, is returned too.
//
// A Read cannot be cancelled, so that it happens on a goroutine of its own.
// When ctx ends, that goroutine ends with the Read that it is in; on a
// terminal, with the process.
func readOrders(ctx context.Context, r io.Reader) (input, error) {
	lines := make(chan []byte)
	failed := make(chan error, 1)
	go func() {
		failed <- readLines(ctx, r, lines)
	}()
	var in input
	for number := 1; ; number++ {
		select {
		case line := <-lines:
			in.add(number, line)
		case err := <-failed:
			return in, err
		case <-ctx.Done():
			return in, nil
		}
	}
}

// readLines sends every line until the end of r or of ctx.
func readLines(ctx context.Context, r io.Reader, lines chan<- []byte) error {
	buffered := bufio.NewReader(r)
	for {
		line, err := buffered.ReadBytes('\n')
		if len(line) > 0 {
			select {
			case lines <- line:
			case <-ctx.Done():
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
	}
}

func (in *input) add(number int, line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	o, err := parseOrder(line)
	if err != nil {
		in.malformed = append(in.malformed, malformed{number, err})
		return
	}
	in.orders = append(in.orders, o)
}
