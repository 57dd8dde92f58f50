package main

import (
	"bytes"
	_ "embed"
	"io"
	"os"
)

// sample is a few hundred orders: some repeated, some that fail once, one that
// always fails (a poison message), one for an item without a price, and one
// line that is not an order.
//
//go:embed orders.ndjson
var sample []byte

// openInput opens what -in names: nothing is the sample.
func openInput(name string, stdin io.Reader) (io.ReadCloser, error) {
	switch name {
	case "":
		return io.NopCloser(bytes.NewReader(sample)), nil
	case "-":
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}
