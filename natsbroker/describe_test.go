package natsbroker_test

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestDescribe(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 12345 })
	b := newBroker(t, s, &natsbroker.Options{Subjects: map[string]string{"placed": "orders.placed"}})
	got, err := b.Describe(t.Context(), "placed")
	if err != nil {
		t.Fatal(err)
	}
	if got.Destination != "placed" || got.Backend != "nats" || got.Kind != "subject" {
		t.Errorf("got %q %q %q", got.Destination, got.Backend, got.Kind)
	}
	if f := got.Publish.MaxMessage; f.V != 12345 || f.From == "" {
		t.Errorf("max message: got %+v, want the server's limit", f)
	}
	if f := got.InTransit; f.State != broker.StateNone {
		t.Errorf("in transit: got %+v, want none", f)
	}
	if f := got.Publish.StoredBy; f.State != broker.StateNone || f.From == "" {
		t.Errorf("stored by: got %+v, want none, and from where", f)
	}
	if got.Receive.Guarantee.V != broker.GuaranteeAtMostOnce || got.Publish.Confirm.V != broker.ConfirmSent || got.Receive.Slow.V != broker.SlowDrops {
		t.Errorf("got\n%v", got)
	}
	if err := broker.Require(t.Context(), b, "placed", broker.NeedRequestReply(), broker.NeedFanOut(), broker.NeedCompeting()); err != nil {
		t.Error(err)
	}
	if err := broker.Require(t.Context(), b, "placed", broker.NeedReceived()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without Confirm: got %v, want that sent is not received", err)
	}
	if err := broker.Require(t.Context(), b, "placed", broker.NeedStored()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want a service that must not lose anything refused", err)
	}
	for _, subject := range []string{"orders.*", ">", "", "a..b"} {
		if _, err := b.Describe(t.Context(), subject); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", subject, err)
		}
	}
}

func TestDescribeTellsOfTLS(t *testing.T) {
	certificate := selfSigned(t)
	s := startServer(t, func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	})
	b := connect(t, s, nil, nats.Secure(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})) //nolint:gosec // a test's own certificate
	got, err := b.Describe(t.Context(), "a")
	if err != nil || got.InTransit.V != "TLS 1.3" {
		t.Errorf("got %+v and %v, want TLS 1.3", got.InTransit, err)
	}
}
