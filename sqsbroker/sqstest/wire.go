package sqstest

// The shapes of AWS JSON 1.0, as far as they are used here. A pointer marks what
// must be told apart from its zero value when absent.

type queueURL struct {
	QueueURL string `json:"QueueUrl"`
}

type createQueueIn struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

type getQueueURLIn struct {
	QueueName              string
	QueueOwnerAWSAccountID string `json:"QueueOwnerAWSAccountId"`
}

type listQueuesIn struct {
	QueueNamePrefix string
	MaxResults      *int
	NextToken       string
}

type listQueuesOut struct {
	QueueURLs []string `json:"QueueUrls,omitempty"`
	NextToken string   `json:",omitempty"`
}

type getAttributesIn struct {
	queueURL
	AttributeNames []string
}

type getAttributesOut struct {
	Attributes map[string]string `json:",omitempty"`
}

type setAttributesIn struct {
	queueURL
	Attributes map[string]string
}

// attributeValue is a message attribute.
type attributeValue struct {
	DataType         string   `json:",omitempty"`
	StringValue      *string  `json:",omitempty"`
	BinaryValue      []byte   `json:",omitempty"`
	StringListValues []string `json:",omitempty"`
	BinaryListValues [][]byte `json:",omitempty"`
}

// outgoing is what SendMessage and an entry of SendMessageBatch share.
type outgoing struct {
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]attributeValue
	MessageSystemAttributes map[string]attributeValue
	MessageDeduplicationID  *string `json:"MessageDeduplicationId"`
	MessageGroupID          *string `json:"MessageGroupId"`
}

type sendIn struct {
	queueURL
	outgoing
}

// sendOut is what SendMessage answers.
type sendOut struct {
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageBody             string
	MD5OfMessageSystemAttributes string `json:",omitempty"`
	MessageID                    string `json:"MessageId"`
	SequenceNumber               string `json:",omitempty"`
}

type sendEntry struct {
	ID string `json:"Id"`
	outgoing
}

type sendBatchIn struct {
	queueURL
	Entries []sendEntry
}

type sendBatchOK struct {
	ID string `json:"Id"`
	sendOut
}

// entryFault is an entry of a batch that failed.
type entryFault struct {
	Code        string
	ID          string `json:"Id"`
	Message     string
	SenderFault bool
}

// batchOut is what a batch call answers.
type batchOut[T any] struct {
	Failed     []entryFault `json:",omitempty"`
	Successful []T          `json:",omitempty"`
}

type entryID struct {
	ID string `json:"Id"`
}

type receiveIn struct {
	queueURL
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	ReceiveRequestAttemptID     *string `json:"ReceiveRequestAttemptId"`
}

type receiveOut struct {
	Messages []receivedMessage `json:",omitempty"`
}

type receivedMessage struct {
	Attributes             map[string]string `json:",omitempty"`
	Body                   string
	MD5OfBody              string
	MD5OfMessageAttributes string                    `json:",omitempty"`
	MessageAttributes      map[string]attributeValue `json:",omitempty"`
	MessageID              string                    `json:"MessageId"`
	ReceiptHandle          string
}

type deleteIn struct {
	queueURL
	ReceiptHandle string
}

type deleteEntry struct {
	ID            string `json:"Id"`
	ReceiptHandle string
}

type deleteBatchIn struct {
	queueURL
	Entries []deleteEntry
}

type visibilityIn struct {
	queueURL
	ReceiptHandle     string
	VisibilityTimeout *int
}

type visibilityEntry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

type visibilityBatchIn struct {
	queueURL
	Entries []visibilityEntry
}

// nothing is an empty answer.
type nothing struct{}

type tagIn struct {
	queueURL
	Tags map[string]string
}

type untagIn struct {
	queueURL
	TagKeys []string
}

type tagsOut struct {
	Tags map[string]string `json:",omitempty"`
}

type addPermissionIn struct {
	queueURL
	Label         string
	AWSAccountIDs []string `json:"AWSAccountIds"`
	Actions       []string
}

type removePermissionIn struct {
	queueURL
	Label string
}

type listSourcesIn struct {
	queueURL
	MaxResults *int
	NextToken  string
}

type listSourcesOut struct {
	QueueURLs []string `json:"queueUrls"` // a small q, unlike ListQueues
	NextToken string   `json:",omitempty"`
}

type startMoveIn struct {
	SourceARN                    string `json:"SourceArn"`
	DestinationARN               string `json:"DestinationArn"`
	MaxNumberOfMessagesPerSecond *int
}

type startMoveOut struct{ TaskHandle string }

type cancelMoveIn struct{ TaskHandle string }

type cancelMoveOut struct{ ApproximateNumberOfMessagesMoved int }

type listMovesIn struct {
	SourceARN  string `json:"SourceArn"`
	MaxResults *int
}

type listMovesOut struct {
	Results []moveResult `json:",omitempty"`
}

type moveResult struct {
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	DestinationARN                    string `json:"DestinationArn,omitempty"`
	FailureReason                     string `json:",omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:",omitempty"`
	SourceARN                         string `json:"SourceArn"`
	StartedTimestamp                  int64  // milliseconds
	Status                            string
	TaskHandle                        string `json:",omitempty"`
}
