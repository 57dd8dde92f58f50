package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// leader is "" while nobody answers, or there is none.
func (r *run) leader(t *testing.T, consumer string) string {
	t.Helper()
	if consumer == "" {
		if info := r.info(t); info != nil {
			return info.Cluster.Leader
		}
		return ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := r.admin.API().Consumer(ctx, stream, consumer)
	if err != nil || c.CachedInfo().Cluster == nil {
		return ""
	}
	return c.CachedInfo().Cluster.Leader
}

// healthy waits until the stream has a leader and all replicas are current.
func (r *run) healthy(t *testing.T) {
	t.Helper()
	within(t, repair, "a leader and two current replicas", func() bool {
		info := r.info(t)
		if info == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			return false
		}
		for _, peer := range info.Cluster.Replicas {
			if peer.Offline || !peer.Current {
				return false
			}
		}
		return true
	})
}

// info is nil while nobody answers.
func (r *run) info(t *testing.T) *jetstream.StreamInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
	defer cancel()
	s, err := r.admin.API().Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return nil
	}
	return s.CachedInfo()
}

// settled reports whether a consumer has delivered everything and nothing comes
// again.
func (r *run) settled(t *testing.T, consumer string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := r.admin.API().Consumer(ctx, stream, consumer)
	if err != nil {
		return false
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0
}

// stored reads the stream with nats.go alone.
func (r *run) stored(t *testing.T) []entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := r.admin.API().Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Stop()
	var all []entry
	for range s.CachedInfo().State.Msgs {
		msg, err := next.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatalf("reading the stream after %d messages: %v", len(all), err)
		}
		m, err := parse(msg.Subject(), msg.Data())
		about, noAbout := msg.Metadata()
		if err := errors.Join(err, noAbout); err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{m, about.Sequence.Stream, about.Timestamp})
	}
	return all
}

// state prints what a run that failed was waiting for.
func (r *run) state(t *testing.T) {
	t.Helper()
	if info := r.info(t); info != nil {
		t.Logf("stream: last %d, cluster %s", info.State.LastSeq, peers(info.Cluster))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	for i, l := range append(r.logs, r.inside.log) {
		c, err := r.admin.API().Consumer(ctx, stream, l.name)
		if err != nil {
			t.Logf("%s: %v", l.name, err)
			continue
		}
		info := c.CachedInfo()
		t.Logf("%s: %d handled, delivered %+v, floor %+v, %d pending, %d to be acknowledged, %d pulls wait, cluster %s", l.name, l.handled(),
			info.Delivered, info.AckFloor, info.NumPending, info.NumAckPending, info.NumWaiting, peers(info.Cluster))
		if i < len(r.receivers) {
			rec := r.receivers[i]
			t.Logf("receiver %d: connection %v to %s, errors %s, strict %+v, shared %+v", i, rec.js.Conn().Status(),
				rec.js.Conn().ConnectedUrl(), sum(rec.errors), rec.subs[0].Counts(), rec.subs[1].Counts())
		}
	}
}

// serverLogs prints what the servers said last in a run that failed.
func (r *run) serverLogs(t *testing.T) {
	t.Helper()
	const some = 100
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	for _, node := range r.cluster.Nodes {
		text, err := node.Logs(ctx)
		lines := strings.Split(text, "\n")
		t.Logf("%s wrote last (%v):\n%s", node.Name, err, strings.Join(lines[max(0, len(lines)-some):], "\n"))
	}
}

func peers(c *jetstream.ClusterInfo) string {
	if c == nil {
		return "unknown"
	}
	text := "leader " + c.Leader
	for _, p := range c.Replicas {
		text += fmt.Sprintf(", %s current %v offline %v active %v lag %d", p.Name, p.Current, p.Offline, p.Active, p.Lag)
	}
	return text
}
