package natscli

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// What the tool has made is used as it is.
func TestToolMakesAConsumerForUs(t *testing.T) {
	c := start(t)
	c.run(t, "stream", "add", "TOOL", "--subjects", "tool.>", "--retention", "work", "--defaults")
	c.run(t, "consumer", "add", "TOOL", "reader", "--pull", "--filter", "tool.orders", "--ack", "explicit", "--wait", "7s", "--defaults")
	c.run(t, "pub", "tool.orders", "from the tool", "-J", "-H", "trace-id:abc")
	j := c.jetStream(t)
	if _, err := j.Publish(soon(t), broker.Message{Subject: "tool.orders", Body: []byte("from us")}); err != nil {
		t.Fatal(err)
	}
	const queue = "TOOL/reader"
	s, err := j.Describe(soon(t), queue)
	if err != nil {
		t.Fatal(err)
	}
	if s.Receive.Lease.V != 7*time.Second || s.Receive.Distribution.V != broker.DistributionCompeting {
		t.Errorf("Describe says otherwise:\n%v", s)
	}
	var ds []*broker.Delivery
	for len(ds) < 2 {
		more, err := j.Receive(soon(t), queue, 2)
		if err != nil || len(more) == 0 {
			t.Fatalf("received %d, then %d: %v", len(ds), len(more), err)
		}
		ds = append(ds, more...)
	}
	if string(ds[0].Body) != "from the tool" || ds[0].Header.Get("trace-id") != "abc" || string(ds[1].Body) != "from us" {
		t.Errorf("received %q with %v, then %q", ds[0].Body, ds[0].Header, ds[1].Body)
	}
	if err := j.Delete(soon(t), ds...); err != nil {
		t.Fatal(err)
	}
	c.run(t, "pub", "tool.orders", "one more", "-J")
	handled := make(chan string, 1)
	sub, err := j.Subscribe(soon(t), queue, func(_ context.Context, d *broker.Delivery) error {
		handled <- string(d.Body)
		return nil
	}, broker.Group("reader"))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-handled:
		if body != "one more" {
			t.Errorf("handled %q", body)
		}
	case <-time.After(patience):
		t.Error("nothing came")
	}
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	info := consumerInfo(t, c, "TOOL", "reader")
	if info.AckFloor.Stream != 3 || info.NumAckPending != 0 || info.NumPending != 0 {
		t.Errorf("the tool says %+v", info)
	}
}

// What we have made, the tool reads.
func TestToolReadsOurConsumer(t *testing.T) {
	c := start(t)
	j := c.jetStream(t)
	if _, err := j.EnsureStream(soon(t), jetstream.StreamConfig{Name: "OURS", Subjects: []string{"ours.>"}, Retention: jetstream.WorkQueuePolicy}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.EnsureConsumer(soon(t), "OURS", jetstream.ConsumerConfig{
		Durable: "reader", FilterSubject: "ours.orders", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 7 * time.Second,
	}); err != nil {
		t.Fatal(err)
	}
	m := broker.Message{Subject: "ours.orders", Body: []byte("a body"), Header: broker.Header{"trace-id": "abc"}, DedupID: "1"}
	for _, want := range []broker.Outcome{broker.OutcomeStored, broker.OutcomeDuplicate} {
		if r, err := j.Publish(soon(t), m); err != nil || r.Outcome != want {
			t.Fatalf("published: %v, %v, want %v", r.Outcome, err, want)
		}
	}
	has(t, c.run(t, "consumer", "next", "OURS", "reader", "--ack"), "ours.orders", "trace-id: abc", "Nats-Msg-Id: 1", "a body")
	info := consumerInfo(t, c, "OURS", "reader")
	if info.AckFloor.Stream != 1 || info.NumAckPending != 0 || info.NumPending != 0 || info.Config.AckWait != 7*time.Second {
		t.Errorf("the tool says %+v", info)
	}
	ds, err := j.Receive(soon(t), "OURS/reader", 1, broker.Wait(0))
	if err != nil || len(ds) > 0 {
		t.Errorf("what the tool acknowledged comes again: %v, %v", ds, err)
	}
}

func consumerInfo(t *testing.T, c *cli, stream, consumer string) jetstream.ConsumerInfo {
	t.Helper()
	var info jetstream.ConsumerInfo
	out, err := c.command(soon(t), "consumer", "info", stream, consumer, "--json").Output()
	if err := errors.Join(err, json.Unmarshal(out, &info)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return info
}
