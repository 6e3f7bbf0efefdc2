#!/bin/sh
# The Engine API of a swarm: the same questions to a real Docker Engine and to minidock, their answers field by field.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in dockerd docker python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
image=${IMAGE:-$PWD/target/images/alpine.tar}
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
theirs='' ours=''
tidy() {
	for socket in d m; do docker -H "unix://$work/$socket.sock" swarm leave --force >/dev/null 2>&1 || true; done
	docker -H "unix://$work/m.sock" ps -aq 2>/dev/null | xargs -r docker -H "unix://$work/m.sock" rm -f >/dev/null 2>&1 || true
	[ -z "$ours" ] || kill "$ours" 2>/dev/null || true
	[ -z "$theirs" ] || kill "$theirs" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
lonely="ip link set lo up; ip link add ul type bridge; ip addr add 192.168.77.1/24 dev ul; ip link set ul up"
unshare -n -m sh -c "$lonely; mount -t tmpfs tmpfs /run; exec dockerd --data-root $work/d --exec-root $work/dr --pidfile $work/d.pid -H unix://$work/d.sock" >d.log 2>&1 &
theirs=$!
unshare -n -m sh -c "$lonely; exec $MINIDOCK daemon --data-root $work/m --exec-root $work/mr --pidfile $work/m.pid -H unix://$work/m.sock" >m.log 2>&1 &
ours=$!
for socket in d m; do
	for _ in $(seq 100); do docker -H "unix://$work/$socket.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
	docker -H "unix://$work/$socket.sock" import -c 'CMD ["sh"]' "$image" alpine:latest >/dev/null
	docker -H "unix://$work/$socket.sock" swarm init --advertise-addr 192.168.77.1 >/dev/null
done
sleep 1
python3 "$here/swarm_api.py" "$work/d.sock" "$work/m.sock"
