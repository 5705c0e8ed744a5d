#!/bin/sh
# Writes what packages have beside the program to DIR: manual pages, compressed as
# packages have them, and completion for bash, zsh and fish.
#
#   scripts/extras.sh DIR [PROGRAM]    without PROGRAM one is built
set -eu
dir=$1
router=${2:-}
if [ -z "$router" ]; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	router=$tmp/router
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=${VERSION:-dev}" -o "$router" ./cmd/router
fi
rm -rf "$dir/man" "$dir/completion"
mkdir -p "$dir/man" "$dir/completion"
"$router" man "$dir/man" >/dev/null
gzip -9 -n "$dir"/man/*
"$router" completion bash >"$dir/completion/router.bash"
"$router" completion zsh >"$dir/completion/_router"
"$router" completion fish >"$dir/completion/router.fish"
