package natsbroker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func connect(t *testing.T, s *server.Server, o *natsbroker.Options, opts ...nats.Option) *natsbroker.Broker {
	t.Helper()
	return connectTo(t, s.ClientURL(), o, opts...)
}

func connectTo(t *testing.T, servers string, o *natsbroker.Options, opts ...nats.Option) *natsbroker.Broker {
	t.Helper()
	b, err := natsbroker.Connect(soon(t), servers, o, opts...)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	return b
}

func TestConnectOwnsItsConnection(t *testing.T) {
	s := startServer(t)
	b := connect(t, s, nil)
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if !b.Conn().IsClosed() {
		t.Error("the connection is left open")
	}
	if err := b.Close(soon(t)); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestConnectNoticesFailuresInSeconds(t *testing.T) {
	s := startServer(t)
	o := connect(t, s, nil).Conn().Opts
	if o.MaxReconnect != -1 || o.FlusherTimeout > 10*time.Second || o.PingInterval*time.Duration(o.MaxPingsOut+1) > 15*time.Second {
		t.Errorf("got %d reconnects, %v a write, %v x %d pings", o.MaxReconnect, o.FlusherTimeout, o.PingInterval, o.MaxPingsOut)
	}
	o = connect(t, s, nil, nats.MaxReconnects(7), nats.Name("mine"), nil).Conn().Opts
	if o.MaxReconnect != 7 || o.Name != "mine" {
		t.Errorf("got %d and %q, want the caller's options to win", o.MaxReconnect, o.Name)
	}
}

// A publish to a peer that reads no more blocks as long as a write may take.
func TestCorePublishToAPeerThatDoesNotRead(t *testing.T) {
	const limit = 100 * time.Millisecond
	l := linkTo(t, startServer(t).Addr().String())
	b := connectTo(t, l.url(), &natsbroker.Options{RequestTimeout: time.Millisecond}, nats.FlusherTimeout(limit), nats.ReconnectWait(time.Hour))
	l.stall(t)
	m := broker.Message{Subject: "a", Body: make([]byte, 64<<10)}
	var err error
	var took time.Duration
	sent := 0
	for ; err == nil && sent < 2000; sent++ { // more than all buffers on the way hold
		begun := time.Now()
		_, err = b.Publish(t.Context(), m)
		took = time.Since(begun)
	}
	if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, broker.ErrOutcomeUnknown) || took > patience/2 {
		t.Errorf("after %v: got %v, want ErrUnavailable of unknown outcome", took, err)
	}
	eventually(t, "the connection is given up", func() bool { return !b.Conn().IsConnected() })
	if lost := b.Losses(); lost.Uncertain == 0 || lost.Uncertain > uint64(sent) || lost.Discarded != 0 {
		t.Errorf("%+v of %d lost", lost, sent)
	}
}

// A peer that says nothing more is left after as many pings as are set.
func TestCorePeerThatIsSilent(t *testing.T) {
	l := linkTo(t, startServer(t).Addr().String())
	b := connectTo(t, l.url(), nil, nats.PingInterval(20*time.Millisecond), nats.MaxPingsOutstanding(2), quick)
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	l.silence()
	publish(t, b, broker.Message{Subject: "a"})
	eventually(t, "the connection is given up", func() bool { return !b.Conn().IsConnected() })
	l.cut()
	err := b.Flush(soon(t))
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != (natsbroker.Loss{Uncertain: 1}) {
		t.Errorf("got %v, want 1 uncertain", err)
	}
}

func TestConnectRefusesBadInput(t *testing.T) {
	for _, servers := range []string{"", " , ", "http://host", "nats://", "nats://host?name=x", "nats://host#x", "nats://u:hush@%zz", "nats://ok,ftp://u:hush@host"} {
		b, err := natsbroker.Connect(t.Context(), servers, nil)
		if field, ok := errors.AsType[*broker.FieldError](err); b != nil || !ok || field.Field != "servers" {
			t.Errorf("%q: got %v, want a FieldError for servers", servers, err)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: the error shows the password: %v", servers, err)
		}
	}
	_, err := natsbroker.Connect(t.Context(), "gopher://x", &natsbroker.Options{RequestTimeout: -1})
	if err == nil || !strings.Contains(err.Error(), "servers") || !strings.Contains(err.Error(), "RequestTimeout") {
		t.Errorf("got %v, want both problems", err)
	}
	_, err = natsbroker.Connect(t.Context(), "nats://127.0.0.1:1", nil, func(*nats.Options) error { return errSecret })
	if !errors.Is(err, errSecret) {
		t.Errorf("got %v, want the option's error", err)
	}
}

