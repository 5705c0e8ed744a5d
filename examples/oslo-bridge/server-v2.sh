#!/bin/sh
# A server of version 2: create(server = {name, ram_mb}) returns what it made.
set -eu
case $ROUTER_METHOD in
create) printf '{"server": {"id": "s-1", "asked": %s}}\n' "$(cat)" ;;
*)
	echo "no method $ROUTER_METHOD" >&2
	exit 1
	;;
esac
