package containers

import (
	"cmp"
	"os"
	"testing"

	"github.com/testcontainers/testcontainers-go/wait"
)

// The public images, at the versions that this project is tested with.
const (
	natsImage      = "nats:2.15.2"
	elasticMQImage = "softwaremill/elasticmq-native:1.7.1"
	motoImage      = "motoserver/moto:5.2.5"
)

// NATS returns the URL of a nats-server, as in nats://127.0.0.1:32768. The
// arguments are nats-server's own (as in "-js"); calls with equal arguments
// share one server.
func NATS(tb testing.TB, args ...string) string {
	tb.Helper()
	return shared.address(tb, spec{
		image:  image("NATS_IMAGE", natsImage),
		args:   args,
		port:   "4222/tcp",
		scheme: "nats",
		// The image has no shell to look at ports with, and Docker's proxy
		// accepts connections before the server does: the log tells.
		ready: wait.ForLog("Server is ready"),
	})
}

// ElasticMQ returns the endpoint of an ElasticMQ server, which speaks SQS, as
// in http://127.0.0.1:32769. It takes any credentials.
func ElasticMQ(tb testing.TB) string {
	tb.Helper()
	return shared.address(tb, spec{
		image:  image("ELASTICMQ_IMAGE", elasticMQImage),
		port:   "9324/tcp",
		scheme: "http",
		ready:  wait.ForHTTP("/?Action=ListQueues").WithPort("9324/tcp"),
	})
}

// Moto returns the endpoint of a moto server, which speaks SQS and SNS, as in
// http://127.0.0.1:32770. It takes any credentials.
func Moto(tb testing.TB) string {
	tb.Helper()
	return shared.address(tb, spec{
		image:  image("MOTO_IMAGE", motoImage),
		port:   "5000/tcp",
		scheme: "http",
		ready:  wait.ForHTTP("/moto-api/").WithPort("5000/tcp"),
	})
}

func image(variable, public string) string {
	return cmp.Or(os.Getenv(variable), public)
}
