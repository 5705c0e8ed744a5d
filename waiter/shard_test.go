package waiter

import "testing"

// Two ids may have the same hash, though no test lives long enough to see it
// happen by itself.
func TestIDsOfTheSameHashAreToldApart(t *testing.T) {
	ids := []string{"a", "b", "c"}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var s shard[int]
		s.empty()
		for _, id := range ids {
			s.insert(7, &Call[int]{id: id})
		}
		gone := map[string]bool{}
		for _, i := range order {
			s.remove(7, s.find(7, ids[i]))
			gone[ids[i]] = true
			for _, id := range ids {
				if c := s.find(7, id); (c == nil) != gone[id] || c != nil && c.id != id {
					t.Errorf("%v: after removing %s, %s gives %v", order, ids[i], id, c)
				}
			}
		}
		if s.n != 0 || len(s.calls) != 0 {
			t.Errorf("%v: %d left in %v", order, s.n, s.calls)
		}
	}
}
