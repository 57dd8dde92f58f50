package sqsbroker

import (
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// address is where a queue is: its name, and the account where that is not the
// caller's own, or its URL.
type address struct {
	name    string
	account string
	url     string
}

// parseAddress reads a queue's name, URL or ARN. region is the client's, ""
// where it is not known.
func parseAddress(s, region string) (address, error) {
	switch {
	case strings.HasPrefix(s, "https://"), strings.HasPrefix(s, "http://"):
		return parseURL(s)
	case strings.HasPrefix(s, "arn:"):
		return parseARN(s, region)
	}
	if err := sqsrules.CheckName(s); err != nil {
		return address{}, err
	}
	return address{name: s}, nil
}

// parseURL does not look at the host or the account: the client's endpoint
// decides where the call goes, and the service reads the rest.
func parseURL(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || sqsrules.CheckName(sqsrules.NameOf(s)) != nil {
		return address{}, &broker.FieldError{
			Field: "Subject", Value: s,
			Limit: "a queue's URL ends in its name, as in https://sqs.us-east-1.amazonaws.com/123456789012/orders",
		}
	}
	return address{name: sqsrules.NameOf(s), url: s}, nil
}

func parseARN(s, region string) (address, error) {
	a, err := arn.Parse(s)
	if err != nil || a.Service != "sqs" || sqsrules.CheckName(a.Resource) != nil {
		return address{}, &broker.FieldError{
			Field: "Subject", Value: s,
			Limit: "a queue's ARN, as in arn:aws:sqs:us-east-1:123456789012:orders",
		}
	}
	if region != "" && a.Region != "" && a.Region != region {
		return address{}, &broker.FieldError{
			Field: "Subject", Value: s,
			Limit: "a queue of the client's region, " + region + "; make a Broker for each region",
		}
	}
	return address{name: a.Resource, account: a.AccountID}, nil
}
