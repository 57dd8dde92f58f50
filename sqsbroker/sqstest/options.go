package sqstest

import (
	"net/http"

	"github.com/candidmq/candidmq/internal/queue"
)

// Options are those of an endpoint; the zero value is useful.
type Options struct {
	// Region is part of ARNs and the default of clients; "us-east-1" if empty.
	Region string
	// Account is the account of every access key that Accounts does not name;
	// "123456789012" if empty.
	Account string
	// Accounts tells accounts apart by the caller's access key. Accounts see
	// only their own queues in a listing; a queue's URL is enough to use
	// anybody's, since permissions are stored and not enforced.
	Accounts map[string]string
	// BaseURL is the begin of queue URLs; if empty, the scheme and the host
	// that a request came to.
	BaseURL string
	// Clock is the endpoint's time; package time's if nil, which is virtual
	// inside a testing/synctest bubble.
	Clock Clock
	// MaxInFlight is how many messages of one queue may be in flight; 120,000
	// if 0, which is SQS's quota [DG quotas-queues, quotas-fifo].
	MaxInFlight int
	// WorstCase, if not 0, is the seed of a run in which everything happens that
	// SQS allows and rarely does. On Standard queues: messages out of order,
	// messages that come again while somebody has them or after they were
	// deleted, short polls that find nothing; on all: fewer messages than asked
	// for. The same seed and requests in the same order give the same run.
	WorstCase uint64
	// Wrap, if not nil, is put around the handler of a [Server]: the place for
	// a test to watch, delay or refuse requests.
	Wrap func(http.Handler) http.Handler
}

func (o *Options) setDefaults() {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	if o.Clock == nil {
		o.Clock = queue.SystemClock()
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 120_000
	}
}

func (o *Options) accountOf(accessKey string) string {
	if a, ok := o.Accounts[accessKey]; ok {
		return a
	}
	return o.Account
}
