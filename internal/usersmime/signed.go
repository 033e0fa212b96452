package usersmime

import (
	"fmt"

	"github.com/postseal/postseal/internal/bundle"
)

func parseSigned(value []byte) (found []Found, warnings []error, err error) {
	b, err := bundle.Parse(value)
	if err != nil {
		return nil, nil, fmt.Errorf("usersmime: SignedData: %w", err)
	}
	for _, c := range b.Certificates {
		found = append(found, Found{Certificate: c, Chain: c.IsCA})
	}
	return found, b.Warnings, nil
}
