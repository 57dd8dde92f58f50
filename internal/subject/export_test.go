package subject

// Empty says whether nothing is left in the index.
func (x *Index[T]) Empty() bool { return len(x.literal) == 0 && x.wild == 0 && x.root.empty() }
