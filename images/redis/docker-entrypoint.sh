#!/bin/sh
# Flags alone mean redis-server; root gives itself up.
set -e
case ${1:-} in -*) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
	# the official build has no protected mode: the container's network is the wall
	set -- "$@" --protected-mode no
	if [ "$(id -u)" = 0 ]; then
		find . \! -user redis -exec chown redis '{}' +
		exec setpriv --reuid=redis --regid=redis --init-groups "$@"
	fi
fi
exec "$@"
