package chain

// maxFetches bounds the fetches one question may make.
const maxFetches = 8

func (t *task) fetchStatus(s *status, path []*node, i int) {}
