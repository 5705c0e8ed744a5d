#!/bin/sh
# Looks the packages that the router and its tools' tests are built from, and
# the built program if there is one, up in Go's vulnerability database. Fails if
# one of them has a known vulnerability that is reached, or if the database
# cannot be; GOVULNDB names a copy of it, such as file:///srv/vulndb.
set -u
check() {
	go tool -modfile=tools/go.mod govulncheck "$@" >"$out" 2>&1 && cat "$out" && return
	cat "$out" >&2
	if grep -q 'fetching vulnerabilities' "$out"; then
		echo "vuln: nothing was checked: the vulnerability database cannot be reached; try where it can, or set GOVULNDB to a copy of it" >&2
	fi
	exit 1
}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
check ./...
test ! -f bin/router || check -mode binary bin/router
