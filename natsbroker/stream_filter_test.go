package natsbroker

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestDeadFilter(t *testing.T) {
	filter := func(f ...string) *jetstream.ConsumerConfig { return &jetstream.ConsumerConfig{FilterSubjects: f} }
	orders := &jetstream.StreamConfig{Subjects: []string{"orders.>", "returns"}}
	for name, test := range map[string]struct {
		stream   *jetstream.StreamConfig
		consumer *jetstream.ConsumerConfig
		want     string
	}{
		"none":       {orders, filter(), ""},
		"within":     {orders, filter("orders.new", "returns"), ""},
		"one dead":   {orders, filter("orders.new", "other.new"), "other.new"},
		"single":     {orders, &jetstream.ConsumerConfig{FilterSubject: "order.new"}, "order.new"},
		"a mirror":   {&jetstream.StreamConfig{Mirror: &jetstream.StreamSource{Name: "S"}}, filter("any"), ""},
		"with other": {&jetstream.StreamConfig{Sources: []*jetstream.StreamSource{{Name: "S"}}, Subjects: []string{"a"}}, filter("any"), ""},
	} {
		if got := deadFilter(test.stream, test.consumer); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
