package keyfile

// ReadWithin is Read with a smaller allowance of hash rounds, so that fuzzing gets on.
func ReadWithin(data []byte, password string, rounds int64) (*File, error) {
	return read(data, password, &budget{rounds})
}
