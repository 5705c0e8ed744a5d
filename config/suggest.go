package config

import (
	"slices"
	"strings"
)

// nearest returns the name most like the given one: within two edits, and not
// more than half of it.
func nearest(name string, known []string) string {
	best, found := 3, ""
	plain := func(s string) []rune {
		s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
		return []rune(s[:min(len(s), 256)])
	}
	for _, k := range known {
		if d := distance(plain(name), plain(k)); d < best && 2*d <= max(len(name), 2) {
			best, found = d, k
		}
	}
	return found
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b []rune) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows = [3][]int{above, row, before}
	}
	return rows[1][len(b)]
}

// didYouMean is a hint: the nearest name, or else all of them if they are not
// too many.
func didYouMean(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "did you mean " + quote(near) + "?"
	}
	if len(known) == 0 || len(known) > 24 {
		return ""
	}
	known = slices.Clone(known)
	for i := range known {
		known[i] = quote(known[i])
	}
	return "known: " + strings.Join(known, ", ")
}
