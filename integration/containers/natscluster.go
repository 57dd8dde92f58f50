package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Cluster is a NATS cluster with JetStream that belongs to one test, on networks
// of its own: one on which clients reach the nodes, and one on which the nodes
// reach each other. Unlike the shared servers it may be damaged.
type Cluster struct {
	Nodes []*Node

	docker          *testcontainers.DockerClient
	clients, routes *testcontainers.DockerNetwork
}

// Node is one server of a [Cluster]. What it stores outlives a kill, and its
// address is the same after each fault. Methods return when Docker has done what
// they say; a server needs a moment longer to notice.
type Node struct {
	Name string // as the server calls itself
	URL  string // for clients

	cluster   *Cluster
	port      string
	container *testcontainers.DockerContainer
}

// NATSCluster starts a cluster of size servers, or one server alone, and removes
// it at the test's end. It returns when each of them takes clients; the first
// election may be going on. Like a shared server, one that does not start skips
// the test or fails it.
func NATSCluster(tb testing.TB, size int) *Cluster {
	tb.Helper()
	c := new(Cluster)
	for i := range size {
		c.Nodes = append(c.Nodes, &Node{Name: fmt.Sprint("n", i+1), cluster: c})
	}
	tb.Cleanup(func() {
		if err := c.remove(); err != nil {
			tb.Errorf("containers: not removed: %v", err)
		}
	})
	if err := c.start(); err != nil {
		unavailable(tb, image("NATS_IMAGE", natsImage), err)
	}
	return c
}

// URL is the addresses of all nodes, as clients take them.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL
	}
	return strings.Join(urls, ",")
}

