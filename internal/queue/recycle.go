package queue

// maxSpare bounds what an engine keeps of the memory of messages that are gone.
const maxSpare = 1024

// newMsg is an empty message. Taking the memory of one that has left halves the
// cost of a message that comes and goes, and spares the collector a walk
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

// recycle is for a message that has left its queue, and that nothing refers to
// any more. What its sender gave is let go of.
func (e *Engine) recycle(m *msg) {
	if len(e.spare) < maxSpare {
		*m = msg{}
		e.spare = append(e.spare, m)
	}
}
