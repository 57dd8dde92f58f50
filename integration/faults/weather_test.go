package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/candidmq/candidmq/internal/sqsaudit"
)

// spell is one kind of bad weather, with what tells that it was felt.
type spell struct {
	name       string
	toxic      string // toxiproxy's type; "" for a proxy that is down
	stream     string // upstream: requests; downstream: answers
	toxicity   float64
	attributes map[string]int
	lasts      time.Duration
	felt       func(gauge) bool
	cut        bool // all connections are closed before it ends, see errStuck
}

// gauge is what a client felt: tries without an answer, and the time of the
// slowest one with an answer, long polls aside.
type gauge struct {
	failed  int
	slowest time.Duration
}

func someFail(g gauge) bool                       { return g.failed > 0 }
func slowerThan(d time.Duration) func(gauge) bool { return func(g gauge) bool { return g.slowest > d } }

// climate is one round of weather.
var climate = []spell{
	{"requests reset", "reset_peer", "upstream", 0.5, nil, 700 * time.Millisecond, someFail, false},
	{"answers reset", "reset_peer", "downstream", 0.5, nil, 700 * time.Millisecond, someFail, false},
	{"latency", "latency", "downstream", 1, map[string]int{"latency": 100, "jitter": 50}, time.Second, slowerThan(50 * time.Millisecond), false},
	{"requests stalled", "timeout", "upstream", 0.5, nil, 3500 * time.Millisecond, someFail, false},
	{"answers stalled", "timeout", "downstream", 0.5, nil, 3500 * time.Millisecond, someFail, false},
	{
		"sliced", "slicer", "downstream", 1, map[string]int{"average_size": 64, "size_variation": 32, "delay": 2000},
		time.Second, slowerThan(5 * time.Millisecond), true,
	},
	{"narrow", "bandwidth", "upstream", 1, map[string]int{"rate": 8}, time.Second, slowerThan(50 * time.Millisecond), false},
	{"down", "", "", 0, nil, 700 * time.Millisecond, someFail, false},
}

// calm is the time after a spell, in which it may still be felt: connections that
// were stalled are closed at its end.
const calm = 400 * time.Millisecond

// letGo is how long the proxy may take to end a spell.
const letGo = 30 * time.Second

// errStuck is an end for a run that proves nothing of the broker. toxiproxy v2.12.0
// holds the lock of its links while it removes a toxic from all of them; one whose
// client has gone waits for the lock, and takes nothing any more of what the toxic
// has to let go of first. Many slices on their way make that likely.
var errStuck = errors.New("toxiproxy is stuck in removing a toxic (its own deadlock): run it again")

// proxy is a TCP proxy with weather, before one endpoint.
type proxy struct {
	proxy *toxiproxy.Proxy

	mu    sync.Mutex
	gauge gauge
	felt  map[string]int // how often a spell was felt, by name
}

func newProxy(t *testing.T, endpoint string) *proxy {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{proxy: toxiproxy.NewProxy(server, "sqs", "127.0.0.1:0", to.Host), felt: map[string]int{}}
	if err := p.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.proxy.Stop)
	return p
}

func (p *proxy) url() string { return "http://" + p.proxy.Listen }

// blow goes through the climate until ctx ends, and through all of it once at
// least. The weather is fine when it returns.
func (p *proxy) blow(ctx context.Context) error {
	for n := 0; n < len(climate) || ctx.Err() == nil; n++ {
		s := climate[n%len(climate)]
		if err := p.endure(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// endure has one spell of weather.
func (p *proxy) endure(s spell) error {
	p.read()
	if err := p.begin(s); err != nil {
		return err
	}
	time.Sleep(s.lasts)
	ended := make(chan error, 1)
	go func() { ended <- p.end(s) }()
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-time.After(letGo):
		return errStuck
	}
	time.Sleep(calm)
	if s.felt(p.read()) {
		p.mu.Lock()
		p.felt[s.name]++
		p.mu.Unlock()
	}
	return nil
}

func (p *proxy) begin(s spell) error {
	if s.toxic == "" {
		p.proxy.Stop()
		return nil
	}
	toxic, err := json.Marshal(map[string]any{
		"name": s.name, "type": s.toxic, "stream": s.stream, "toxicity": s.toxicity, "attributes": s.attributes,
	})
	if err != nil {
		return err
	}
	_, err = p.proxy.Toxics.AddToxicJson(strings.NewReader(string(toxic)))
	return err
}

func (p *proxy) end(s spell) error {
	if s.toxic == "" {
		return p.proxy.Start()
	}
	if s.cut {
		p.proxy.Stop()
		time.Sleep(calm) // its links end one by one
	}
	if err := p.proxy.Toxics.RemoveToxic(context.Background(), s.name); err != nil || !s.cut {
		return err
	}
	return p.proxy.Start()
}

// read returns the gauge, and begins anew.
func (p *proxy) read() gauge {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.gauge
	p.gauge = gauge{}
	return g
}

// measured is a client whose tries move the gauge.
func (p *proxy) measured(next sqsaudit.Doer) sqsaudit.Doer { return meter{p, next} }

type meter struct {
	proxy *proxy
	next  sqsaudit.Doer
}

// Do makes one try.
func (m meter) Do(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := m.next.Do(req)
	took := time.Since(began)
	m.proxy.mu.Lock()
	defer m.proxy.mu.Unlock()
	switch {
	case err != nil && !errors.Is(req.Context().Err(), context.Canceled): // else its caller has changed its mind
		m.proxy.gauge.failed++
	case err == nil && !strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".ReceiveMessage"):
		m.proxy.gauge.slowest = max(m.proxy.gauge.slowest, took)
	}
	return resp, err
}
