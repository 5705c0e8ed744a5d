//go:build !wasip1

package filter

// ReadHeader returns the length of a header's value, or -1.
func ReadHeader(name string, b []byte) int {
	v, ok := message.Header(name)
	if !ok {
		return -1
	}
	if len(v.Raw) <= len(b) {
		copy(b, v.Raw)
	}
	return len(v.Raw)
}
