package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress is one line on a terminal that keeps up with the work. It writes
// nothing where stderr is not a terminal. Its methods may be called
// concurrently.
type progress struct {
	w io.Writer // nil: no terminal

	mu          sync.Mutex
	label       string
	done, total int
	drawn       time.Time
}

// redraw is the least time between two updates of the line.
const redraw = 100 * time.Millisecond

func newProgress(stderr io.Writer) *progress {
	file, ok := stderr.(*os.File)
	if !ok {
		return &progress{}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{w: stderr}
}

// begin starts counting up to total.
func (p *progress) begin(label string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.done, p.total = label, 0, total
}

// tick counts one.
func (p *progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.w == nil || time.Since(p.drawn) < redraw {
		return
	}
	p.drawn = time.Now()
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s %d of %d", p.label, p.done, p.total)
}

// clear removes the line, to make room for other output.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = time.Time{}
	}
}
