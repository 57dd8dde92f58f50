package sqstest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Server is an endpoint that listens; make one with [NewServer] or
// [NewMemoryServer]. Its methods may be called concurrently.
type Server struct {
	*Handler
	url       string
	server    *http.Server
	served    sync.WaitGroup
	transport *http.Transport
	close     sync.Once
}

// NewServer starts an endpoint on a free port of the loopback interface, for
// clients of any language. It panics if there is none, as [httptest.NewServer]
// does. nil options are zero ones.
func NewServer(opts *Options) *Server {
	l := listenLoopback()
	return start(opts, l, "http://"+l.Addr().String(), nil)
}

// NewMemoryServer starts an endpoint that is reached without a network, by the
// clients that it makes itself. It works inside a testing/synctest bubble, where
// a connection over TCP would hang: the whole of it, retries and 20-second polls
// included, runs in the bubble's time. It must be made and closed inside the
// bubble. nil options are zero ones.
func NewMemoryServer(opts *Options) *Server {
	l := newPipeListener()
	return start(opts, l, "http://sqs.memory", l.dial)
}

// listenLoopback leaves it to httptest to find a port where there is only IPv6.
func listenLoopback() net.Listener {
	return httptest.NewUnstartedServer(nil).Listener
}

func start(opts *Options, l net.Listener, url string, dial func(context.Context, string, string) (net.Conn, error)) *Server {
	h := NewHandler(opts)
	var serve http.Handler = h
	if h.opts.Wrap != nil {
		serve = h.opts.Wrap(h)
	}
	s := &Server{
		Handler: h,
		url:     url,
		server:  &http.Server{Handler: serve, ReadHeaderTimeout: patience},
		transport: &http.Transport{
			DialContext: dial,
			// As many as poll at once, so that none of them dials anew.
			MaxIdleConnsPerHost: 1000,
			IdleConnTimeout:     90 * time.Second,
		},
	}
	s.served.Go(func() { _ = s.server.Serve(l) }) // ends with ErrServerClosed
	return s
}

// URL is the endpoint's address. A memory server's is reached only through its
// own clients.
func (s *Server) URL() string { return s.url }

// QueueURL is the URL of a queue of the default account, whether it exists or
// not.
func (s *Server) QueueURL(name string) string {
	base := s.url
	if s.opts.BaseURL != "" {
		base = s.opts.BaseURL
	}
	return base + "/" + s.opts.Account + "/" + name
}

// Config configures any AWS client for the endpoint: its address, its region,
// its transport, and static credentials that nobody checks. Retries are the
// SDK's defaults.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region:       s.opts.Region,
		BaseEndpoint: aws.String(s.url),
		HTTPClient:   wholeBodies{&http.Client{Transport: s.transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test", Source: "sqstest"}, nil
		}),
	}
}

// Client is a real SQS client for the endpoint.
func (s *Server) Client(optFns ...func(*sqs.Options)) *sqs.Client {
	return sqs.NewFromConfig(s.Config(), optFns...)
}

// Close ends waiting receives, closes all connections and returns when the
// server's goroutines have ended. It may be called again.
func (s *Server) Close() {
	s.close.Do(func() {
		s.Handler.Close()
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		s.transport.CloseIdleConnections()
		if s.server.Shutdown(ctx) != nil {
			_ = s.server.Close() // a client that does not finish its request
		}
		s.transport.CloseIdleConnections()
	})
	s.served.Wait()
}

// closePatience is how long Close lets answers under way be read.
const closePatience = time.Second
