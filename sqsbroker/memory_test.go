package sqsbroker

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// million is how many messages TestMemory takes through; 1000000 is the figure
// that it is about.
var million = flag.Int("sqs-messages", 2000, "messages of TestMemory")

// endpointProcess is set in the environment of a process that is an endpoint.
const endpointProcess = "CANDIDMQ_TEST_ENDPOINT"

// serveEndpoint is an endpoint until standard input ends.
func serveEndpoint() {
	server := sqstest.NewServer(nil)
	defer server.Close()
	fmt.Println(server.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startEndpoint starts an endpoint in a process of its own, whose memory is not
// counted here, and returns a client for it.
func startEndpoint(t *testing.T) *sqs.Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(self)
	process.Env = append(os.Environ(), endpointProcess+"=1")
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	local := sqstest.NewMemoryServer(nil) // for the configuration of a client
	config := local.Config()
	local.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	t.Cleanup(client.CloseIdleConnections)
	config.HTTPClient = client
	return sqs.NewFromConfig(config, plainBodies, func(o *sqs.Options) { o.BaseEndpoint = aws.String(strings.TrimSpace(url)) })
}

// watchHeap returns what tells the most bytes that the heap had, garbage
// included.
func watchHeap() (peak func() uint64) {
	var most uint64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	})
	return func() uint64 {
		close(stop)
		watch.Wait()
		return most
	}
}

// However many messages go through from 64 publishers to 64 workers, memory has
// a bound: what makes it one is that callers block, and that only what can start
// is received.
//
// On two cores shared with the endpoint and with other work, Go 1.26, November
// 2026: a million messages took 2 min 8 s, and the heap had at most 5.8 MiB.
func TestMemory(t *testing.T) {
	client := startEndpoint(t)
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("bench")}); err != nil {
		t.Fatal(err)
	}
	b, err := New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	peak := watchHeap()
	begin := time.Now()
	var seen atomic.Int64
	done := make(chan struct{})
	if _, err := b.Subscribe(t.Context(), "bench", func(context.Context, *broker.Delivery) error {
		if seen.Add(1) == int64(*million) {
			close(done)
		}
		return nil
	}, broker.Group("g"), broker.Concurrency(64)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for ; i < *million; i += 64 {
				if _, err := b.Publish(t.Context(), broker.Message{Subject: "bench", Body: []byte(benchBody + strconv.Itoa(i))}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	<-done
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	most := float64(peak()) / (1 << 20)
	t.Logf("%d messages in %v: the heap had at most %.1f MiB", *million, time.Since(begin).Round(time.Millisecond), most)
	if most > 64 {
		t.Errorf("the heap had %.1f MiB, want at most 64", most)
	}
}
