package sqstest_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// Waiting polls do nothing: in virtual time nothing could run without showing,
// since time moves only while all of them are blocked. A message wakes one.
func TestManyLongPollsWaitIdly(t *testing.T) {
	const polls = 200
	synctest.Test(t, func(t *testing.T) {
		srv := sqstest.NewMemoryServer(nil)
		defer srv.Close()
		if err := srv.CreateQueue("q", nil); err != nil {
			t.Fatal(err)
		}
		client := srv.Client()
		var mu sync.Mutex
		var got []time.Duration // when a poll came back with a message
		empty := 0
		began := time.Now()
		var waiting sync.WaitGroup
		for range polls {
			waiting.Go(func() {
				out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
					QueueUrl: aws.String(srv.QueueURL("q")), WaitTimeSeconds: 20,
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case len(out.Messages) == 0:
					empty++
				default:
					got = append(got, time.Since(began))
				}
			})
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if stats, err := srv.Stats("q"); err != nil || stats.Polls != polls {
			t.Errorf("%d polls wait, %v; want %d", stats.Polls, err, polls)
		}
		if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(srv.QueueURL("q")), MessageBody: aws.String("x"),
		}); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		if len(got) != 1 || got[0] != 10*time.Second || empty != polls-1 {
			t.Errorf("a message came at %v, %d polls were empty; want one at 10s, and %d", got, empty, polls-1)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("the others ended after %v, want 20s", took)
		}
		if calls := srv.Calls()["ReceiveMessage"]; calls != polls {
			t.Errorf("%d receives, want %d", calls, polls)
		}
	})
}
