// Package sqsbroker publishes to Amazon SQS queues, Standard and FIFO, and
// receives from them, in the words of package broker.
//
//	b, err := sqsbroker.Connect(ctx, &sqsbroker.Options{
//		Queues: map[string]string{"orders.placed": "orders-placed"},
//	})
//
// The contracts stand with the roles in package broker; here is what SQS adds.
//
// # Queues
//
// A subject is a name in [Options.Queues], or a queue's own name, URL or ARN.
// Names are asked for with GetQueueUrl once. A URL is used as it is: the host
// in it is not called, the client's endpoint is. An ARN of another region than
// the client's is refused, and so is a URL of AWS's own hosts unless the client
// has a BaseEndpoint; for another account, the queue's policy must allow the
// caller. EnsureQueue creates a queue and UpdateQueue changes one; nothing
// else does.
//
// A queue's attributes are read at its first use, and again where the answer
// depends on them and a minute has passed, which is how long AWS takes to
// apply a change. Where sqs:GetQueueAttributes is not allowed, the defaults of
// AWS are assumed: a visibility timeout of 30 s, which is then passed with
// every receive, and 1 MiB a message.
//
// # Messages
//
// A header is a message attribute of type String, so that every other consumer
// reads it. There may be 10; if there are more, the last ones in the order of
// their names go together in the attribute candidmq-headers, as a JSON object
// of strings, and so do headers whose names or values an attribute cannot have,
// such as an empty value. A body that is text goes as it is. SQS takes only the
// characters of XML 1.0, so another body goes in base64, which makes it a third
// larger, and the attribute candidmq-body-encoding says "base64". Receive undoes
// both. An empty body is refused.
//
// The header AWSTraceHeader goes as the system attribute of that name, for AWS
// X-Ray, and is a header again when it is received, whoever sent it.
//
// Body and attributes together have at most 1 MiB, or the queue's
// MaximumMessageSize. What goes beyond is a [*broker.FieldError] before anything
// is sent: keep large bodies in a store such as S3, and send where they are (the
// claim-check pattern).
//
// SQS's MD5s are verified: of bodies by the AWS client, of attributes here (that
// of AWSTraceHeader, which receives have none for, after a send), unless the
// client is configured with DisableMessageChecksumValidation.
//
// Key is the message group of a FIFO queue, Tenant that of a Standard queue
// (fair queues), DedupID a FIFO queue's deduplication id. ReplyTo and TTL are
// refused, as is every field that the kind of queue cannot honour, unless
// [Options.Ignore] says to drop it.
//
// A received message is whatever its sender made of it. Attributes of type
// Number are text in Header; Binary ones are reached through
// [broker.Delivery.As] with a *types.Message or **types.Message, which also
// has every system attribute.
//
// # Delivery, order, leases
//
// Delivery is at least once, on both kinds of queue: handlers must be
// idempotent. A FIFO queue keeps the order of each key, also across
// redelivery; a Standard queue keeps none. FIFO deduplication holds for five
// minutes after the send.
//
// The lease is the visibility timeout. It is counted from the arrival of the
// answer, so that SQS sees it end a network trip earlier; extensions are
// counted from before the call. Times are rounded up to whole seconds. SQS
// holds no message longer than 12 hours after its receive, so extensions and
// releases near that are shortened to what is left.
//
// # Fewer calls
//
// SQS bills calls, and ten messages in a call cost as much as one. PublishBatch
// and the settling methods make calls of ten from what they are given. What
// concurrent callers publish, delete, extend or release one by one shares calls
// of the same kind to the same queue: the first caller's call goes at once;
// while it is in flight, another starts only when it is full, and the rest goes
// when it returns, or after 200 ms if it does not. Nobody waits for company. A
// call has at most ten messages and 1 MiB, and at most 64 calls of a kind are
// in flight to a queue; callers block until their message has its own result.
//
// On a FIFO queue, no two calls that send have messages of the same group, also
// where Publish and PublishBatch are called at the same time, and messages of a
// group are sent in the order in which these were called. A group stops at its
// first failure: what waits behind it is not sent, and is [broker.ErrSkipped].
// What is published afterwards is sent.
//
// # Calls and permissions
//
// Every call has the policy actions of its name:
//
//	Publish, PublishBatch  sqs:SendMessage
//	Receive                sqs:ReceiveMessage
//	Delete                 sqs:DeleteMessage
//	Extend, Release        sqs:ChangeMessageVisibility
//	Reject                 sqs:DeleteMessage, sqs:SendMessage on the dead-letter queue
//	Subscribe              Receive, Delete, Release; Extend for slow handlers; Reject if used
//	Describe               sqs:GetQueueAttributes; sqs:GetQueueUrl on the dead-letter queue
//	Health                 sqs:GetQueueAttributes, also on the dead-letter queue
//	EnsureQueue            sqs:GetQueueAttributes, also on the dead-letter queue; sqs:CreateQueue
//	UpdateQueue            as EnsureQueue, and sqs:SetQueueAttributes
//	Redrive                Receive, Delete, Release; sqs:SendMessage on the other queue, sqs:StartMessageMoveTask, sqs:ListMessageMoveTasks
//	Ping                   sqs:ListQueues, see there
//
// All but Ping also need sqs:GetQueueUrl for a queue that is not given by URL,
// and use sqs:GetQueueAttributes where it is allowed. Encrypted queues need
// kms:GenerateDataKey to send and kms:Decrypt to send and receive.
//
// # Errors
//
// Errors of the service are a [*broker.Error] with the category, and the AWS
// client's own error behind it: errors.As finds smithy.APIError, and the types
// of service/sqs/types where SQS models the error. The results of a batch have
// no such types, but a smithy.APIError each. A queue that does not exist is
// [broker.ErrNotFound], and forgotten, so that one made later is found.
//
// Calls that fail as a whole are resent as the AWS client's retryer does. So is
// one that has had no answer 15 s (a send: 60 s, as it may be 1 MiB; a receive:
// 15 s beyond what it waits) after it began: its connection is dead, and
// without a time-out of its own in the AWS client, who called without a
// deadline would wait for good. An entry of a batch that SQS fails by its own
// fault (SenderFault is false) is resent four times at most, after a pause from
// 50 ms to 1 s with chance, as long as that breaks no order. A send whose
// outcome is unknown matches [broker.ErrOutcomeUnknown], also where the last thing
// that SQS says is a refusal, and an earlier try or call for the message had no
// answer. Whatever ends with its context matches the context's error.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently. A Broker without subscriptions has no
// goroutine of its own but for calls in flight that several callers share, and
// those of Publish to FIFO queues. A shared call has none of its callers' context
// values; it outlives a caller that gives up, and ends when all have, one that
// sends to a FIFO queue a minute later if it is not answered before. Close drains the subscriptions, during which
// handlers may go on publishing, cancels receives that wait, and returns when
// the shared calls have; it does not close the client.
package sqsbroker
