package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseOrder(t *testing.T) {
	const rest = `"item":"x","quantity":1}`
	tests := []struct{ line, want string }{
		{`{"id":"1","customer":"c",` + rest, ""},
		{`{"id":"1","customer":"c","unknown":{},` + rest, ""},
		{`{"id":"1","customer":"c",` + rest + "x", "not an order in JSON"},
		{`{"id":1,"customer":"c",` + rest, "not an order in JSON"},
		{`null`, `id ""`},
		{`{"customer":"c",` + rest, `id ""`},
		{`{"id":"a b","customer":"c",` + rest, `id "a b"`},
		{`{"id":"` + strings.Repeat("1", 129) + `","customer":"c",` + rest, "1 to 128 ASCII"},
		{`{"id":"1","customer":"é",` + rest, `customer "é"`},
		{`{"id":"1","customer":"c","quantity":1}`, "no item"},
		{`{"id":"1","customer":"c","item":"x"}`, "quantity 0"},
		{"{\"id\":\"1\",\"customer\":\"\xff\"," + rest, "not UTF-8"},
	}
	for _, test := range tests {
		_, err := parseOrder([]byte(test.line))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.line, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %s", test.line, err, test.want)
		}
	}
}

func FuzzParseOrder(f *testing.F) {
	for line := range bytes.Lines(sample) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		o, err := parseOrder(line)
		if err == nil && (o.ID == "" || o.Customer == "" || o.Item == "" || o.Quantity < 1 || !bytes.Equal(o.body, line)) {
			t.Errorf("%q became %+v", line, o)
		}
	})
}

func TestReadOrders(t *testing.T) {
	const order = `{"id":"1","customer":"c","item":"x","quantity":1}`
	long := strings.Replace(order, "}", `,"note":"`+strings.Repeat("é", 1<<20)+`"}`, 1)
	in, err := readOrders(t.Context(), strings.NewReader(order+"\r\n\n  \n"+long+"\nx\n"+order))
	if err != nil || len(in.orders) != 3 || len(in.malformed) != 1 || in.malformed[0].line != 5 {
		t.Errorf("got %d orders, malformed %v, error %v; want 3 orders, line 5 malformed", len(in.orders), in.malformed, err)
	}

	broken := errors.New("disk on fire")
	in, err = readOrders(t.Context(), io.MultiReader(strings.NewReader(order+"\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(in.orders) != 1 {
		t.Errorf("got %d orders, error %v; want one order and %v", len(in.orders), err, broken)
	}
}

// What was read before an interrupt counts, although the input goes on.
func TestReadOrdersInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer func() { _ = w.Close() }() // ends the Read that is left
	go func() {
		_, _ = io.WriteString(w, `{"id":"1","customer":"c","item":"x","quantity":1}`+"\n")
		_, _ = io.WriteString(w, "\n") // is read once the order has been taken
		cancel()
	}()
	in, err := readOrders(ctx, r)
	if err != nil || len(in.orders) != 1 {
		t.Errorf("got %d orders, error %v; want one order", len(in.orders), err)
	}
}

// The sample has what the story needs.
func TestSample(t *testing.T) {
	in, err := readOrders(t.Context(), bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	seen, last := map[string]bool{}, map[string]string{}
	repeats, unpriced, foreign := 0, 0, 0
	fails := map[string]int{}
	for _, o := range in.orders {
		if seen[o.ID] {
			repeats++
		} else {
			fails[o.Fails]++
		}
		seen[o.ID] = true
		last[o.Customer] = o.ID
		if _, known := catalogue[o.Item]; !known {
			unpriced++
		}
		if strings.IndexFunc(o.Name, func(r rune) bool { return r > 0x7f }) >= 0 {
			foreign++
		}
	}
	if len(in.malformed) != 1 || repeats != 4 || unpriced != 1 || fails["once"] != 3 || fails["always"] != 1 {
		t.Errorf("malformed %v, %d repeats, %d unpriced, fails %v", in.malformed, repeats, unpriced, fails)
	}
	if len(in.orders) < 300 || len(last) < 20 || foreign < 100 {
		t.Errorf("%d orders of %d customers, %d with names beyond ASCII: want more variety", len(in.orders), len(last), foreign)
	}
}