// Node returns the node of that name, nil if there is none.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// start makes the network and then all nodes at once. testcontainers-go panics
// where it finds no Docker host to ask.
func (c *Cluster) start() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("testcontainers: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if c.docker, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return err
	}
	if c.clients, err = tcnetwork.New(ctx, tcnetwork.WithLabels(labels())); err != nil {
		return err
	}
	// Internal: Docker publishes no port on it, so that clients have one way.
	if c.routes, err = tcnetwork.New(ctx, tcnetwork.WithLabels(labels()), tcnetwork.WithInternal()); err != nil {
		return err
	}
	errs := make([]error, len(c.Nodes))
	var all sync.WaitGroup
	for i, n := range c.Nodes {
		all.Go(func() { errs[i] = n.run(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func labels() map[string]string {
	if run := os.Getenv("CANDIDMQ_RUN"); run != "" {
		return map[string]string{runLabel: run}
	}
	return nil
}

func (n *Node) run(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	n.port = port
	const clientPort = "4222/tcp"
	n.container, err = testcontainers.Run(ctx, image("NATS_IMAGE", natsImage),
		testcontainers.WithCmd(n.args()...),
		tcnetwork.WithNetwork(nil, n.cluster.clients),
		tcnetwork.WithNetwork([]string{n.Name}, n.cluster.routes),
		testcontainers.WithExposedPorts(clientPort),
		// A port that Docker chose would be another one after each fault.
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			c.PortBindings = network.PortMap{network.MustParsePort(clientPort): {{HostPort: port}}}
		}),
		testcontainers.WithLabels(labels()),
		testcontainers.WithWaitStrategyAndDeadline(readyLimit, wait.ForLog("Server is ready")),
	)
	if err != nil {
		return err
	}
	host, err := n.container.Host(ctx)
	n.URL = "nats://" + net.JoinHostPort(host, port)
	return err
}

// args are nats-server's own. Clients are not told the nodes' addresses, which
// hold on the cluster's network only.
func (n *Node) args() []string {
	args := []string{"-js", "--name", n.Name}
	if len(n.cluster.Nodes) == 1 {
		return args
	}
	routes := make([]string, len(n.cluster.Nodes))
	for i, other := range n.cluster.Nodes {
		routes[i] = "nats://" + other.Name + ":6222"
	}
	return append(args, "--cluster_name", "cluster", "--cluster", "nats://0.0.0.0:6222",
		"--routes", strings.Join(routes, ","), "--no_advertise")
}

// freePort finds one below those that Linux and Docker give out by themselves
// (net.ipv4.ip_local_port_range begins at 32768), so that nobody takes it while
// its node is down.
func freePort() (string, error) {
	const from, count, tries = 20000, 12000, 100
	var err error
	for range tries {
		port := strconv.Itoa(from + rand.IntN(count))
		var l net.Listener
		if l, err = net.Listen("tcp", ":"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", err
}

// Kill ends the server with SIGKILL.
func (n *Node) Kill(ctx context.Context) error {
	_, err := n.cluster.docker.ContainerKill(ctx, n.id(), client.ContainerKillOptions{Signal: "SIGKILL"})
	return err
}

// Start starts a server that was killed.
func (n *Node) Start(ctx context.Context) error {
	_, err := n.cluster.docker.ContainerStart(ctx, n.id(), client.ContainerStartOptions{})
	return err
}

// Pause freezes the server. Its connections stay open, and silent. On a busy
// machine runc may give up ("unable to freeze") what works when it is tried
// again.
func (n *Node) Pause(ctx context.Context) error {
	const tries = 5
	var err error
	for range tries {
		if _, err = n.cluster.docker.ContainerPause(ctx, n.id(), client.ContainerPauseOptions{}); err == nil {
			break
		}
	}
	return err
}

// Resume ends a Pause.
func (n *Node) Resume(ctx context.Context) error {
	_, err := n.cluster.docker.ContainerUnpause(ctx, n.id(), client.ContainerUnpauseOptions{})
	return err
}

// Disconnect cuts the server off from the other nodes and from its clients. It
// goes on running.
func (n *Node) Disconnect(ctx context.Context) error {
	return errors.Join(n.leave(ctx, n.cluster.clients), n.Isolate(ctx))
}

// Connect ends a Disconnect.
func (n *Node) Connect(ctx context.Context) error {
	return errors.Join(n.join(ctx, n.cluster.clients), n.Rejoin(ctx))
}

// Isolate cuts the server off from the other nodes alone: its clients keep
// their connections to it, and new ones come.
func (n *Node) Isolate(ctx context.Context) error { return n.leave(ctx, n.cluster.routes) }

// Rejoin ends an Isolate.
func (n *Node) Rejoin(ctx context.Context) error { return n.join(ctx, n.cluster.routes, n.Name) }

func (n *Node) leave(ctx context.Context, from *testcontainers.DockerNetwork) error {
	_, err := n.cluster.docker.NetworkDisconnect(ctx, from.ID, client.NetworkDisconnectOptions{Container: n.id()})
	return err
}

func (n *Node) join(ctx context.Context, to *testcontainers.DockerNetwork, aliases ...string) error {
	_, err := n.cluster.docker.NetworkConnect(ctx, to.ID, client.NetworkConnectOptions{
		Container: n.id(), EndpointConfig: &network.EndpointSettings{Aliases: aliases},
	})
	return err
}

// Logs is what the server has written since it was made.
func (n *Node) Logs(ctx context.Context) (string, error) {
	out, err := n.container.Logs(ctx)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(out)
	return string(text), errors.Join(err, out.Close())
}

func (n *Node) id() string { return n.container.GetContainerID() }

// remove ends what was started, in whatever state it is.
func (c *Cluster) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	var errs []error
	for _, n := range c.Nodes {
		if n.container == nil {
			continue
		}
		_, err := c.docker.ContainerRemove(ctx, n.id(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, err)
	}
	for _, n := range []*testcontainers.DockerNetwork{c.clients, c.routes} {
		if n != nil {
			errs = append(errs, n.Remove(ctx))
		}
	}
	if c.docker != nil {
		errs = append(errs, c.docker.Close())
	}
	return errors.Join(errs...)
}
