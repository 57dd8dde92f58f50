package stream

import "testing"

func TestOverlap(t *testing.T) {
	for _, test := range []struct {
		p, q string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a.*", "a.b", true},
		{"a.*", "*.b", true},
		{"a.*", "b.*", false},
		{"a.>", "a", false},
		{"a.>", "a.b.c", true},
		{"a.>", "*.b", true},
		{">", "a.b", true},
		{"a.*", "a.b.c", false},
		{"*.*", "a.>", true},
		{"a.*.c", "a.b.*", true},
		{"a.*.c", "a.b.d", false},
	} {
		if got := Overlap([]string{test.p}, []string{test.q}); got != test.want {
			t.Errorf("%s, %s: got %v", test.p, test.q, got)
		}
		if got := OverlapWithin([]string{test.q, test.p}); got != test.want {
			t.Errorf("%s, %s, the other way: got %v", test.p, test.q, got)
		}
	}
}
