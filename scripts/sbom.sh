#!/bin/sh
# Writes what a built program is made of to FILE, as CycloneDX in JSON: the Go
# modules with their versions and sums, as the program itself names them. What
# filters are built into it is in filters/SHA256SUMS.
#
#   scripts/sbom.sh PROGRAM FILE
set -eu
mkdir -p "$(dirname "$2")"
program=$(realpath "$1") file=$(realpath "$2")
cd "$(dirname "$0")/.."
go tool -modfile=tools/go.mod cyclonedx-gomod bin -json -noserial -output "$file" "$program"
