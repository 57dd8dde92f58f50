package cluster

import (
	"context"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/integration/containers"
)

// insider is a client of one node alone, and stays one while that node is cut
// off from its peers. It publishes messages of its own key, and consumes them.
type insider struct {
	key       int
	log       *consumerLog
	publisher *publisher // of one strike after the other, in which its count goes on
	receiver  *receiver

	stop    chan struct{}
	running sync.WaitGroup
	errors  map[string]int // of all receivers
}

func newInsider(t *testing.T, r *run, key int) *insider {
	t.Helper()
	c := jetstream.ConsumerConfig{Durable: strictName(key), FilterSubject: subject(key), MaxAckPending: 1}
	return &insider{key: key, log: r.consumer(t, c, key), publisher: &publisher{key: key}, errors: map[string]int{}}
}

// begin connects to the node, and returns when messages come and go.
func (i *insider) begin(ctx context.Context, t *testing.T, node *containers.Node) {
	t.Helper()
	i.receiver = &receiver{number: i.key, js: connect(t, node.URL, nil), errors: map[string]int{}}
	i.receiver.subscribe(t, i.log)
	i.publisher.js = connectPublisher(t, node.URL)
	i.stop = make(chan struct{})
	i.running.Go(func() { i.publisher.run(ctx, i.stop) })
	i.progress(t)
}

func (i *insider) progress(t *testing.T) {
	t.Helper()
	await(t, "progress of the client of the node", both(i.publisher.advances(), i.log.advances()))
}

func both(a, b func() bool) func() bool { return func() bool { return a() && b() } }

// isolated is called while the node is, and the others have elected a leader.
// Nothing is acknowledged, delivered or confirmed as deleted then, and the
// publisher is told so.
func (i *insider) isolated(t *testing.T) (end func()) {
	t.Helper()
	delivered, deleted := i.log.counts()
	const some = 2 // tries; the first is over after three seconds
	refused := i.publisher.refused.Load() + some
	await(t, "errors of publishes without a quorum", func() bool { return i.publisher.refused.Load() >= refused })
	return func() {
		i.publisher.cutOff.Store(false)
		if n := i.publisher.unbacked.Load(); n > 0 {
			t.Errorf("%d publishes were acknowledged by a server that has no peers", n)
		}
		if d, x := i.log.counts(); d != delivered || x != deleted {
			t.Errorf("a server that has no peers delivered %d messages and confirmed %d deletes", d-delivered, x-deleted)
		}
	}
}

// end is after the heal: the same client publishes and consumes again. It waits
// until all is consumed, and closes the connections.
func (i *insider) end(t *testing.T, r *run) {
	t.Helper()
	i.progress(t)
	close(i.stop)
	i.running.Wait()
	await(t, "the end of "+i.log.name, func() bool { return r.settled(t, i.log.name) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := i.receiver.js.Close(ctx); err != nil { // which drains
		t.Errorf("Close: %v", err)
	}
	if err := i.publisher.js.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	for kind, n := range i.receiver.errors {
		i.errors[kind] += n
	}
}
