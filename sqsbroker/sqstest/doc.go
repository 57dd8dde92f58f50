// Package sqstest is an Amazon SQS endpoint in the process, for tests.
package sqstest
