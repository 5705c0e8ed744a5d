#!/bin/sh
# Runs every fuzz target of the packages, one after the other, and ends with a
# table of them.
#
#   scripts/fuzz.sh [TIME [PACKAGE...]]    TIME for each, 10s unless given; ./... unless given
#
# It fails if a target does. GOMAXPROCS says how many workers a target gets.
# Making an input smaller takes 5s at most, rather than all the time there is. Go puts
# the one that failed into testdata/fuzz of the package, where plain
# "go test" runs it again.
set -eu
time=${1:-10s}
[ $# -eq 0 ] || shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go list -f '{{$p := .ImportPath}}{{range .TestGoFiles}}{{$p}} {{$.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$p}} {{$.Dir}}/{{.}}
{{end}}' "${@:-./...}" >"$dir/files"
: >"$dir/table"
module=$(go list -m)
bad=0
while read -r package file; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== $package $target"
		result=pass
		# The result of a pipe is that of its last command, hence the file.
		{ go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$package" 2>&1 || : >"$dir/failed"; } | tee "$dir/out"
		if [ -e "$dir/failed" ]; then
			rm "$dir/failed"
			result=FAIL bad=1
		fi
		awk -v name="${package#"$module/"} $target" -v result="$result" '
			/execs: /           { execs = $0; sub(/.*execs: /, "", execs); sub(/ .*/, "", execs) }
			/new interesting: / { new = $0; sub(/.*new interesting: /, "", new); sub(/ .*/, "", new) }
			END { printf "%-48s %10s %10s  %s\n", name, execs, new, result }' "$dir/out" >>"$dir/table"
	done
done <"$dir/files"
printf '\n%-48s %10s %10s  %s\n' target execs "new inputs" result
cat "$dir/table"
exit $bad
