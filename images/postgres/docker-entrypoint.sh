#!/bin/bash
# The first start makes the database; every start gives root up and runs the server.
set -e
case ${1:-} in -*) set -- postgres "$@" ;; esac
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /var/run/postgresql
	chown -R postgres:postgres "$PGDATA" /var/run/postgresql
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
user=${POSTGRES_USER:-postgres} db=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	if [ -z "${POSTGRES_PASSWORD:-}" ] && [ -z "${POSTGRES_HOST_AUTH_METHOD:-}" ]; then
		# old stack files give no password, and the images of their time did not ask for one
		echo "WARNING: No password has been set for the database." >&2
		echo "         This will allow anyone with access to the Postgres port to access your database." >&2
		echo "         Use \"-e POSTGRES_PASSWORD=password\" to set it in \"docker run\"." >&2
		POSTGRES_HOST_AUTH_METHOD=trust
	fi
	initdb --username="$user" --auth-local=trust --auth-host="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-x}") -D "$PGDATA"
	echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
	pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
	[ "$db" = postgres ] || createdb -U "$user" "$db"
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) . "$file" ;;
		*.sql) psql -U "$user" -d "$db" -f "$file" ;;
		esac
	done
	pg_ctl -D "$PGDATA" -m fast -w stop
	echo
	echo "PostgreSQL init process complete; ready for start up."
	echo
fi
exec "$@" -c listen_addresses='*'
