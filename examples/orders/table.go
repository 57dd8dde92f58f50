package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

// number is a count, or nothing where there is none to give.
type number struct {
	n     int
	known bool
}

func count(n int) number { return number{n, true} }

func (n number) String() string {
	if !n.known {
		return "-"
	}
	return strconv.Itoa(n.n)
}

// row is what happened at one destination.
type row struct {
	name         string
	published    number // by this program
	delivered    number // to a handler or receiver, redeliveries included
	redelivered  number // of these, those of a message that came before
	deduplicated number // dropped by the queue or recognised by the consumer
	deadLettered number // gave up on, and found in the dead-letter queue
	malformed    number // lines that are no order
	unsent       number // orders that were read and not published here
	left         number // found on the queue after an interrupt
	unaccounted  number // published, and nobody knows
}

var countHeadings = []string{
	"", "published", "delivered", "redelivered", "deduplicated", "dead-lettered",
	"malformed", "not sent", "left", "unaccounted",
}

func (r row) cells() []string {
	cells := []string{r.name}
	for _, n := range []number{
		r.published, r.delivered, r.redelivered, r.deduplicated, r.deadLettered,
		r.malformed, r.unsent, r.left, r.unaccounted,
	} {
		cells = append(cells, n.String())
	}
	return cells
}

// table is what happened at every destination.
type table struct{ rows []row }

func (t *table) add(r row) { t.rows = append(t.rows, r) }

func (t *table) unaccounted() int {
	total := 0
	for _, r := range t.rows {
		total += r.unaccounted.n
	}
	return total
}

func (t *table) String() string {
	grid := [][]string{countHeadings}
	for _, r := range t.rows {
		grid = append(grid, r.cells())
	}
	return alignGrid(grid, true)
}

// facts are the rows of the table of semantics.
var facts = []struct {
	name string
	of   func(broker.Semantics) fmt.Stringer
}{
	{"guarantee", func(s broker.Semantics) fmt.Stringer { return s.Receive.Guarantee }},
	{"a nil error means", func(s broker.Semantics) fmt.Stringer { return s.Publish.Confirm }},
	{"who gets a message", func(s broker.Semantics) fmt.Stringer { return s.Receive.Distribution }},
	{"order", func(s broker.Semantics) fmt.Stringer { return s.Receive.Ordering }},
	{"order after a retry", func(s broker.Semantics) fmt.Stringer { return s.Receive.Strict }},
	{"dedup window", func(s broker.Semantics) fmt.Stringer { return s.Publish.DedupWindow }},
	{"lease", func(s broker.Semantics) fmt.Stringer { return s.Receive.Lease }},
	{"attempts", func(s broker.Semantics) fmt.Stringer { return s.Receive.MaxAttempts }},
	{"then", func(s broker.Semantics) fmt.Stringer { return s.Receive.Exhausted }},
	{"slow reader", func(s broker.Semantics) fmt.Stringer { return s.Receive.Slow }},
	{"retention", func(s broker.Semantics) fmt.Stringer { return s.Retention }},
	{"largest message", func(s broker.Semantics) fmt.Stringer { return s.Publish.MaxMessage }},
	{"request-reply", func(s broker.Semantics) fmt.Stringer { return s.Publish.RequestReply }},
}

// describe shows what the destinations that were used promise, side by side.
// Semantics.String has every fact, each with where it was read.
func (s *story) describe(ctx context.Context) {
	ctx, cancel := wrapUp(ctx)
	defer cancel()
	if len(s.used) == 0 {
		return
	}
	s.heading("What the destinations promise")
	var all []broker.Semantics
	for _, u := range s.used {
		semantics, err := u.by.Describe(ctx, u.destination)
		if err != nil {
			s.say("%s: %v", u.destination, err)
			s.failed = true
			continue
		}
		all = append(all, semantics)
	}
	s.print("%s", alignGrid(semanticsGrid(all), false))
}

func semanticsGrid(all []broker.Semantics) [][]string {
	head, kinds := []string{""}, []string{"kind"}
	for _, s := range all {
		head = append(head, s.Destination)
		kinds = append(kinds, s.Backend+" "+s.Kind)
	}
	grid := [][]string{head, kinds}
	for _, f := range facts {
		cells := []string{f.name}
		for _, s := range all {
			cells = append(cells, f.of(s).String())
		}
		grid = append(grid, cells)
	}
	return grid
}

// alignGrid puts the cells into columns: the first to the left, the others to
// the side that is asked for.
func alignGrid(grid [][]string, right bool) string {
	widths := make([]int, len(grid[0]))
	for _, cells := range grid {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, cells := range grid {
		var line strings.Builder
		for i, cell := range cells {
			width := widths[i]
			if !right || i == 0 {
				width = -width
			}
			fmt.Fprintf(&line, "  %*s", width, cell)
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return text.String()
}
