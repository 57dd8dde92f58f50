package subject_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/candidmq/candidmq/internal/subject"
)

var matches = []struct {
	pattern, subject string
	want             bool
}{
	{"a", "a", true},
	{"a", "b", false},
	{"a", "ab", false},
	{"ab", "a", false},
	{"a", "a.b", false},
	{"a.b", "a", false},
	{"a.b", "a.b", true},
	{"*", "a", true},
	{"*", "a.b", false},
	{"*.b", "a.b", true},
	{"a.*", "a", false},
	{"a.*", "a.b", true},
	{"a.*", "a.b.c", false},
	{"a.*.c", "a.b.c", true},
	{"a.*.c", "a.b.d", false},
	{"*.*", "a.b", true},
	{">", "a", true},
	{">", "a.b.c", true},
	{">", "_INBOX.x", true},
	{"a.>", "a", false},
	{"a.>", "a.b", true},
	{"a.>", "a.b.c", true},
	{"a.>", "b.c", false},
	{"*.b.>", "a.b.c", true},
	{"*.b.>", "a.b", false},
	{"*.*.>", "a.b.c.d", true},
	{"a*.b", "a*.b", true},
	{"a*.b", "ax.b", false},
	{"a>", "a>", true},
	{"a.>>", "a.b", false},
}

func TestMatch(t *testing.T) {
	for _, tt := range matches {
		if got := subject.Match(tt.pattern, tt.subject); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.subject, got, tt.want)
		}
	}
}

// The index finds what Match matches, and the server matches the same.
func TestAgreement(t *testing.T) {
	var x subject.Index[string]
	var patterns, subjects []string
	for _, m := range matches {
		patterns = append(patterns, m.pattern)
		subjects = append(subjects, m.subject)
	}
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	for _, p := range patterns {
		x.Add(p, p)
	}
	for _, s := range subjects {
		var want []string
		for _, p := range patterns {
			match := subject.Match(p, s)
			if match {
				want = append(want, p)
			}
			if server.SubjectMatchesFilter(s, p) != match {
				t.Errorf("Match(%q, %q) = %v, and the server has it otherwise", p, s, match)
			}
		}
		got := x.Lookup(s, nil)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("Lookup(%q) = %q, Match says %q", s, got, want)
		}
	}
}

func TestIndexAddRemove(t *testing.T) {
	for _, pattern := range []string{"a.b", "a.*", "*.b", "a.>", ">", "*.*"} {
		t.Run(pattern, func(t *testing.T) {
			var x subject.Index[int]
			want := func(ids ...int) {
				t.Helper()
				if got := x.Lookup("a.b", nil); !slices.Equal(got, ids) {
					t.Errorf("got %v, want %v", got, ids)
				}
			}
			want()
			if x.Remove(pattern, 1) {
				t.Error("removed what was not there")
			}
			for _, v := range []int{1, 2, 3, 2} {
				x.Add(pattern, v)
			}
			want(1, 2, 3, 2)
			if !x.Remove(pattern, 2) {
				t.Error("not removed")
			}
			want(1, 3, 2)
			if x.Remove(pattern, 7) || x.Remove("b.>", 1) || x.Remove("x", 1) {
				t.Error("removed what was not there")
			}
			for _, v := range []int{3, 1, 2} {
				if !x.Remove(pattern, v) {
					t.Error("not removed")
				}
			}
			want()
			if !x.Empty() {
				t.Error("something is left")
			}
		})
	}
}

func TestLookupAppends(t *testing.T) {
	var x subject.Index[int]
	x.Add("a", 2)
	x.Add("*", 3)
	into := make([]int, 1, 8)
	into[0] = 1
	got := x.Lookup("a", into)
	if !slices.Equal(got, []int{1, 2, 3}) || &got[0] != &into[0] {
		t.Errorf("got %v, in place: %v", got, &got[0] == &into[0])
	}
	if n := testing.AllocsPerRun(100, func() { x.Lookup("a", into[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// naive is Match, in its shortest form.
func naive(pattern, s string) bool {
	ps, ss := strings.Split(pattern, "."), strings.Split(s, ".")
	if last := len(ps) - 1; ps[last] == ">" && len(ss) >= len(ps) {
		ps, ss = ps[:last], ss[:last]
	}
	return slices.EqualFunc(ps, ss, func(p, s string) bool { return p == s || p == "*" })
}

// FuzzIndex has several patterns, separated by spaces, and a subject.
func FuzzIndex(f *testing.F) {
	f.Add("a.* a.b *.> > a.b", "a.b")
	f.Add("*.* a.>.b x", "a.b.c")
	f.Add("", "")
	for _, m := range matches {
		f.Add(m.pattern, m.subject)
	}
	f.Fuzz(func(t *testing.T, patterns, s string) {
		if subject.CheckPublish(s) != nil {
			return
		}
		if err := subject.CheckSubscribe(s); err != nil {
			t.Fatalf("%q may be published to and not be subscribed to: %v", s, err)
		}
		var x subject.Index[string]
		var added, want []string
		for p := range strings.SplitSeq(patterns, " ") {
			if subject.CheckSubscribe(p) != nil {
				continue
			}
			added = append(added, p)
			x.Add(p, p)
			match := subject.Match(p, s)
			if match != naive(p, s) {
				t.Fatalf("Match(%q, %q) = %v", p, s, match)
			}
			if match {
				want = append(want, p)
			}
		}
		got := x.Lookup(s, nil)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("Lookup(%q) = %q, Match says %q", s, got, want)
		}
		for _, p := range added {
			if !x.Remove(p, p) {
				t.Fatalf("%q is not there to be removed", p)
			}
		}
		if !x.Empty() {
			t.Fatalf("something is left of %q", added)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	const n = 10_000
	for _, bb := range []struct{ name, pattern string }{
		{"literal", "orders.placed.%d"},
		{"star", "orders.*.%d"},
		{"tail", "orders.placed.%d.>"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var x subject.Index[int]
			subjects := make([]string, n)
			for i := range subjects {
				x.Add(fmt.Sprintf(bb.pattern, i), i)
				subjects[i] = "orders.placed." + strconv.Itoa(i)
				if bb.name == "tail" {
					subjects[i] += ".x"
				}
			}
			into := make([]int, 0, 4)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if got := x.Lookup(subjects[i%n], into); len(got) != 1 {
					b.Fatal(got)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		if !subject.Match("orders.*.eu.>", "orders.placed.eu.1.2") {
			b.Fatal("no match")
		}
	}
}
