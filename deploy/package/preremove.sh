#!/bin/sh
# Before removing: dpkg says "remove", rpm says 0; an upgrade is neither.
set -e
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now router.service
	fi
	;;
esac