func TestConnectFails(t *testing.T) {
	locked := startServer(t, func(o *server.Options) { o.Username, o.Password = "u", "right" })
	tests := []struct {
		name    string
		servers string
		opts    []nats.Option
		want    error
		cause   error
	}{
		{"nobody listens", "nats://" + freeAddress(t).String(), nil, broker.ErrUnavailable, nats.ErrNoServers},
		{"wrong password", locked.ClientURL(), []nats.Option{nats.UserInfo("u", "wrong")}, broker.ErrDenied, nats.ErrAuthorization},
		{"TLS that the server has not", startServer(t).ClientURL(), []nats.Option{nats.Secure()}, broker.ErrUnavailable, nats.ErrSecureConnWanted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := natsbroker.Connect(soon(t), tt.servers, nil, tt.opts...)
			if b != nil || !errors.Is(err, tt.want) || !errors.Is(err, tt.cause) {
				t.Errorf("got %v, want %v caused by %v", err, tt.want, tt.cause)
			}
		})
	}
}

// A server that greets and then says nothing must not hold Connect beyond its
// context, nor keep the connection.
func TestConnectEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	gone := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "INFO {}\r\n")
		}
		if err != nil {
			gone <- err
			return
		}
		_, _ = io.Copy(io.Discard, conn)
		gone <- conn.Close()
	}()
	ctx, cancel := context.WithCancel(t.Context())
	login := func() (string, string) { // asked for after dialing
		cancel()
		return "", ""
	}
	// Its own time-out is far away.
	b, err := natsbroker.Connect(ctx, "nats://"+l.Addr().String(), nil, nats.Timeout(time.Hour), nats.UserInfoHandler(login))
	if b != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := receive(t, gone, "the connection's end"); err != nil {
		t.Error(err)
	}
	if _, err := natsbroker.Connect(ctx, "nats://"+l.Addr().String(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A dial for a reconnect may end after Connect has returned. The context of Connect
// has no hold on its connection.
func TestConnectLeavesLaterConnectionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		natsbroker.BindLate(ctx, here)
		cancel()
		synctest.Wait()
		go func() { _, _ = there.Write([]byte("x")) }()
		if _, err := here.Read(make([]byte, 1)); err != nil {
			t.Errorf("got %v of a connection that was made after Connect", err)
		}
		_, _ = here.Close(), there.Close()
	})
}

func TestConnectThroughTheCallersDialer(t *testing.T) {
	s := startServer(t)
	var dials int
	dialer := &net.Dialer{Control: func(string, string, syscall.RawConn) error {
		dials++
		return nil
	}}
	tests := []struct {
		name  string
		opt   nats.Option
		dials int
	}{
		{"net.Dialer", nats.Dialer(dialer), 1}, // deprecated, and still to be honoured
		{"custom", nats.SetCustomDialer(dialer), 1},
		{"in-process", nats.InProcessServer(s), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dials = 0
			b := connect(t, s, nil, tt.opt)
			if err := b.Ping(soon(t)); err != nil || dials != tt.dials {
				t.Errorf("got %v and %d dials, want %d", err, dials, tt.dials)
			}
		})
	}
}

// change is a call of OnState.
type change struct {
	state natsbroker.State
	err   error
}

func TestServerRestart(t *testing.T) {
	s := startServer(t)
	address := s.Addr().(*net.TCPAddr)
	changes := make(chan change, 10)
	o := &natsbroker.Options{OnState: func(state natsbroker.State, err error) { changes <- change{state, err} }}
	b := connect(t, s, o, nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }))
	h, got := inbox(10)
	subscribe(t, b, "a", h)
	publish(t, b, broker.Message{Subject: "a", Body: []byte("before")})
	if d := receive(t, got, "the message"); string(d.Body) != "before" {
		t.Fatalf("got %q", d.Body)
	}
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}

	publish(t, b, broker.Message{Subject: "unconfirmed"})
	stopServer(s)
	if c := receive(t, changes, "the state"); c.state != natsbroker.StateReconnecting {
		t.Errorf("got %v, want reconnecting", c)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("ping while the server is gone: got %v, want ErrUnavailable", err)
	}
	publish(t, b, broker.Message{Subject: "a", Body: []byte("buffered")})
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	wantUnknown(t, b.Flush(short), context.DeadlineExceeded)
	if _, err := b.Request(short, broker.Message{Subject: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}

	startServer(t, func(o *server.Options) { o.Port = address.Port })
	if c := receive(t, changes, "the state"); c.state != natsbroker.StateConnected || c.err != nil {
		t.Errorf("got %v, want connected", c)
	}
	if d := receive(t, got, "the buffered message"); string(d.Body) != "buffered" {
		t.Errorf("got %q", d.Body)
	}
	if err := b.Ping(soon(t)); err != nil {
		t.Error(err)
	}
	// Whether something was lost with the old connection, nobody knows: said once.
	err := b.Flush(soon(t))
	wantUnknown(t, err, broker.ErrUnavailable)
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Uncertain != 1 {
		t.Errorf("got %v, want 1 uncertain: what waited has arrived", err)
	}
	if err := b.Flush(soon(t)); err != nil {
		t.Error(err)
	}

	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if c := receive(t, changes, "the state"); c.state != natsbroker.StateClosed {
		t.Errorf("got %v, want closed", c)
	}
	if len(changes) != 0 {
		t.Errorf("%d more changes were told", len(changes))
	}
}

