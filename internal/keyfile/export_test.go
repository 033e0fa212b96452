package keyfile

import "golang.org/x/crypto/cryptobyte"

// ReadWithin is Read with a smaller allowance of hash rounds, so that fuzzing gets on.
func ReadWithin(data []byte, password string, rounds int64) (*File, error) {
	return read(data, password, &budget{rounds})
}

// Decrypt decrypts what a password protects, by an AlgorithmIdentifier such as that of
// PBES2.
func Decrypt(algorithmID, ciphertext []byte, password string) ([]byte, error) {
	s := cryptobyte.String(algorithmID)
	a, ok := readAlgorithm(&s)
	if !ok || !s.Empty() {
		return nil, malformed("AlgorithmIdentifier")
	}
	return decrypt(a, ciphertext, newSecret(password), newBudget())
}
