#!/bin/sh
# After installing or upgrading, with dpkg or rpm. The service is not started: it
# has no routes yet. One that runs goes on with the new program.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart router.service
fi
