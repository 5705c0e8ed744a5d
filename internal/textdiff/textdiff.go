// Package textdiff shows where texts differ.
package textdiff

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Lines shows two texts line by line, with their longest common part in common:
// what only want has after -, what only got has after +.
func Lines(want, got string) string {
	a, b := lines(want), lines(got)
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if line == other {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out bytes.Buffer
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			fmt.Fprintf(&out, "    %s\n", a[i])
			i++
			j++
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "  - %s\n", a[i])
			i++
		default:
			fmt.Fprintf(&out, "  + %s\n", b[j])
			j++
		}
	}
	return out.String()
}

// lines cuts a text; more than a thousand lines become one, for what is compared
// grows with their square.
func lines(s string) []string {
	s = strings.TrimSuffix(s, "\n")
	if strings.Count(s, "\n") > 1000 {
		return []string{s}
	}
	return strings.Split(s, "\n")
}
