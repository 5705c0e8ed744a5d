#!/bin/sh
# Builds a filter in Rust: build.sh SOURCE MODULE. The compiler, which --rustc
# prints, is the first in PATH that has the library for WebAssembly. SDK_FLAGS are
# more flags for the SDK.
set -eu
target=wasm32-unknown-unknown
has_target() {
	[ -x "$1" ] && [ -d "$("$1" --print target-libdir --target $target 2>/dev/null)" ]
}
rustc=
IFS=:
for dir in $PATH; do
	has_target "$dir/rustc" && rustc=$dir/rustc && break
done
unset IFS
[ -n "$rustc" ] || {
	echo "no rustc in PATH has the target $target: scripts/deps.sh test installs one" >&2
	exit 1
}
if [ "$1" = --rustc ]; then
	echo "$rustc"
	exit
fi
sdk=${0%/*}/../src/lib.rs
lib=${2%/*}/librouter_filter.rlib
flags="--edition 2021 --target $target -O -C panic=abort -C target-feature=+bulk-memory -D warnings --remap-path-prefix $PWD=."
# shellcheck disable=SC2086
"$rustc" $flags ${SDK_FLAGS:-} --crate-type rlib --crate-name router_filter -o "$lib" "$sdk"
# shellcheck disable=SC2086
"$rustc" $flags --crate-type cdylib --crate-name filter -C lto=fat -C strip=symbols -C link-arg=-zstack-size=65536 \
	--extern router_filter="$lib" -o "$2" "$1"
