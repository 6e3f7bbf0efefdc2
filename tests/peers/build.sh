#!/bin/sh
# The classic builder of a real Docker Engine and ours, by the same unmodified client, on a table of Dockerfiles: the same files, the
# same configuration, the same history, and `Using cache` in the same places. RUN_ONLY=name picks one.
set -eu
for peer in dockerd docker python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
here=$PWD/tests/peers
image=${IMAGE:-$PWD/target/images/alpine.tar}
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
daemon='' engine=''
tidy() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	[ -z "$engine" ] || kill "$engine" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
unshare -n $MINIDOCK daemon --data-root "$work/m" --exec-root "$work/mr" -H "unix://$work/m.sock" >m.log 2>&1 &
daemon=$!
unshare -n -m dockerd --data-root "$work/d" --exec-root "$work/dr" --pidfile "$work/d.pid" -H "unix://$work/d.sock" \
	--bridge none --iptables=false --storage-driver overlay2 >d.log 2>&1 &
engine=$!
for _ in $(seq 100); do [ -S m.sock ] && docker -H "unix://$work/d.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
for side in m d; do
	docker -H "unix://$work/$side.sock" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$image" alpine >/dev/null
done
python3 "$here/build.py" "unix://$work/m.sock" "unix://$work/d.sock" "$here/build.table" ${RUN_ONLY:-}
