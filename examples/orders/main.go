// Command orders is the quick start: one small shop on any broker. It publishes
// orders and fans them out, requests prices, and processes orders from queues
// with retries, duplicates and dead letters. Features that a broker lacks are
// printed with the broker's own reason; nothing is silently skipped.
//
//	go run ./examples/orders
//	go run ./examples/orders -broker nats://127.0.0.1:4222
//	go run ./examples/orders -broker jetstream://127.0.0.1:4222
//	go run ./examples/orders -broker 'sqs://demo?endpoint=http://127.0.0.1:9324&region=us-east-1'
//
// Read it in this order: story.go, fanout.go, prices.go, queue.go.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interruptNotice is printed at the first Ctrl-C or SIGTERM.
const interruptNotice = "orders: finishing what is in hand; Ctrl-C again kills"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	noticed := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(noticed)
		stop() // from here on the signal has its old meaning
		_, _ = fmt.Fprintln(os.Stderr, interruptNotice)
	})
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if !forget() {
		<-noticed
	}
	os.Exit(code)
}
