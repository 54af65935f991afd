package calendar

import (
	"encoding/json"
	"fmt"
)

// MarshalJSON writes the set as a list of half-open pairs of partition numbers: [[19000,19060],[19070,19071]].
func (s Set) MarshalJSON() ([]byte, error) {
	pairs := make([][2]Partition, len(s.ivs))
	for i, iv := range s.ivs {
		pairs[i] = [2]Partition{iv.Start, iv.End}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads what MarshalJSON writes; pairs may come in any order, overlap and be empty.
func (s *Set) UnmarshalJSON(text []byte) error {
	var pairs [][2]Partition
	if err := json.Unmarshal(text, &pairs); err != nil {
		return fmt.Errorf("a set of partitions is a list of pairs: %w", err)
	}
	ivs := make([]Interval, len(pairs))
	for i, p := range pairs {
		ivs[i] = Interval{p[0], p[1]}
	}
	*s = NewSet(ivs...)
	return nil
}
