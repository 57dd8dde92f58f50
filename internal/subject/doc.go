// Package subject implements the subjects of NATS: which are legal, what a
// wildcard matches, and which subscribers should receive a message.
//
// A subject is a sequence of tokens separated by dots. In a pattern to
// subscribe to, the token * stands for exactly one token, and > as the last
// token for one or more. A * or > within a longer token is literal.
//
// The checks are stricter than the server where the server's reaction would be
// harmful: it closes the connection for good when a pattern has a > before its
// end or a subject is too long, and it silently drops messages published to a
// subject with an empty token.
package subject
