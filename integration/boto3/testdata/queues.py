"""What an SQS client of another language does, against the endpoint given."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client(
    "sqs",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)


def check(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")
    print("ok", what)


def bodies(queue, n=10, **more):
    out = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=n, **more)
    return out.get("Messages", [])


def arn(queue):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
policy = json.dumps({"deadLetterTargetArn": arn(dead), "maxReceiveCount": 2})
jobs = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "30", "RedrivePolicy": policy})["QueueUrl"]

attributes = {"trace": {"DataType": "String", "StringValue": "abc"}}
sent = sqs.send_message(QueueUrl=jobs, MessageBody="tea", MessageAttributes=attributes)
got = bodies(jobs, AttributeNames=["All"], MessageAttributeNames=["All"])
check("send and receive", [m["Body"] for m in got], ["tea"])  # boto3 checks the digests
check("message id", got[0]["MessageId"], sent["MessageId"])
check("attribute", got[0]["MessageAttributes"]["trace"]["StringValue"], "abc")
check("receive count", got[0]["Attributes"]["ApproximateReceiveCount"], "1")
check("leased", bodies(jobs), [])

sqs.change_message_visibility(QueueUrl=jobs, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
again = bodies(jobs)
check("change visibility", [m["Body"] for m in again], ["tea"])
sqs.delete_message(QueueUrl=jobs, ReceiptHandle=again[0]["ReceiptHandle"])
check("delete", bodies(jobs), [])

batch = sqs.send_message_batch(
    QueueUrl=jobs,
    Entries=[{"Id": str(i), "MessageBody": f"b{i}"} for i in range(9)] + [{"Id": "bad", "MessageBody": "\x01"}],
)
check("batch", len(batch["Successful"]), 9)
check("batch failure", [(f["Id"], f["SenderFault"]) for f in batch["Failed"]], [("bad", True)])
got = bodies(jobs)
out = sqs.delete_message_batch(
    QueueUrl=jobs, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
)
check("batch delete", len(out["Successful"]), 9)

sqs.send_message(QueueUrl=jobs, MessageBody="poison")
for _ in range(2):
    for m in bodies(jobs):
        sqs.change_message_visibility(QueueUrl=jobs, ReceiptHandle=m["ReceiptHandle"], VisibilityTimeout=0)
check("attempts used up", bodies(jobs), [])
got = bodies(dead, AttributeNames=["All"])
check("dead letter", [m["Body"] for m in got], ["poison"])
check("its source", got[0]["Attributes"]["DeadLetterQueueSourceArn"], arn(jobs))
sqs.change_message_visibility(QueueUrl=dead, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
sqs.start_message_move_task(SourceArn=arn(dead))
back = bodies(jobs, WaitTimeSeconds=10)
check("redrive", [m["Body"] for m in back], ["poison"])

fifo = sqs.create_queue(
    QueueName="orders.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
)["QueueUrl"]
for group, body in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a1")]:
    sqs.send_message(QueueUrl=fifo, MessageBody=body, MessageGroupId=group)
got = bodies(fifo, AttributeNames=["All"])
check("fifo order", [m["Body"] for m in got], ["a1", "a2", "b1"])
check("fifo lock", bodies(fifo), [])
numbers = [int(m["Attributes"]["SequenceNumber"]) for m in got[:2]]
check("sequence numbers rise", numbers, sorted(numbers))

try:
    sqs.get_queue_url(QueueName="absent")
    raise SystemExit("a queue that does not exist was found")
except sqs.exceptions.QueueDoesNotExist as e:
    check("typed error", e.response["Error"]["Code"], "AWS.SimpleQueueService.NonExistentQueue")
try:
    sqs.send_message(QueueUrl=jobs, MessageBody="")
    raise SystemExit("an empty body was taken")
except ClientError as e:
    check("empty body", e.response["Error"]["Code"], "MissingParameter")
