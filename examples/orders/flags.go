package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// options are the command line.
type options struct {
	in     string
	target target
	strict bool
	work   time.Duration
}

const usage = `Usage: orders [flags]

Runs one story on a broker: publish and subscribe, request and reply, work
queues with retries, duplicates and dead letters. What the broker cannot do is
printed with its reason. Ctrl-C (or SIGTERM) finishes what is in hand; a second
one kills.

`

const brokerUsage = `the broker's ` + "`URL`" + `, one of
  memory:                  in this process, nothing to set up
  nats://HOST:PORT         core NATS
  jetstream://HOST:PORT    NATS with streams. The program creates streams whose
                           names begin with ORDERS- and deletes them at the end
  sqs://PREFIX?region=REGION&endpoint=URL
                           Amazon SQS, or what speaks its protocol at the
                           endpoint. The program creates queues whose names
                           begin with PREFIX ("orders" if empty) and deletes
                           them at the end. Region and credentials are those
                           of the AWS CLI; with an endpoint they may be absent
`

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	var url string
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&url, "broker", "memory:", brokerUsage)
	flags.StringVar(&o.in, "in", "", "`FILE` with one order a line in JSON, - for stdin (default: a built-in sample)")
	flags.BoolVar(&o.strict, "strict", false, "exit with 1 if a line is malformed")
	flags.DurationVar(&o.work, "work", 0, "how long it takes to process an order, to watch it, or to try Ctrl-C")
	if err := flags.Parse(args); err != nil {
		return o, err // flags has reported it
	}
	target, err := parseTarget(url)
	o.target = target
	err = errors.Join(err, o.check(flags.Args()))
	if err != nil {
		complain(stderr, err)
	}
	return o, err
}

func (o options) check(rest []string) error {
	if len(rest) > 0 {
		return &broker.FieldError{Field: "argument", Value: rest[0], Limit: "flags only"}
	}
	if o.work < 0 {
		return &broker.FieldError{Field: "-work", Value: o.work.String(), Limit: "0 or more"}
	}
	return nil
}
