package natsserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

// Each bad message ends where it should, and the good ones are handled.
func TestPoison(t *testing.T) {
	server := containers.NATS(t, "-js")
	j, err := natsbroker.NewJetStream(dial(t, server), nil)
	if err != nil {
		t.Fatal(err)
	}
	const lease, attempts = time.Second, 3
	n := made
	made++
	subject, queue, rest := destinationName(n), streamName(n)+"/all", deadName(n)+"/all"
	dead := natsbroker.DeadLetters{Subject: subject + ".dead", MaxAttempts: attempts}
	explicit := jetstream.ConsumerConfig{Durable: "all", AckPolicy: jetstream.AckExplicitPolicy, AckWait: lease}
	ensure(t, j, jetstream.StreamConfig{Name: deadName(n), Subjects: []string{dead.Subject}}, explicit)
	explicit.Metadata = dead.Metadata(nil)
	ensure(t, j, jetstream.StreamConfig{Name: streamName(n), Subjects: []string{subject}}, explicit)

	handled := make(chan string, 10)
	sub, err := j.Subscribe(t.Context(), queue, func(ctx context.Context, d *broker.Delivery) error {
		switch body := string(d.Body); body {
		case "fails":
			return errors.New("always")
		case "panics":
			panic("always")
		case "slow": // until its lease has been renewed, and the first would be over
			if err := outlast(ctx, d.LeaseEnd); err != nil {
				return err
			}
			fallthrough
		default:
			handled <- body
			return nil
		}
	}, broker.Group("all"), broker.Concurrency(4), broker.Backoff{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, j, subject, "first", "fails", "panics", "slow")
	const head, body = "NATS/1.0\r\nno header at all\r\n\r\n", "no headers"
	raw(t, server, fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(head), len(head)+len(body), head, body))
	publish(t, j, subject, "last")

	var good []string
	for range 4 {
		good = append(good, await(t, handled))
	}
	slices.Sort(good)
	if want := []string{"first", "last", "no headers", "slow"}; !slices.Equal(good, want) {
		t.Errorf("handled %q, want %q", good, want)
	}
	var bad []string
	for len(bad) < 2 {
		ds, err := j.Receive(t.Context(), rest, 10)
		if err != nil || len(ds) == 0 {
			t.Fatalf("dead letters: %q, then %d, %v", bad, len(ds), err)
		}
		for _, d := range ds {
			bad = append(bad, fmt.Sprintf("%s after %s", d.Body, d.Header[broker.RejectAttemptsHeader]))
		}
	}
	slices.Sort(bad)
	if want := []string{"fails after 3", "panics after 3"}; !slices.Equal(bad, want) {
		t.Errorf("dead letters %q, want %q", bad, want)
	}
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if c := sub.Counts(); len(handled) > 0 || c.Panicked != attempts || c.LeasesLost > 0 || c.InFlight > 0 {
		t.Errorf("at the end %d more were handled: %+v", len(handled), c)
	}
}

// outlast waits until a lease would be over that was not renewed.
func outlast(ctx context.Context, end time.Time) error {
	select {
	case <-time.After(time.Until(end) + 100*time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func publish(t *testing.T, j *natsbroker.JetStream, subject string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if _, err := j.Publish(t.Context(), broker.Message{Subject: subject, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
}

// raw sends what no client would, and waits until the server has read it.
func raw(t *testing.T, server, protocol string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\n"+protocol+"PING\r\n"); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "PONG" {
			return
		}
	}
	t.Fatal("the server does not answer")
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}
