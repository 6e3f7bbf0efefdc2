#!/bin/bash
# The first start makes the system tables, the root password and the wished database; every start runs the server as mysql.
set -e
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%S+00:00) [Note] [Entrypoint]: $*"; }
case ${1:-} in -*) set -- mysqld "$@" ;; esac
case $1 in mysqld | mariadbd) ;; *) exec "$@" ;; esac
say "Entrypoint script for MySQL Server (MariaDB stand-in) started."
if [ ! -d /var/lib/mysql/mysql ]; then
	if [ -z "${MYSQL_ROOT_PASSWORD:-}${MYSQL_ALLOW_EMPTY_PASSWORD:-}${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
		echo "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified" >&2
		echo "    You need to specify one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD" >&2
		exit 1
	fi
	if [ -n "${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
		MYSQL_ROOT_PASSWORD=$(head -c 18 /dev/urandom | base64)
		say "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
	fi
	say "Initializing database files"
	chown -R mysql:mysql /var/lib/mysql
	mariadb-install-db --user=mysql --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null
	quoted() { printf '%s' "$1" | sed "s/'/''/g; s/\\\\/\\\\\\\\/g"; }
	{
		echo "ALTER USER 'root'@'localhost' IDENTIFIED BY '$(quoted "${MYSQL_ROOT_PASSWORD:-}")';"
		echo "CREATE USER 'root'@'%' IDENTIFIED BY '$(quoted "${MYSQL_ROOT_PASSWORD:-}")'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
		[ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
		if [ -n "${MYSQL_USER:-}" ]; then
			echo "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$(quoted "${MYSQL_PASSWORD:-}")';"
			[ -z "${MYSQL_DATABASE:-}" ] || echo "GRANT ALL ON \`$MYSQL_DATABASE\`.* TO '$MYSQL_USER'@'%';"
		fi
		for file in /docker-entrypoint-initdb.d/*.sql; do [ ! -f "$file" ] || { [ -z "${MYSQL_DATABASE:-}" ] || echo "USE \`$MYSQL_DATABASE\`;"; cat "$file"; }; done
	} >/tmp/init.sql
	# a server that only this script can reach, for the time of the setting up
	mariadbd --user=mysql --skip-networking --socket=/run/mysqld/init.sock &
	server=$!
	for _ in $(seq 300); do
		mariadb-admin --socket=/run/mysqld/init.sock ping >/dev/null 2>&1 && break
		sleep 0.1
	done
	mariadb --user=root --socket=/run/mysqld/init.sock </tmp/init.sql
	kill "$server"
	wait "$server" || true
	rm -f /tmp/init.sql
	say "MySQL init process done. Ready for start up."
fi
shift
exec mariadbd --user=mysql "$@"
