package subject

import (
	"slices"
	"strings"
)

// Index finds the values whose patterns match a subject. The zero value is
// empty and ready to use. Lookups may run concurrently with each other, but not
// with Add and Remove.
//
// Patterns without wildcards cost a lookup one map probe, however many there
// are; those with wildcards cost a walk over the matching part of a trie.
type Index[T comparable] struct {
	literal map[string][]T
	root    node[T] // of the patterns with wildcards
	wild    int     // values at them
}

// node is a node of the trie, reached by a sequence of tokens.
type node[T comparable] struct {
	next map[string]*node[T] // by literal token
	any  *node[T]            // by *
	here []T                 // patterns that end here
	rest []T                 // patterns that end with > after here
}

// Add adds a value under a pattern that has passed CheckSubscribe. A pair that
// is added twice is stored twice.
func (x *Index[T]) Add(pattern string, v T) {
	if !hasWildcard(pattern) {
		if x.literal == nil {
			x.literal = make(map[string][]T)
		}
		x.literal[pattern] = append(x.literal[pattern], v)
		return
	}
	x.root.add(pattern, v)
	x.wild++
}

// Remove removes one such pair and reports whether there was one.
func (x *Index[T]) Remove(pattern string, v T) bool {
	if hasWildcard(pattern) {
		removed := x.root.remove(pattern, v)
		if removed {
			x.wild--
		}
		return removed
	}
	values, removed := without(x.literal[pattern], v)
	if len(values) > 0 {
		x.literal[pattern] = values
	} else {
		delete(x.literal, pattern)
	}
	return removed
}

// Lookup appends the values whose patterns match subject, which has passed
// CheckPublish: literal patterns first, and the values of one pattern in the
// order of their Add. It allocates only if into has no room.
func (x *Index[T]) Lookup(subject string, into []T) []T {
	into = append(into, x.literal[subject]...)
	if x.wild > 0 {
		into = x.root.lookup(subject, into)
	}
	return into
}

func (n *node[T]) add(pattern string, v T) {
	token, rest, more := strings.Cut(pattern, ".")
	if token == ">" {
		n.rest = append(n.rest, v)
		return
	}
	child := n.child(token)
	if child == nil {
		child = new(node[T])
		n.setChild(token, child)
	}
	if more {
		child.add(rest, v)
	} else {
		child.here = append(child.here, v)
	}
}

// remove also prunes nodes that have become empty.
func (n *node[T]) remove(pattern string, v T) (removed bool) {
	token, rest, more := strings.Cut(pattern, ".")
	if token == ">" {
		n.rest, removed = without(n.rest, v)
		return removed
	}
	child := n.child(token)
	if child == nil {
		return false
	}
	if more {
		removed = child.remove(rest, v)
	} else {
		child.here, removed = without(child.here, v)
	}
	if child.empty() {
		n.setChild(token, nil)
	}
	return removed
}

func (n *node[T]) lookup(subject string, into []T) []T {
	into = append(into, n.rest...)
	token, rest, more := strings.Cut(subject, ".")
	for _, child := range [...]*node[T]{n.next[token], n.any} {
		switch {
		case child == nil:
		case more:
			into = child.lookup(rest, into)
		default:
			into = append(into, child.here...)
		}
	}
	return into
}

func (n *node[T]) child(token string) *node[T] {
	if token == "*" {
		return n.any
	}
	return n.next[token]
}

// setChild sets a child or, with nil, removes it.
func (n *node[T]) setChild(token string, child *node[T]) {
	switch {
	case token == "*":
		n.any = child
	case child == nil:
		delete(n.next, token)
	default:
		if n.next == nil {
			n.next = make(map[string]*node[T])
		}
		n.next[token] = child
	}
}

func (n *node[T]) empty() bool {
	return len(n.next) == 0 && n.any == nil && len(n.here) == 0 && len(n.rest) == 0
}

// without removes the first v and keeps the order of the others.
func without[T comparable](values []T, v T) ([]T, bool) {
	i := slices.Index(values, v)
	if i < 0 {
		return values, false
	}
	return slices.Delete(values, i, i+1), true
}
