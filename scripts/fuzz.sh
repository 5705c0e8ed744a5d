#!/bin/sh
# Runs every fuzz target of the module, one after the other.
#
#   scripts/fuzz.sh [TIME]    TIME for each, 10s unless given
set -eu
time=${1:-10s}
for dir in $(go list -f '{{.Dir}}' ./...); do
	for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "== $dir $target"
		(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" .)
	done
done
