package main

import (
	"bytes"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal bytes.Buffer
		p := &progress{w: &terminal}
		p.begin("process", 3)
		p.tick()
		p.tick() // too soon for another update
		time.Sleep(redraw)
		p.tick()
		p.clear()
		p.clear()
		want := "\r\x1b[Kprocess 1 of 3\r\x1b[Kprocess 3 of 3\r\x1b[K"
		if got := terminal.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestNoProgressInFiles(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	p := newProgress(file)
	p.begin("process", 1)
	p.tick()
	p.clear()
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes were written, error %v; want none", info.Size(), err)
	}
}
