#!/bin/sh
# Runs what lies in /docker-entrypoint.d, as the official image does, then the program.
set -e
if [ "$1" = nginx ]; then
	for script in /docker-entrypoint.d/*.sh; do
		[ -x "$script" ] || continue
		echo "$0: Launching $script" >&2
		"$script"
	done
	echo "$0: Configuration complete; ready for start up" >&2
fi
exec "$@"
