#!/bin/sh
# Image archives of other tools are loaded by minidock, and its own by them; the file trees are compared with what umoci unpacks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in skopeo umoci podman buildah dockerd docker python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
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
export MINIDOCK_HOST="unix://$work/m.sock"
unshare -n $MINIDOCK daemon --data-root "$work/m" --exec-root "$work/mr" -H "$MINIDOCK_HOST" >m.log 2>&1 &
daemon=$!
unshare -n -m dockerd --data-root "$work/d" --exec-root "$work/dr" --pidfile "$work/d.pid" -H "unix://$work/d.sock" \
	--bridge none --iptables=false --storage-driver overlay2 >d.log 2>&1 &
engine=$!
real="docker -H unix://$work/d.sock"
for _ in $(seq 100); do [ -S m.sock ] && $real version >/dev/null 2>&1 && break; sleep 0.1; done

# --- an image of three layers with everything that is hard: whiteouts, opaque folders, links, capabilities, odd times, holes
umoci init --layout made
umoci new --image made:hard
layer() { # $1: commands run in the root filesystem
	rm -rf b && umoci unpack --image made:hard b >/dev/null 2>&1
	(cd b/rootfs && eval "$1")
	umoci repack --image made:hard b >/dev/null 2>&1
}
layer 'mkdir -p bin etc usr/lib/x usr/share/zone var/log tmp; cp /bin/busybox bin/; ln bin/busybox bin/sh; ln -s usr/lib lib
	for n in $(seq 300); do echo $n > usr/share/zone/$n; done; echo root > etc/passwd; echo x > usr/lib/x/f; chmod 1777 tmp'
layer 'rm etc/passwd; rm -r usr/share/zone; mkdir usr/share/zone; echo new > usr/share/zone/new; ln bin/busybox bin/ls
	mkdir -p "$(printf "long-%090d/long-%090d" 1 2)"; touch "$(printf "long-%090d/long-%090d/%0200d" 1 2 3)"'
layer 'cp bin/busybox bin/ping; chmod 4755 bin/ping; python3 -c "
import os
os.setxattr(\"bin/ping\", \"security.capability\", bytes.fromhex(\"0100000200200000000000000000000000000000\"))
os.setxattr(\"bin/ping\", \"user.note\", b\"kept\")"
	truncate -s 10M holes; mkfifo fifo; mknod null c 1 3; touch -d "1960-01-01 00:00:00.25" old; chown 2147483653:70000 old; rm -r usr/lib/x'
umoci config --image made:hard --config.cmd /bin/sh
rm -rf theirs && umoci unpack --image made:hard theirs >/dev/null 2>&1

check() { # $1: what was loaded, $2: its name
	lower=$($MINIDOCK image inspect --format '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' "$2")
	mkdir -p seen
	unshare -m sh -c "mount -t overlay overlay -o lowerdir=$lower seen && python3 $here/trees.py seen ${3:-theirs/rootfs}" ||
		{ echo "FAILED: $1 gives another tree"; exit 1; }
	echo "ok: $1"
	$MINIDOCK rmi -f "$2" >/dev/null
}

same() { # $1: what, $2 and $3: what must be equal
	[ "$2" = "$3" ] || { echo "FAILED: $1: $2 is not $3"; exit 1; }
	echo "ok: $1"
}

loaded() { $MINIDOCK load -q "$@" | sed -n 's/^Loaded image: //p' | head -1; }

# --- theirs to us
tar -C made -cf umoci.tar .
$MINIDOCK load -q -i umoci.tar >/dev/null
check "OCI layout by umoci" hard
skopeo copy -q oci:made:hard docker-archive:skopeo.tar:localhost/hard:docker
check "docker-archive by skopeo" "$(loaded -i skopeo.tar)"
gzip -k skopeo.tar && check "the same in gzip" "$(loaded -i skopeo.tar.gz)"
if command -v zstd >/dev/null; then zstd -q skopeo.tar && check "the same in zstd, from stdin" "$(loaded <skopeo.tar.zst)"; fi
skopeo copy -q oci:made:hard oci-archive:oci.tar:localhost/hard:oci
check "oci-archive by skopeo" "$(loaded -i oci.tar)"
skopeo copy -q --dest-compress-format zstd oci:made:hard oci-archive:zstd.tar:localhost/hard:zstd
check "oci-archive with zstd layers" "$(loaded -i zstd.tar)"
store="--root $work/c --runroot $work/cr --storage-driver vfs"
podman $store load -q -i skopeo.tar >/dev/null
podman $store save -q -o podman.tar localhost/hard:docker 2>/dev/null
check "podman save" "$(loaded -i podman.tar)"
podman $store save -q --format oci-archive -o podman-oci.tar localhost/hard:docker 2>/dev/null
check "podman save --format oci-archive" "$(loaded -i podman-oci.tar)"
buildah $store push -q localhost/hard:docker oci-archive:buildah.tar:localhost/hard:buildah
check "buildah push" "$(loaded -i buildah.tar)"
$real load -q -i skopeo.tar >/dev/null
$real save -o docker.tar localhost/hard:docker
check "docker save" "$(loaded -i docker.tar)"

# --- ours to them: the same ID everywhere
$MINIDOCK load -q -i skopeo.tar >/dev/null
$MINIDOCK tag localhost/hard:docker ours:1
$MINIDOCK save -o ours.tar ours:1 localhost/hard:docker
id=$($MINIDOCK image inspect --format '{{.Id}}' ours:1)
$real load -q -i ours.tar >/dev/null
same "docker load has the same ID" "$($real image inspect --format '{{.Id}}' ours:1)" "$id"
podman $store load -q -i ours.tar >/dev/null
same "podman load has the same ID" "sha256:$(podman $store image inspect --format '{{.Id}}' localhost/hard:docker)" "$id"
same "skopeo reads our docker-archive" "$(skopeo inspect --raw docker-archive:ours.tar:ours:1 | jq -r .config.digest)" "$id"
same "skopeo reads our oci-archive" "$(skopeo inspect --raw oci-archive:ours.tar:1 | jq -r .config.digest)" "$id"
same "skopeo reads our store" "$(skopeo inspect --raw "oci:$work/m:ours:1" | jq -r .config.digest)" "$id"
rm -rf again && umoci unpack --image "$work/m:ours:1" again >/dev/null 2>&1
python3 "$here/trees.py" again/rootfs theirs/rootfs
echo "ok: umoci unpacks our store"
