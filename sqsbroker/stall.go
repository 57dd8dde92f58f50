package sqsbroker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// How long SQS may take to answer, beyond what it was asked to wait. It is far
// above what it needs: only a connection that is dead without saying so is left
// to it, which would otherwise hold up whoever waits for good, since the AWS client
// has no time-out of its own.
const (
	answerTime = 15 * time.Second
	uploadTime = 45 * time.Second // 1 MiB, the most of one call, at 190 kbit/s
)

// The time of calls that ask for no waiting, and of those that bring messages.
var (
	answeredInTime = answeredWithin(answerTime)
	takenInTime    = answeredWithin(uploadTime + answerTime)
)

// answeredWithin lets a call's try fail that has not been answered in full
// after d, so that the AWS client makes another, on another connection.
func answeredWithin(d time.Duration) func(*sqs.Options) {
	return func(o *sqs.Options) { o.HTTPClient = impatient{o.HTTPClient, d} }
}

type impatient struct {
	sqs.HTTPClient
	patience time.Duration
}

// Do reads the whole answer. A time-out is not that of the caller's context, and
// must not be taken for it.
func (c impatient) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.patience)
	defer cancel()
	resp, err := c.HTTPClient.Do(req.WithContext(ctx))
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close() // read to its end, or broken
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err != nil && ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("no answer within %v", c.patience)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// maxPause is the longest pause between the tries of a call that a lease may
// hang on: the AWS client's own, of up to 20 s, are longer than a heartbeat has.
const maxPause = time.Second

// triesInTime keeps the pauses between a call's tries short, so that all of them
// are made before ctx ends.
func triesInTime(ctx context.Context) func(*sqs.Options) {
	return func(o *sqs.Options) {
		if inner, ok := o.Retryer.(aws.RetryerV2); ok {
			o.Retryer = shortPauses{inner, ctx}
		}
	}
}

type shortPauses struct {
	aws.RetryerV2
	ctx context.Context
}

// RetryDelay leaves as much time for the tries as goes on pauses.
func (s shortPauses) RetryDelay(try int, err error) (time.Duration, error) {
	pause, err := s.RetryerV2.RetryDelay(try, err)
	pause = min(pause, maxPause)
	if deadline, bounded := s.ctx.Deadline(); bounded {
		pause = min(pause, max(time.Until(deadline)/4, 0))
	}
	return pause, err
}
