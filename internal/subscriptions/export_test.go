package subscriptions

// Len is the number of subscriptions that the Set keeps.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs)
}
