#!/bin/sh
# Fails, naming the files, if a Go file is not as gofumpt writes it.
set -eu
files=$(go tool -modfile=tools/go.mod gofumpt -l .)
test -z "$files" || {
	printf 'not formatted; run "make fmt":\n%s\n' "$files" >&2
	exit 1
}
