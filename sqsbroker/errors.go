package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

const backend = sqsrules.Backend

// class is what an error of AWS means in the words of package broker.
type class struct {
	kind      error
	retryable bool
}

// classes has the error codes of SQS and of AWS in general, by the name that
// the JSON protocol has for them (API CommonErrors, and Errors of each
// action). The query protocol's names are brought to these by jsonCode.
var classes = map[string]class{
	"QueueDoesNotExist":         {broker.ErrNotFound, false},
	"ResourceNotFoundException": {broker.ErrNotFound, false},
	"QueueDeletedRecently":      {broker.ErrUnavailable, true},

	"RequestThrottled":                       {broker.ErrThrottled, true},
	"ThrottlingException":                    {broker.ErrThrottled, true},
	"Throttling":                             {broker.ErrThrottled, true},
	"ThrottledException":                     {broker.ErrThrottled, true},
	"RequestThrottledException":              {broker.ErrThrottled, true},
	"TooManyRequestsException":               {broker.ErrThrottled, true},
	"ProvisionedThroughputExceededException": {broker.ErrThrottled, true},
	"RequestLimitExceeded":                   {broker.ErrThrottled, true},
	"SlowDown":                               {broker.ErrThrottled, true},
	"KmsThrottled":                           {broker.ErrThrottled, true},
	"OverLimit":                              {broker.ErrThrottled, true}, // goes away as messages are deleted

	"AccessDenied":                {broker.ErrDenied, false},
	"AccessDeniedException":       {broker.ErrDenied, false},
	"AuthFailure":                 {broker.ErrDenied, false},
	"ExpiredToken":                {broker.ErrDenied, false},
	"ExpiredTokenException":       {broker.ErrDenied, false},
	"IncompleteSignature":         {broker.ErrDenied, false},
	"InvalidAccessKeyId":          {broker.ErrDenied, false},
	"InvalidClientTokenId":        {broker.ErrDenied, false},
	"InvalidSecurity":             {broker.ErrDenied, false},
	"InvalidSignatureException":   {broker.ErrDenied, false},
	"MissingAuthenticationToken":  {broker.ErrDenied, false},
	"NotAuthorized":               {broker.ErrDenied, false},
	"OptInRequired":               {broker.ErrDenied, false},
	"RequestExpired":              {broker.ErrDenied, false},
	"SignatureDoesNotMatch":       {broker.ErrDenied, false},
	"UnrecognizedClientException": {broker.ErrDenied, false},
	"KmsAccessDenied":             {broker.ErrDenied, false},
	"KmsOptInRequired":            {broker.ErrDenied, false},

	"KmsDisabled":        {broker.ErrUnavailable, false},
	"KmsInvalidKeyUsage": {broker.ErrUnavailable, false},
	"KmsInvalidState":    {broker.ErrUnavailable, false},
	"KmsNotFound":        {broker.ErrUnavailable, false},
	"InternalError":      {broker.ErrUnavailable, true},
	"InternalFailure":    {broker.ErrUnavailable, true},
	"ServiceUnavailable": {broker.ErrUnavailable, true},

	"MessageNotInflight":     {broker.ErrLeaseLost, false},
	"ReceiptHandleIsInvalid": {broker.ErrLeaseLost, false},

	"BatchRequestTooLong": {broker.ErrTooLarge, false},

	"BatchEntryIdsNotDistinct":     {broker.ErrInvalid, false},
	"EmptyBatchRequest":            {broker.ErrInvalid, false},
	"InvalidAddress":               {broker.ErrInvalid, false},
	"InvalidAttributeName":         {broker.ErrInvalid, false},
	"InvalidAttributeValue":        {broker.ErrInvalid, false},
	"InvalidBatchEntryId":          {broker.ErrInvalid, false},
	"InvalidIdFormat":              {broker.ErrInvalid, false},
	"InvalidMessageContents":       {broker.ErrInvalid, false},
	"InvalidParameterCombination":  {broker.ErrInvalid, false},
	"InvalidParameterValue":        {broker.ErrInvalid, false},
	"MissingParameter":             {broker.ErrInvalid, false},
	"TooManyEntriesInBatchRequest": {broker.ErrInvalid, false},
	"ValidationError":              {broker.ErrInvalid, false},

	"UnsupportedOperation": {errors.ErrUnsupported, false},
	"InvalidAction":        {errors.ErrUnsupported, false},

	"UnknownOperationException": {errors.ErrUnsupported, false},
	"NotImplemented":            {errors.ErrUnsupported, false},
}

// queryCodes are the codes of the older query protocol that are more than a
// prefix away from the JSON protocol's, and JSON names that are not the code.
// With awsQueryCompatible the AWS client reports the query protocol's.
var queryCodes = map[string]string{
	"NonExistentQueue":                  "QueueDoesNotExist",
	"InvalidParameterValueException":    "InvalidParameterValue",
	"MissingRequiredParameterException": "MissingParameter",

	"KMS.AccessDeniedException":    "KmsAccessDenied",
	"KMS.DisabledException":        "KmsDisabled",
	"KMS.InvalidKeyUsageException": "KmsInvalidKeyUsage",
	"KMS.InvalidStateException":    "KmsInvalidState",
	"KMS.NotFoundException":        "KmsNotFound",
	"KMS.OptInRequired":            "KmsOptInRequired",
	"KMS.ThrottlingException":      "KmsThrottled",
}

