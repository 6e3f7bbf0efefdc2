#!/bin/sh
# Our registry answers as Debian's docker-registry does: the same requests to both, on the loopback of a network of our own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in docker-registry python3 unshare; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
[ -n "${INSIDE:-}" ] || exec env INSIDE=1 unshare -n sh -c 'ip link set lo up && exec sh "$0"' "$0"
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
theirs='' ours=''
tidy() {
	for process in $theirs $ours; do kill "$process" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cat >"$work/config.yml" <<END
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: $work/theirs
  delete:
    enabled: true
http:
  addr: 127.0.0.1:5001
END
docker-registry serve "$work/config.yml" >"$work/theirs.log" 2>&1 &
theirs=$!
$MINIDOCK registry serve --quiet --root "$work/ours" --listen 127.0.0.1:5000 >"$work/ours.log" 2>&1 &
ours=$!
there() { python3 -c "import socket; socket.create_connection(('127.0.0.1', $1))" 2>/dev/null; }
for _ in $(seq 100); do there 5000 && there 5001 && break; sleep 0.1; done
python3 "$here/registry.py" 5001 5000
