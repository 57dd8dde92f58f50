// Package subject knows the subjects of NATS: which are legal, what a wildcard
// matches, and who of many subscribers is to have a message.
//
// A subject is a row of tokens separated by dots. In what is subscribed to, the
// token * stands for exactly one token, and > as the last token for one or
// more. A * or > within a longer token means itself.
//
// The checks are stricter than the server where the server's answer would hurt:
// it closes the connection for good when a pattern has a > before its end or a
// subject is too long, and it drops in silence what is published to a subject
// with an empty token.
package subject
