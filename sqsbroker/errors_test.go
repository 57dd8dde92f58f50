package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func TestErrorTable(t *testing.T) {
	const prefix = "AWS.SimpleQueueService."
	for _, c := range []struct {
		code, message string
		kind          error
		retryable     bool
	}{
		{"QueueDoesNotExist", "", broker.ErrNotFound, false},
		{prefix + "NonExistentQueue", "", broker.ErrNotFound, false},
		{"com.amazonaws.sqs#QueueDoesNotExist", "", broker.ErrNotFound, false},
		{prefix + "QueueDeletedRecently", "", broker.ErrUnavailable, true},

		{"RequestThrottled", "", broker.ErrThrottled, true},
		{"ThrottlingException", "", broker.ErrThrottled, true},
		{"KmsThrottled", "", broker.ErrThrottled, true},
		{"OverLimit", "", broker.ErrThrottled, true},

		{"AccessDenied", "", broker.ErrDenied, false},
		{"AccessDeniedException", "", broker.ErrDenied, false},
		{"ExpiredToken", "", broker.ErrDenied, false},
		{"ExpiredTokenException", "", broker.ErrDenied, false},
		{"InvalidClientTokenId", "", broker.ErrDenied, false},
		{"UnrecognizedClientException", "", broker.ErrDenied, false},
		{"SignatureDoesNotMatch", "", broker.ErrDenied, false},
		{"InvalidSecurity", "", broker.ErrDenied, false},
		{"KmsAccessDenied", "", broker.ErrDenied, false},
		{"KmsDisabled", "", broker.ErrUnavailable, false},

		{"InternalError", "", broker.ErrUnavailable, true},
		{"ServiceUnavailable", "", broker.ErrUnavailable, true},

		{"ReceiptHandleIsInvalid", "", broker.ErrLeaseLost, false},
		{prefix + "MessageNotInflight", "", broker.ErrLeaseLost, false},
		{"InvalidParameterValue", "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.", broker.ErrLeaseLost, false},
		{"InvalidParameterValue", "Value x for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", broker.ErrLeaseLost, false},

		{prefix + "BatchRequestTooLong", "", broker.ErrTooLarge, false},
		{"InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.", broker.ErrTooLarge, false},
		{"InvalidParameterValueException", "Value -1 for parameter WaitTimeSeconds is invalid.", broker.ErrInvalid, false},
		{"MissingRequiredParameterException", "", broker.ErrInvalid, false},
		{"MissingParameter", "", broker.ErrInvalid, false},
		{"InvalidMessageContents", "", broker.ErrInvalid, false},
		{prefix + "TooManyEntriesInBatchRequest", "", broker.ErrInvalid, false},
		{"InvalidAddress", "", broker.ErrInvalid, false},
		{prefix + "UnsupportedOperation", "", errors.ErrUnsupported, false},
		{"SomethingNew", "", nil, false},
	} {
		err := failure(t.Context(), "publish", "jobs", &smithy.GenericAPIError{Code: c.code, Message: c.message})
		if !errors.Is(err.Kind, c.kind) || err.Retryable != c.retryable {
			t.Errorf("%s %s: got %v, retryable %v; want %v, %v", c.code, c.message, err.Kind, err.Retryable, c.kind, c.retryable)
		}
		if api, ok := errors.AsType[smithy.APIError](error(err)); !ok || api.ErrorCode() != c.code {
			t.Errorf("%s: the cause is not reachable", c.code)
		}
	}
}

// What the real client makes of real answers.
func TestErrorsOfTheClient(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.none(t, "jobs")
		publish := func() error {
			_, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
			return err
		}
		plain := func(status int) func(string, http.ResponseWriter, *http.Request, http.Handler) bool {
			return func(_ string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
				http.Error(w, "a proxy's words", status)
				return true
			}
		}
		for _, c := range []struct {
			status int
			want   error
		}{
			{401, broker.ErrDenied}, {403, broker.ErrDenied}, {404, broker.ErrUnavailable},
			{429, broker.ErrThrottled}, {502, broker.ErrUnavailable},
		} {
			r.setFault(plain(c.status))
			wantError(t, http.StatusText(c.status), publish(), c.want)
		}
		r.fail("SendMessage", 400, "KmsAccessDenied")
		err := publish()
		wantError(t, "KmsAccessDenied", err, broker.ErrDenied)
		if _, ok := errors.AsType[*types.KmsAccessDenied](err); !ok {
			t.Errorf("the AWS type is not reachable in %v", err)
		}
		r.setFault(nil)

		_, err = r.Receive(t.Context(), "none", 1)
		wantError(t, "no queue", err, broker.ErrNotFound)
		if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
			t.Errorf("the AWS type is not reachable in %v", err)
		}
		if e, ok := errors.AsType[*broker.Error](err); !ok || e.Backend != "sqs" || e.Op != "receive" || e.Subject != "none" {
			t.Errorf("got %#v", e)
		}

		r.server.Close()
		err = publish()
		wantError(t, "no connection", err, broker.ErrUnavailable)
	})
}

