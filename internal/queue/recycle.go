package queue

// maxSpare bounds how many messages' memory an engine keeps for reuse.
const maxSpare = 1024

// newMsg returns an empty message. Reusing the memory of one that has left
// halves the cost of a short-lived message, and spares the collector a walk
// through a long backlog.
func (e *Engine) newMsg() *msg {
	last := len(e.spare) - 1
	if last < 0 {
		return new(msg)
	}
	m := e.spare[last]
	e.spare = e.spare[:last]
	return m
}

// recycle takes a message that has left its queue and that nothing refers to
// any more. It drops the references to the sender's data.
func (e *Engine) recycle(m *msg) {
	if len(e.spare) < maxSpare {
		*m = msg{}
		e.spare = append(e.spare, m)
	}
}