// With nothing published in between, a reconnect is no reason to doubt.
func TestFlushAfterAReconnectWithNothingToLose(t *testing.T) {
	s := startServer(t)
	connected := make(chan struct{}, 1)
	b := newBroker(t, s, nil, nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }),
		nats.ReconnectHandler(func(*nats.Conn) { connected <- struct{}{} }))
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	receive(t, connected, "the reconnect")
	if err := b.Flush(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestSubscribeWhileReconnecting(t *testing.T) {
	s := startServer(t)
	address := s.Addr().(*net.TCPAddr)
	disconnected := make(chan struct{}, 10)
	b := newBroker(t, s, nil, nats.MaxReconnects(-1), nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { disconnected <- struct{}{} }))
	stopServer(s)
	receive(t, disconnected, "the disconnect")

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.Subscribe(ctx, "a", discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	if got := b.Conn().NumSubscriptions(); got != 0 {
		t.Errorf("%d subscriptions are left over", got)
	}

	h, got := inbox(1)
	subscribed := make(chan error, 1)
	go func() {
		_, err := b.Subscribe(soon(t), "a", h)
		subscribed <- err
	}()
	s = startServer(t, func(o *server.Options) { o.Port = address.Port })
	if err := receive(t, subscribed, "the subscription"); err != nil {
		t.Fatal(err)
	}
	publish(t, newBroker(t, s, nil), broker.Message{Subject: "a"})
	receive(t, got, "the message")
}

// The states of a connection that is not ours are told beside its owner's
// handlers, and not after Close.
func TestOnStateOfAGivenConnection(t *testing.T) {
	s := startServer(t)
	owner, changes := make(chan struct{}, 1), make(chan change, 10)
	nc := dial(t, s, nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }),
		nats.ReconnectHandler(func(*nats.Conn) { owner <- struct{}{} }))
	b := brokerOn(t, nc, &natsbroker.Options{OnState: func(state natsbroker.State, err error) { changes <- change{state, err} }})
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	receive(t, owner, "the owner's handler")
	for _, want := range []natsbroker.State{natsbroker.StateReconnecting, natsbroker.StateConnected} {
		if c := receive(t, changes, "the state"); c.state != want {
			t.Errorf("got %v, want %v", c.state, want)
		}
	}
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	nc.Close()
	if len(changes) != 0 {
		t.Errorf("told %v after Close", <-changes)
	}
}

func TestOnStateTellsThatTheConnectionIsClosed(t *testing.T) {
	changes := make(chan change, 10)
	b := newBroker(t, startServer(t), &natsbroker.Options{OnState: func(state natsbroker.State, err error) { changes <- change{state, err} }})
	b.Conn().Close()
	if c := receive(t, changes, "the state"); c.state != natsbroker.StateClosed {
		t.Errorf("got %v, want closed", c)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

// A callback that hangs does not hang Close.
func TestCloseDoesNotWaitForEverForOnState(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	b := newBroker(t, startServer(t), &natsbroker.Options{OnState: func(natsbroker.State, error) {
		close(entered)
		<-leave
	}})
	b.Conn().Close()
	receive(t, entered, "the callback")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	close(leave)
}

func TestCloseSaysWhatMayBeLost(t *testing.T) {
	s := startServer(t)
	disconnected := make(chan struct{}, 10)
	b := connect(t, s, &natsbroker.Options{RequestTimeout: time.Millisecond},
		nats.DisconnectErrHandler(func(*nats.Conn, error) { disconnected <- struct{}{} }))
	stopServer(s)
	receive(t, disconnected, "the disconnect")
	publish(t, b, broker.Message{Subject: "a"})
	wantUnknown(t, b.Close(t.Context()), context.DeadlineExceeded)
	if !b.Conn().IsClosed() {
		t.Error("the connection is left open")
	}
}
