package memory

import (
	"sync"
	"sync/atomic"
)

// Op names an operation, for FailNext and in [broker.Error].
type Op string

// Values of Op. OpPublish counts each message of Publish and PublishBatch;
// OpDelete, OpExtend, OpRelease and OpReject count each delivery of such a
// call; the others count each call.
const (
	OpPublish   Op = "publish"
	OpSubscribe Op = "subscribe"
	OpRequest   Op = "request"
	OpGather    Op = "gather"
	OpRespond   Op = "respond"
	OpReceive   Op = "receive"
	OpDelete    Op = "delete"
	OpExtend    Op = "extend"
	OpRelease   Op = "release"
	OpReject    Op = "reject"
	OpDescribe  Op = "describe"
	OpHealth    Op = "health"
	OpFlush     Op = "flush"
	OpPing      Op = "ping"
)

// failures are the errors requested by a test.
type failures struct {
	armed atomic.Int64 // how many are still to come, of all operations
	mu    sync.Mutex
	byOp  map[Op][]failure
}

type failure struct {
	left int
	err  error
}

// FailNext makes the next n calls of an operation fail with err, unchanged and
// without effect. Failures requested earlier come first. A call refused as bad
// input does not count. n below 1 does nothing.
func (f *failures) FailNext(op Op, n int, err error) {
	if n < 1 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byOp == nil {
		f.byOp = map[Op][]failure{}
	}
	f.byOp[op] = append(f.byOp[op], failure{n, err})
	f.armed.Add(int64(n))
}

// failure is what a call of op must fail with, nil most of the time.
func (f *failures) failure(op Op) error {
	if f.armed.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pending := f.byOp[op]
	if len(pending) == 0 {
		return nil
	}
	err := pending[0].err
	if pending[0].left--; pending[0].left == 0 {
		f.byOp[op] = pending[1:]
	}
	f.armed.Add(-1)
	return err
}
