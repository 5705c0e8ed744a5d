#!/bin/sh
# Builds a filter in WebAssembly text: build.sh SOURCE MODULE.
set -eu
sed -e "/^ *;; ROUTER SDK\$/{r ${0%/*}/../router.wat" -e 'd}' "$1" >"$2.wat"
wat2wasm -o "$2" "$2.wat"
