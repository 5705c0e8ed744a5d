package oslo

import (
	"strconv"
	"strings"
)

// DefaultVersion is the version of a request or endpoint that names none.
const DefaultVersion = "1.0"

// Compatible reports whether what implements one version may answer a request
// for another: the same major part, and a minor and revision that are not
// higher. A version is two or three numbers with dots; anything else is
// compatible with nothing.
func Compatible(implemented, requested string) bool {
	have, ok := parseVersion(implemented)
	if !ok {
		return false
	}
	want, ok := parseVersion(requested)
	switch {
	case !ok || want[0] != have[0]:
		return false
	case want[1] != have[1]:
		return want[1] < have[1]
	default:
		return want[2] <= have[2]
	}
}

func parseVersion(s string) (v [3]uint64, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > len(v) {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
