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

// address reads what a caller gave. A URL of another region would be taken for
// the queue of that name in the client's.
func (b *Broker) address(s string) (address, error) {
	at, err := parseAddress(s, b.region)
	if err != nil || at.url == "" || b.urlRegion == "" {
		return at, err
	}
	if region := regionOf(at.url); region != "" && region != b.urlRegion {
		return address{}, elsewhere(s, b.urlRegion)
	}
	return at, nil
}

// regionOf is the region of a queue's URL, "" if it does not tell, as with an
// endpoint that is not AWS's own.
func regionOf(queueURL string) string {
	u, err := url.Parse(queueURL)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	for _, domain := range []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"} {
		name, here := strings.CutSuffix(host, domain)
		first, last, _ := strings.Cut(name, ".")
		switch {
		case !here:
		case first == "sqs" || first == "sqs-fips":
			return last
		case last == "queue": // as URLs were in the early years
			return first
		}
	}
	return ""
}

func elsewhere(s, region string) error {
	return &broker.FieldError{
		Field: "Subject", Value: s,
		Limit: "a queue of the client's region, " + region + "; make a Broker for each region",
	}
}

// parseURL does not look at the account: the client's endpoint decides where the
// call goes, and the service reads the rest.
func parseURL(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || sqsrules.CheckName(sqsrules.NameOf(s)) != nil {
		return address{}, &broker.FieldError{
			Field: "Subject", Value: s,
			Limit: "a queue's URL, which ends in its name, as in https://sqs.us-east-1.amazonaws.com/123456789012/orders",
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
		return address{}, elsewhere(s, region)
	}
	return address{name: a.Resource, account: a.AccountID}, nil
}
