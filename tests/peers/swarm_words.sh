#!/bin/sh
# The words of a swarm, by docker's own client and by ours, at one real Docker Engine: the same statuses, tables, pages, JSON and refusals.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in dockerd docker python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
image=${IMAGE:-$PWD/target/images/alpine.tar}
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
engine=''
tidy() {
	docker -H "unix://$work/d.sock" swarm leave --force >/dev/null 2>&1 || true
	[ -z "$engine" ] || kill "$engine" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
unshare -n -m sh -c "ip link set lo up; mount -t tmpfs tmpfs /run; exec dockerd --data-root $work/d --exec-root $work/dr --pidfile $work/d.pid -H unix://$work/d.sock" >d.log 2>&1 &
engine=$!
for _ in $(seq 100); do docker -H "unix://$work/d.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
docker -H "unix://$work/d.sock" import -c 'CMD ["sh"]' "$image" alpine:latest >/dev/null
docker -H "unix://$work/d.sock" swarm init --advertise-addr 127.0.0.1 >/dev/null
python3 "$here/swarm_words.py" "unix://$work/d.sock" "$here/swarm_words.table"
