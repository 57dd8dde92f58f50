package sqstest_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Long times pass over real connections, too, with a clock of one's own.
func TestManualClockOverTCP(t *testing.T) {
	clock := sqstest.NewManualClock(time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC))
	srv := sqstest.NewServer(&sqstest.Options{Clock: clock})
	defer srv.Close()
	e := envOf(t, srv)
	url := e.queue("q", attrs{"MessageRetentionPeriod": "1209600", "VisibilityTimeout": "43200"})
	e.send(url, "x")
	e.bodies("received", e.receive(url, 1), "x")
	clock.Advance(12*time.Hour - time.Nanosecond)
	e.bodies("before 12 h", e.receive(url, 1))
	clock.Advance(time.Nanosecond)
	e.bodies("after 12 h", e.receive(url, 1, visibility(1)), "x")
	clock.Advance(14 * 24 * time.Hour)
	e.bodies("after 14 days", e.receive(url, 1))

	var done sync.WaitGroup
	done.Go(func() { e.bodies("polled", e.receive(url, 1, wait(20)), "late") })
	for polls := 0; polls == 0; runtime.Gosched() {
		stats, err := srv.Stats("q")
		e.ok("Stats", err)
		polls = stats.Polls
	}
	e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("late"), DelaySeconds: 15})
	clock.Advance(15 * time.Second)
	done.Wait()
}

func TestManualClock(t *testing.T) {
	start := time.Unix(1000, 0)
	c := sqstest.NewManualClock(start)
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, fmt.Sprint(name, c.Now().Sub(start))) }
	}
	c.AfterFunc(2*time.Second, note("b"))
	c.AfterFunc(time.Second, func() { note("a")(); c.AfterFunc(time.Second, note("d")) })
	c.AfterFunc(2*time.Second, note("c"))
	stop := c.AfterFunc(time.Second, note("never"))
	c.AfterFunc(time.Hour, note("later"))
	if !stop() || stop() {
		t.Error("stop: not true exactly once")
	}
	c.Advance(10 * time.Second)
	if want := []string{"a1s", "b2s", "c2s", "d2s"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if now := c.Now(); !now.Equal(start.Add(10 * time.Second)) {
		t.Errorf("now: got %v", now)
	}
}
