package billing

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/candidmq/candidmq/natsbroker"
	"github.com/candidmq/candidmq/sqsbroker"
)

// What production gives the service, and how it stops.
func Example() {
	if err := run(nil); err != nil {
		log.Fatal(err)
	}
}

func run(ledger Ledger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	queues, err := sqsbroker.Connect(ctx, nil) // the AWS configuration of the environment
	if err != nil {
		return err
	}
	events, err := natsbroker.Connect(ctx, "nats://localhost:4222", nil)
	if err != nil {
		return err
	}
	orders, err := (&Service{Orders: queues, Events: events, Ledger: ledger}).Start(ctx)
	if err != nil {
		return errors.Join(err, queues.Close(ctx), events.Close(ctx))
	}

	<-ctx.Done()
	stop() // a second signal ends the process at once
	deadline, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	report, err := orders.Drain(deadline) // before what its handlers publish on is closed
	log.Printf("finished %d orders, gave back %d", report.Finished, report.Released)
	return errors.Join(err, queues.Close(deadline), events.Close(deadline))
}
