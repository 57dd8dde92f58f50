// Sqstest serves the SQS endpoint of package sqstest on a port, in memory, for
// clients and services in any language.
//
//	go run github.com/candidmq/candidmq/cmd/sqstest -addr 127.0.0.1:9324 -queue jobs -queue orders.fifo
//
// With -virtual, time advances only on request:
//
//	curl -X POST 'http://127.0.0.1:9324/_sqstest/advance?by=5m'
//
// The program ends on SIGINT or SIGTERM; nothing is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "sqstest:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// settings are what the command line says.
type settings struct {
	addr    string
	virtual bool
	queues  []string
	opts    sqstest.Options
}

func parse(args []string, out io.Writer) (*settings, error) {
	var s settings
	f := flag.NewFlagSet("sqstest", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&s.addr, "addr", "127.0.0.1:9324", "the `address` to listen on; port 0 is a free one")
	f.StringVar(&s.opts.Region, "region", "us-east-1", "the region of ARNs")
	f.StringVar(&s.opts.Account, "account", "123456789012", "the account of every caller")
	f.StringVar(&s.opts.BaseURL, "base-url", "", "the prefix of queue URLs; default: the host of each request")
	f.Uint64Var(&s.opts.WorstCase, "worst-case", 0, "the seed for simulating the worst that SQS may do; 0: off")
	f.BoolVar(&s.virtual, "virtual", false, "time advances only by POST /_sqstest/advance?by=DURATION")
	f.Func("queue", "the `name` of a queue to create, FIFO by its suffix; may be given many times", func(name string) error {
		s.queues = append(s.queues, name)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return &s, nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	if s.virtual {
		clock := sqstest.NewManualClock(time.Now())
		s.opts.Clock = clock
		mux.Handle("POST /_sqstest/advance", advance(clock))
	}
	h := sqstest.NewHandler(&s.opts)
	defer h.Close()
	mux.Handle("/", h)
	for _, name := range s.queues {
		if err := create(h, name); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	announce(out, s, l.Addr())
	return serve(ctx, l, h, mux)
}

func create(h *sqstest.Handler, name string) error {
	if strings.HasSuffix(name, ".fifo") {
		return h.CreateQueue(name, map[string]string{"FifoQueue": "true"})
	}
	return h.CreateQueue(name, nil)
}

func announce(out io.Writer, s *settings, addr net.Addr) {
	_, _ = fmt.Fprintf(out, `SQS endpoint  http://%s
region        %s
credentials   any, such as AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
protocol      AWS JSON 1.0
actions       %s
queues        %s
`, addr, s.opts.Region, strings.Join(sqstest.Actions(), " "), strings.Join(s.queues, " ")) // the terminal may be gone
}

// serve answers until ctx ends, and then ends waiting receives.
func serve(ctx context.Context, l net.Listener, h *sqstest.Handler, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	h.Close()
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(soon) != nil {
		_ = server.Close() // a client that does not finish its request
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// advance moves the clock by what a request says.
func advance(clock *sqstest.ManualClock) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, err := time.ParseDuration(r.URL.Query().Get("by"))
		if err != nil || by < 0 {
			http.Error(w, "by must be a duration such as 5m", http.StatusBadRequest)
			return
		}
		clock.Advance(by)
		_, _ = fmt.Fprintln(w, clock.Now().Format(time.RFC3339Nano)) // the client may be gone
	})
}
