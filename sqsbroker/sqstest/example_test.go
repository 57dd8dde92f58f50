package sqstest_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func Example() {
	srv := sqstest.NewServer(nil)
	defer srv.Close()
	if err := srv.CreateQueue("jobs", nil); err != nil {
		panic(err)
	}
	url := aws.String(srv.QueueURL("jobs"))

	ctx, client := context.Background(), srv.Client()
	if _, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("hello")}); err != nil {
		panic(err)
	}
	got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20})
	if err != nil {
		panic(err)
	}
	fmt.Println(*got.Messages[0].Body)
	stats, err := srv.Stats("jobs")
	fmt.Println(stats.InFlight, err)
	fmt.Println(srv.Calls())
	// Output:
	// hello
	// 1 <nil>
	// map[ReceiveMessage:1 SendMessage:1]
}