// reasons tells apart the many errors that share the code
// InvalidParameterValue, by a part of the message that has stood for years.
var reasons = []struct {
	text string
	kind error
}{
	{"receipt handle has expired", broker.ErrLeaseLost},
	{"not available for visibility timeout change", broker.ErrLeaseLost},
	{beyondTwelveHours, broker.ErrLeaseLost},
	{"Message must be shorter than", broker.ErrTooLarge},
}

// beyondTwelveHours is how SQS refuses a visibility timeout of more than is left of
// the 12 hours since the receive.
const beyondTwelveHours = "beyond the limit"

func beyondLimit(e types.BatchResultErrorEntry) bool {
	return e.Code != nil && jsonCode(*e.Code) == "InvalidParameterValue" && e.Message != nil && strings.Contains(*e.Message, beyondTwelveHours)
}

func jsonCode(code string) string {
	code = code[strings.LastIndexByte(code, '#')+1:]
	code = strings.TrimPrefix(code, "AWS.SimpleQueueService.")
	if json, ok := queryCodes[code]; ok {
		return json
	}
	return code
}

// classify finds what an error of the AWS client means.
func classify(err error) class {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if c, known := classifyAPI(api); known {
			return c
		}
	}
	if checksumFailed(err) {
		return class{broker.ErrUnavailable, true}
	}
	if status := statusOf(err); status != 0 {
		return classifyStatus(status)
	}
	if connectionFailed(err) {
		return class{broker.ErrUnavailable, true}
	}
	// The AWS client has no type for this failure.
	if strings.Contains(err.Error(), "get credentials:") {
		return class{broker.ErrDenied, false}
	}
	return class{}
}

func classifyAPI(api smithy.APIError) (class, bool) {
	code := jsonCode(api.ErrorCode())
	c, known := classes[code]
	if code != "InvalidParameterValue" {
		return c, known
	}
	for _, r := range reasons {
		if strings.Contains(api.ErrorMessage(), r.text) {
			return class{r.kind, false}, true
		}
	}
	return c, known
}

// classifyStatus is for codes that are not in the table, such as a proxy's.
func classifyStatus(status int) class {
	switch {
	case status == http.StatusTooManyRequests:
		return class{broker.ErrThrottled, true}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return class{broker.ErrDenied, false}
	case status == http.StatusNotFound:
		return class{broker.ErrUnavailable, false} // no SQS there: a queue has an error code
	case status >= http.StatusInternalServerError:
		return class{broker.ErrUnavailable, true}
	}
	return class{}
}

// statusOf is the HTTP status of the answer, 0 if none came. The AWS client
// has a ResponseError in both cases.
func statusOf(err error) int {
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || response.Response == nil || response.Response.Response == nil {
		return 0
	}
	return response.HTTPStatusCode()
}

// checksumFailed: the answer came and does not fit what was sent. The AWS
// client does not export the type of this error.
func checksumFailed(err error) bool {
	return strings.Contains(err.Error(), "message checksum validation failed")
}

// connectionFailed: no answer came.
func connectionFailed(err error) bool {
	var connection interface{ ConnectionError() bool }
	var timeout interface{ Timeout() bool }
	return errors.As(err, &connection) && connection.ConnectionError() ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// failure is an error of the AWS client in the form that this package returns.
// The end of ctx has no category: it matches as itself.
func failure(ctx context.Context, op, subject string, err error) *broker.Error {
	if e, ok := errors.AsType[*broker.Error](err); ok {
		again := *e // of a lookup on behalf of this call
		again.Op, again.Subject = op, subject
		return &again
	}
	e := &broker.Error{Backend: backend, Op: op, Subject: subject, Err: err}
	if ctx.Err() != nil {
		if !errors.Is(err, ctx.Err()) {
			e.Err = errors.Join(ctx.Err(), err)
		}
		return e
	}
	c := classify(err)
	e.Kind, e.Retryable = c.kind, c.retryable
	return e
}

// lost is the error of a delivery whose lease is known to be over.
func lost(op, subject, why string) error {
	return &broker.Error{
		Backend: backend, Op: op, Subject: subject, Kind: broker.ErrLeaseLost, Err: errors.New(why),
	}
}

// entryError is the error of one entry of a batch.
func entryError(e types.BatchResultErrorEntry) error {
	api := &smithy.GenericAPIError{Fault: smithy.FaultServer}
	if e.Code != nil {
		api.Code = *e.Code
	}
	if e.Message != nil {
		api.Message = *e.Message
	}
	if e.SenderFault {
		api.Fault = smithy.FaultClient
	}
	return api
}

// permissionMissing: the service knows the caller and does not let it make
// this call. Missing, wrong or expired credentials are another matter.
func permissionMissing(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch jsonCode(api.ErrorCode()) {
	case "AccessDenied", "AccessDeniedException", "NotAuthorized":
		return true
	}
	return false
}
