#!/bin/sh
# Builds the program a second time, from a copy of the sources in another
# directory, and fails if the result is another one. Nothing is kept from other
# builds, so that it takes a minute or two; --quick compiles only what it must.
#
#   scripts/reproducible.sh [--quick] [PROGRAM]    bin/router, as "make build" made it, unless given
set -eu
quick=
if [ "${1:-}" = --quick ]; then
	quick=yes
	shift
fi
program=${1:-bin/router}
version=$("$program" version | sed -n 's/^router \([^,]*\),.*/\1/p')
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$copy"
cp -a .git "$copy" # for the commit, which the program names
test "$quick" || export GOCACHE="$copy/.cache"
make -s -C "$copy" build VERSION="$version"
first=$(sha256sum <"$program") second=$(sha256sum <"$copy/bin/router")
if [ "$first" != "$second" ]; then
	echo "$program is not reproducible: ${first%% *} here, ${second%% *} from a copy" >&2
	exit 1
fi
echo "${first%% *}  $program, twice"
