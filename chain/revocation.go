package chain

type evidence struct{}
type status struct{}

func (t *task) revocation(path []*node, o *outcome) {}

// A Revocation says how revocation is judged.
type Revocation struct {
	InsecureOff, AllowUnknown, RequireAll bool
	CRLs, OCSP                            [][]byte
}