// The real service sends KMS's errors with the query protocol's codes, which the
// AWS client reports.
func TestKMSErrors(t *testing.T) {
	for _, c := range []struct {
		name, code string
		want       error
		retryable  bool
	}{
		{"KmsThrottled", "KMS.ThrottlingException", broker.ErrThrottled, true},
		{"KmsAccessDenied", "KMS.AccessDeniedException", broker.ErrDenied, false},
		{"KmsOptInRequired", "KMS.OptInRequired", broker.ErrDenied, false},
		{"KmsDisabled", "KMS.DisabledException", broker.ErrUnavailable, false},
		{"KmsNotFound", "KMS.NotFoundException", broker.ErrUnavailable, false},
		{"KmsInvalidState", "KMS.InvalidStateException", broker.ErrUnavailable, false},
		{"KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException", broker.ErrUnavailable, false},
	} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, "jobs")
			r.none(t, "jobs")
			faults := sqstest.NewFaults(1, sqstest.FaultPlan{
				Refuse: 1, Refusal: sqstest.Error{Name: c.name, Code: c.code, Status: http.StatusBadRequest},
			})
			r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
				faults.Wrap(next).ServeHTTP(w, req)
				return true
			})
			_, sent := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
			_, received := r.Receive(t.Context(), "jobs", 1)
			entry := failure(t.Context(), opPublish, "jobs", entryError(types.BatchResultErrorEntry{Code: &c.code}))
			for _, err := range []error{sent, received, entry} {
				wantError(t, c.code, err, c.want)
				if e, ok := errors.AsType[*broker.Error](err); !ok || e.Retryable != c.retryable || e.OutcomeUnknown {
					t.Errorf("%s: got %#v", c.code, e)
				}
			}
		})
	}
}

func TestMissingCredentials(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		why := errors.New("no role found")
		b, err := New(r.server.Client(func(o *sqs.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, why
			})
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, broker.ErrDenied, why)
		wantError(t, "Ping", b.Ping(t.Context()), broker.ErrDenied, why)
	})
}

func TestEndedContext(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.called()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, context.Canceled)
		if errors.Is(err, broker.ErrOutcomeUnknown) {
			t.Errorf("nothing was sent: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.setFault(func(_ string, _ http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			hang(req)
			return true
		})
		_, err = r.Publish(ctx, broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, context.DeadlineExceeded)
		if errors.Is(err, broker.ErrOutcomeUnknown) {
			t.Errorf("only a lookup was under way: %v", err)
		}
	})
}

func TestParseAddress(t *testing.T) {
	const url = "https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo"
	for _, c := range []struct {
		in   string
		want address
		ok   bool
	}{
		{"orders", address{name: "orders"}, true},
		{"orders.fifo", address{name: "orders.fifo"}, true},
		{url, address{name: "orders.fifo", url: url}, true},
		{"http://127.0.0.1:9324/000000000000/orders", address{name: "orders", url: "http://127.0.0.1:9324/000000000000/orders"}, true},
		{"arn:aws:sqs:us-east-1:123456789012:orders", address{name: "orders", account: "123456789012"}, true},
		{"arn:aws-cn:sqs:us-east-1:1:orders.fifo", address{name: "orders.fifo", account: "1"}, true},
		{"arn:aws:sqs:eu-west-1:123456789012:orders", address{}, false},
		{"arn:aws:sns:us-east-1:123456789012:orders", address{}, false},
		{"arn:aws:sqs", address{}, false},
		{"https://", address{}, false},
		{"https://sqs.us-east-1.amazonaws.com/", address{}, false},
		{"orders.placed", address{}, false},
		{"", address{}, false},
		{"a b", address{}, false},
		{strings.Repeat("q", 80), address{name: strings.Repeat("q", 80)}, true},
		{strings.Repeat("q", 81), address{}, false},
	} {
		got, err := parseAddress(c.in, "us-east-1")
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("parseAddress(%q): got %+v, %v", c.in, got, err)
		}
		if _, ok := errors.AsType[*broker.FieldError](err); err != nil && !ok {
			t.Errorf("parseAddress(%q): got %v, want a *FieldError", c.in, err)
		}
	}
}
