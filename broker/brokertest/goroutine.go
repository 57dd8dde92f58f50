package brokertest

import (
	"runtime"
	"strings"
)

// goroutines are the stacks of those that there are, by id.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if id, _, ok := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " "); ok {
			stacks[id] = stack
		}
	}
	return stacks
}

// pools are what keeps connections of a client that the harness made: they come
// and go on their own.
var pools = []string{"net/http.(*persistConn)", "net/http.(*conn)", "net/http.(*connReader)", "net/http.(*Transport)"}

// leaked are the goroutines that were not there before.
func leaked(before map[string]string) []string {
	var left []string
	for id, stack := range goroutines() {
		if before[id] == "" && !pooled(stack) {
			left = append(left, stack)
		}
	}
	return left
}

func pooled(stack string) bool {
	for _, p := range pools {
		if strings.Contains(stack, p) {
			return true
		}
	}
	return false
}
