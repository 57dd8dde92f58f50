package billing

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a Ledger that fails as often as it is told to.
type ledger struct {
	mu     sync.Mutex
	fail   int
	billed map[string]int64
}

func (l *ledger) Bill(_ context.Context, id string, cents int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return errors.New("database is down")
	}
	if _, done := l.billed[id]; !done {
		l.billed[id] = cents
	}
	return nil
}

func TestBilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // minutes of backoff pass in no time
		queues, events := memory.NewSQS(nil), memory.NewCoreNATS(nil)
		defer func() { _ = errors.Join(queues.Close(context.Background()), events.Close(context.Background())) }()
		err := errors.Join(
			queues.CreateQueue("orders-dead", memory.QueueOptions{}),
			queues.CreateQueue("orders", memory.QueueOptions{DeadLetter: "orders-dead", MaxReceives: 5}),
		)
		if err != nil {
			t.Fatal(err)
		}
		books := &ledger{fail: 2, billed: map[string]int64{}}
		service := &Service{Orders: queues, Events: events, Ledger: books}
		if _, err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, order := range []string{`{"ID":"a","Cents":100}`, `{"ID":"a","Cents":100}`, `{"ID":"b","Cents":7}`, `nonsense`} {
			if _, err := queues.Publish(t.Context(), broker.Message{Subject: "orders", Body: []byte(order)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := queues.WaitIdle(t.Context()); err != nil { // the two failures came again by now
			t.Fatal(err)
		}
		state, err := queues.Contents("orders")
		if err != nil || len(state.DeadLetters) != 1 || string(state.DeadLetters[0].Body) != "nonsense" {
			t.Errorf("dead letters: %v, %v", state.DeadLetters, err)
		}
		if len(books.billed) != 2 || books.billed["a"] != 100 || books.billed["b"] != 7 {
			t.Errorf("billed %v", books.billed)
		}
	})
}

// An event that could not be published must not be lost when the order comes
// again, although it is billed by then.
func TestEventSurvivesAFailedPublish(t *testing.T) {
	events := memory.NewCoreNATS(nil)
	defer func() { _ = events.Close(context.Background()) }()
	published := 0
	_, err := events.Subscribe(t.Context(), "invoice.*", func(context.Context, *broker.Delivery) error {
		published++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events.FailNext(memory.OpPublish, 1, broker.ErrUnavailable)
	service := &Service{Events: events, Ledger: &ledger{billed: map[string]int64{}}}
	order := &broker.Delivery{Message: broker.Message{Body: []byte(`{"ID":"a","Cents":100}`)}}
	if err := service.bill(t.Context(), order); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("the failed publish: %v", err)
	}
	if err := service.bill(t.Context(), order); err != nil {
		t.Error(err)
	}
	if err := events.WaitIdle(t.Context()); err != nil || published != 1 {
		t.Errorf("%d events, %v", published, err)
	}
}

func TestStartRefusesToLoseOrders(t *testing.T) {
	nats := memory.NewCoreNATS(nil)
	defer func() { _ = nats.Close(context.Background()) }()
	service := &Service{Orders: nats, Events: nats, Ledger: &ledger{}}
	sub, err := service.Start(t.Context())
	if sub != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "at-most-once") {
		t.Errorf("started on core NATS: %v", err)
	}
}

func TestDuplicateAfterALostDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queues := memory.NewSQS(nil)
		defer func() { _ = queues.Close(context.Background()) }()
		if err := queues.CreateQueue("orders", memory.QueueOptions{}); err != nil {
			t.Fatal(err)
		}
		books := &ledger{billed: map[string]int64{}}
		service := &Service{Orders: queues, Events: memory.NewCoreNATS(nil), Ledger: books}
		if _, err := queues.Publish(t.Context(), broker.Message{Subject: "orders", Body: []byte(`{"ID":"a","Cents":100}`)}); err != nil {
			t.Fatal(err)
		}
		for attempt := 1; attempt <= 2; attempt++ { // nobody deletes: the lease ends, and it comes again
			ds, err := queues.Receive(t.Context(), "orders", 1)
			if err != nil || len(ds) != 1 || ds[0].Attempt != attempt {
				t.Fatalf("attempt %d: %v, %v", attempt, ds, err)
			}
			if err := service.bill(t.Context(), ds[0]); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Until(ds[0].LeaseEnd))
		}
		if books.billed["a"] != 100 || len(books.billed) != 1 {
			t.Errorf("billed %v", books.billed)
		}
	})
}

// The README shows parts of this package: they must be the same.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range []string{"billing.go", "billing_test.go", "example_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("the README has %d Go blocks", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		for part := range strings.SplitSeq(block, "…\n") {
			if part = strings.TrimSpace(part); !strings.Contains(flat(source.String()), flat(part)) {
				t.Errorf("not in examples/billing:\n%s", part)
			}
		}
	}
}

// flat forgets indentation.
func flat(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
