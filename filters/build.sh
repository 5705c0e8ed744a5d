#!/bin/sh
# Builds every filter module of this directory, or those named, next to its
# sources, or below the directory that OUT names. Building all in place also
# writes their SHA-256 sums, with the versions of the tools, to SHA256SUMS.
# The same sources and toolchain give the same bytes on every machine.
#
#   filters/build.sh                       build all in place
#   OUT=/tmp/x filters/build.sh            build all below /tmp/x
#   filters/build.sh stock/content-router  build one in place
#   filters/build.sh --tools               print the tools' versions
#
# Needs clang, wasm-ld and wat2wasm (Debian: clang lld wabt) and Go.
set -eu
cd "$(dirname "$0")"
out=${OUT:-.}
all="stock/cbor stock/content-router stock/context-packer stock/deduplicator stock/hmac stock/json-schema stock/messagepack stock/oslo-router stock/rate-limiter stock/rewrite stock/sampler demo/loop demo/trap demo/hungry demo/deep"
CLANG=${CLANG:-clang} WASM_LD=${WASM_LD:-wasm-ld} WAT2WASM=${WAT2WASM:-wat2wasm}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Two steps, because a one-step link would run whatever wasm-opt is in PATH. The
# stack comes first in memory, so that running over it traps instead of writing
# into data.
build_c() { # sources, module
	"$CLANG" --target=wasm32 -std=c11 -O2 -mbulk-memory -msign-ext -mnontrapping-fptoint \
		-ffreestanding -fno-ident -Wall -Wextra -Werror -I sdk/c -I shared -c "$1" -o "$tmp/f.o"
	"$WASM_LD" --no-entry --strip-all --stack-first -z stack-size=32768 -o "$2" "$tmp/f.o"
}

build_go() { # package directory, module
	CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm GOFLAGS= GOWASM= GOTOOLCHAIN=local go build \
		-buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$2" "./$1"
}

build() { # directory of the filter
	name=${1##*/}
	mkdir -p "$out/$1"
	module=$out/$1/$name.wasm
	if [ -f "$1/src/main.go" ]; then
		build_go "$1/src" "$module"
	elif [ -f "$1/$name.wat" ]; then
		"$WAT2WASM" -o "$module" "$1/$name.wat"
	else
		build_c "$1/src/"*.c "$module"
	fi
}

tools() {
	echo "# clang: $("$CLANG" --version | head -n 1)"
	echo "# lld: $("$WASM_LD" --version | head -n 1)"
	echo "# wat2wasm: $("$WAT2WASM" --version)"
	echo "# go: $(go env GOVERSION)"
}

if [ "${1:-}" = --tools ]; then
	tools
	exit
fi

for dir in ${*:-$all}; do
	build "$dir"
done

sums() {
	for dir in $all; do
		(cd "$out" && sha256sum "$dir/${dir##*/}.wasm")
	done
}

if [ $# -eq 0 ] && [ "$out" = . ]; then
	{
		echo "# Built by filters/build.sh. A test builds again and compares."
		tools
		sums
	} >"$tmp/sums"
	mv "$tmp/sums" SHA256SUMS
	cat SHA256SUMS
fi
