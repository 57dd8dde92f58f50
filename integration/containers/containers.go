// Package containers starts the real brokers that the integration tests run
// on, each in a container of its own made by testcontainers-go.
//
// A test asks for a server and gets its address:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }
//
//	func TestOrders(t *testing.T) {
//		nc, err := nats.Connect(containers.NATS(t, "-js"))
//		...
//	}
//
// # Sharing
//
// The first call for a kind of server starts it and blocks until it answers;
// later calls in the same test binary, also from parallel tests, share it. A
// test therefore names its subjects, streams and queues so that no other test
// meets them. Servers end with the test binary, which is why [Main] is
// required: a call without it fails the test.
//
// # Availability
//
// A server that cannot be started, because there is no Docker or no image,
// skips the test and says how to get it. Where the environment says
// INTEGRATION=require the same is a failure, so that a build that is meant to
// run these tests cannot pass without them.
//
// # Images
//
// NATS_IMAGE, ELASTICMQ_IMAGE and MOTO_IMAGE name other images than the public
// defaults. CANDIDMQ_RUN, where set, becomes the value of the label
// candidmq.run on every container, by which a build removes what a crashed
// test binary left behind.
package containers

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	// startLimit bounds a start including the pull of an image on a slow line.
	startLimit = 5 * time.Minute
	// readyLimit bounds the time from the start of the process to its first
	// answer; ElasticMQ's JVM takes 4 s on an idle machine.
	readyLimit = 2 * time.Minute
	// removeLimit bounds the removal of one container.
	removeLimit = 30 * time.Second

	runLabel = "candidmq.run"
)

// spec is what it takes to start one kind of server.
type spec struct {
	image  string
	args   []string // replaces the image's command where not empty
	port   string   // the port inside the container, as in "4222/tcp"
	scheme string   // of the address given to the test
	ready  wait.Strategy
}

// server is one started container, or the reason why there is none.
type server struct {
	start     sync.Once
	container *testcontainers.DockerContainer
	address   string
	err       error
}

// pool holds the servers of this test binary. Only Main opens it.
type pool struct {
	mu      sync.Mutex
	open    bool
	servers map[string]*server
}

var shared pool

// Main runs a test binary's tests and then removes every container that they
// started. It has the method that goleak.VerifyTestMain asks for; without
// goleak, use os.Exit(containers.Main{M: m}.Run()).
type Main struct {
	M *testing.M
}

// Run runs the tests and returns their exit code, or 1 if they passed and a
// container could not be removed. Call it once, from TestMain.
func (m Main) Run() int {
	shared.openUp()
	code := m.M.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		return max(code, 1)
	}
	return code
}

// address gives the address of the server that s describes, starting it if
// this test binary has not done so yet. A failed start is not tried again: the
// tests that share the server would each wait for the same time-out.
func (p *pool) address(tb testing.TB, s spec) string {
	tb.Helper()
	srv := p.server(s)
	if srv == nil {
		tb.Fatal("containers: this package has no TestMain that runs containers.Main, so nobody would remove the container")
	}
	srv.start.Do(func() { srv.run(s) })
	if srv.err != nil {
		unavailable(tb, s.image, srv.err)
	}
	return srv.address
}

// server returns the entry for s, or nil where no Main is running.
func (p *pool) server(s spec) *server {
	key := strings.Join(append([]string{s.image}, s.args...), "\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return nil
	}
	srv, ok := p.servers[key]
	if !ok {
		srv = new(server)
		p.servers[key] = srv
	}
	return srv
}

func (p *pool) openUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
	p.servers = make(map[string]*server)
}

// close removes all containers. The tests have ended, so none is starting.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = false
	var failed []string
	for _, srv := range p.servers {
		if err := srv.remove(); err != nil {
			failed = append(failed, err.Error())
		}
	}
	if failed != nil {
		return fmt.Errorf("not removed: %s", strings.Join(failed, "; "))
	}
	return nil
}

// run starts the container and keeps its address or what went wrong.
// testcontainers-go panics where it finds no Docker host to ask.
func (srv *server) run(s spec) {
	defer func() {
		if p := recover(); p != nil {
			srv.err = fmt.Errorf("testcontainers: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	srv.container, srv.err = testcontainers.Run(ctx, s.image, s.options()...)
	if srv.err != nil {
		return
	}
	srv.address, srv.err = srv.container.PortEndpoint(ctx, s.port, s.scheme)
}

func (srv *server) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	// The servers hold nothing that outlives the tests: no time to stop in.
	return testcontainers.TerminateContainer(srv.container,
		testcontainers.StopContext(ctx), testcontainers.StopTimeout(0))
}

func (s spec) options() []testcontainers.ContainerCustomizer {
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(s.port),
		testcontainers.WithWaitStrategyAndDeadline(readyLimit, s.ready),
	}
	if len(s.args) > 0 {
		opts = append(opts, testcontainers.WithCmd(s.args...))
	}
	if run := os.Getenv("CANDIDMQ_RUN"); run != "" {
		opts = append(opts, testcontainers.WithLabels(map[string]string{runLabel: run}))
	}
	return opts
}

// unavailable ends the test: as a skip on a machine that merely happens to
// lack the server, as a failure where it was promised.
func unavailable(tb testing.TB, image string, err error) {
	tb.Helper()
	switch want := os.Getenv("INTEGRATION"); want {
	case "require":
		tb.Fatalf("INTEGRATION=require, and %s did not start: %v", image, err)
	case "":
		tb.Skipf("%s did not start: %v\n"+
			"This test needs Docker: install it (https://docs.docker.com/get-started/get-docker/), see that `docker info` works as this user\n"+
			"and that `docker pull %s` succeeds. INTEGRATION=require makes this skip a failure.", image, err, image)
	default:
		tb.Fatalf("INTEGRATION=%q is not known: leave it empty, or say require", want)
	}
}
