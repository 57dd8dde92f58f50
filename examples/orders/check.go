package main

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// used is a destination, and how this program uses it.
type used struct {
	destination string
	usage       broker.Usage
	by          broker.Describer // the broker of the role that used it
}

// How the stages use their destinations. broker.Check takes it at its word.
var (
	// Whoever listens to orders.placed can live with a missed one.
	asEvents = broker.Usage{Publishes: true, Receives: true, LossOK: true, Idempotent: true}
	asPrices = broker.Usage{Requests: true, Responds: true, LossOK: true, Idempotent: true, RequestTimeout: patience}
)

// asQueue: the consumers remember what they have processed. Nobody is alarmed by
// a dead letter: this program looks by itself.
func asQueue(q workQueue, work time.Duration) broker.Usage {
	return broker.Usage{Publishes: true, Receives: true, Idempotent: true, SetsID: q.fifo, WorstHandler: work}
}

// check shows the operational checklist for the destinations that were used.
func (s *story) check(ctx context.Context) {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	if len(s.used) == 0 {
		return
	}
	s.heading("What the checklist says")
	grid := [][]string{}
	for _, u := range s.used {
		findings, err := broker.Check(ctx, u.by, u.destination, u.usage)
		if err != nil {
			s.say("%s: %v", u.destination, err)
			s.failed = true
			continue
		}
		for _, f := range findings {
			grid = append(grid, []string{f.Severity.String(), f.Code, f.Destination, f.Remedy})
		}
		if len(findings) == 0 {
			grid = append(grid, []string{"fine", "", u.destination, ""})
		}
	}
	if len(grid) > 0 {
		s.print("%s", alignGrid(grid, false))
	}
}
